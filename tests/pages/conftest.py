"""Modules of ``pages/``, as mkdocs imports them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[2] / "pages"


@pytest.fixture(scope="session")
def maker() -> Iterator[Any]:
    """Imports a module of pages/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PAGES)
        yield importlib.import_module
