"""Scripts of ``benchmarks/`` as modules."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of benchmarks/, as its scripts do."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module
