"""A store and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Served, serving

from gradrace.store import Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """The store as the process of a race has it open."""
    with open_store(path) as opened:
        yield opened


@pytest.fixture
def served(store: Store, path: Path) -> Iterator[Served]:
    with serving(path) as found:
        yield found
