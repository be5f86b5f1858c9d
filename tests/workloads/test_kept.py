"""What was made of a wheel is kept, known by its source, and made anew where it cannot be read."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gradrace.workloads._kept import Kept

SOURCE = """
import torch
calls = []
def load():
    calls.append(1)
    return (torch.arange(3), {"target": torch.ones(2) / 3}), (torch.zeros(1),)
"""


def loader(path: Path, source: str = SOURCE) -> Any:
    """A module with a data function that counts its calls."""
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("made", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "cache"))
    return lambda source=SOURCE: loader(tmp_path / "made.py", source)


def test_splits_are_made_once_and_come_back_to_the_bit(fresh: Callable[..., Any]) -> None:
    module = fresh()
    first = Kept(module.load, ())()
    again = Kept(module.load, ())()
    assert module.calls == [1]
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_another_source_makes_them_anew(fresh: Callable[..., Any]) -> None:
    Kept(fresh().load, ())()
    other = fresh(SOURCE.replace("arange(3)", "arange(4)"))
    kept = Kept(other.load, ())
    assert len(kept()[0][0]) == 4
    assert other.calls == [1]
    assert list(kept.path().parent.iterdir()) == [kept.path()]  # the old ones are gone


def test_a_file_that_cannot_be_read_is_made_anew(fresh: Callable[..., Any]) -> None:
    kept = Kept(fresh().load, ())
    kept()
    kept.path().write_bytes(kept.path().read_bytes()[:100])
    module = fresh()
    assert len(Kept(module.load, ())()[0][0]) == 3
    assert module.calls == [1]
    Kept(module.load, ())()
    assert module.calls == [1]  # whole again


def test_where_nothing_can_be_written_nothing_is_kept(
    fresh: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "file" / "inside"))
    module = fresh()
    Kept(module.load, ())()
    Kept(module.load, ())()
    assert module.calls == [1, 1]
