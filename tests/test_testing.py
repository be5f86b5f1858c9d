"""A race as an assertion: what passes, what fails and with which words, and what is left open."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import gradrace.testing
from gradrace import Contender, SpecError
from gradrace.testing import UndecidedWarning, assert_not_worse

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"
SMALL: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}

pytestmark = pytest.mark.usefixtures("inline_lanes")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("races") / "races.db"


def slow(lr: float = 1e-4) -> Contender:
    """An optimizer that hardly moves."""
    return Contender("sgd", "slow", hyper={"lr": lr})


def test_the_same_optimizer_is_not_worse(store: Path) -> None:
    result = assert_not_worse("sgd", "sgd", "linear", store=store, **SMALL)
    assert {row["label"] for row in result.standings} == {"new sgd", "sgd"}


def test_a_better_one_is_not_worse(store: Path) -> None:
    result = assert_not_worse("sgd", slow(), "linear", store=store, **SMALL)
    assert isinstance(result, gradrace.RaceResult)


def test_a_worse_one_fails_with_numbers_and_a_way_to_see_more(store: Path) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_not_worse(slow(), "sgd", "linear", store=store, **SMALL)
    first, second, third, last = str(raised.value).splitlines()
    assert first.startswith("slow is worse than sgd on linear by more than ")
    assert first.endswith(", detectably.")
    assert "Test mse " in second
    assert "lower is better; margin " in second
    assert "5% of the gain over an untrained model)." in second
    assert third.startswith("The race's own verdict: Use sgd: ")
    assert last.startswith("All of it: gradrace show ")
    assert last.endswith(f"--store {store}; the same test repeats the race")


def test_a_wide_margin_passes_and_a_narrow_one_is_undecided(store: Path) -> None:
    pair: tuple[Any, ...] = ("sgd", "momentum", "linear")
    assert_not_worse(*pair, margin=1e6, store=store, **SMALL)
    narrow: dict[str, Any] = {"margin": 1e-9, "store": store, **SMALL}
    with pytest.raises(AssertionError, match=r"may be worse than momentum .* this race cannot tell\. ") as raised:
        assert_not_worse(*pair, **narrow)
    command = "gradrace race linear --optimizers sgd,momentum --studies 3 --trials 4 --seeds 2 --steps 40"
    assert f"; the race again: {command}" in str(raised.value)
    with pytest.warns(UndecidedWarning, match="this race cannot tell") as told:
        assert_not_worse(*pair, undecided="warn", **narrow)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert assert_not_worse(*pair, undecided="pass", **narrow).id


def test_worse_fails_whatever_becomes_of_the_undecided(store: Path) -> None:
    with pytest.raises(AssertionError, match="detectably"):
        assert_not_worse(slow(), "sgd", "linear", undecided="pass", store=store, **SMALL)


def test_fewer_studies_than_a_test_needs_say_so(store: Path) -> None:
    with pytest.raises(AssertionError, match=r"cannot tell\. Too few studies for a test"):
        assert_not_worse("adam", "sgd", "linear", store=store, **{**SMALL, "studies": 2})


def test_a_stranger_against_torch(store: Path) -> None:
    class Mine(torch.optim.SGD):
        pass

    assert_not_worse(Mine, torch.optim.SGD, "linear", undecided="pass", store=store, **SMALL)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"margin": 0}, "The margin must be a finite number above 0, in the metric's units, but is 0."),
        ({"margin": float("nan")}, "but is nan."),
        ({"share": 1.5}, "must lie between 0 and 1, but is 1.5."),
        ({"undecided": "ignore"}, "There is no way to take what is undecided 'ignore'."),
        ({"budget": "huge"}, "The budget is 'huge'"),
    ],
)
def test_what_is_refused_before_anything_is_raced(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as raised:
        assert_not_worse("adam", "sgd", "linear", store=tmp_path / "races.db", **given)
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_a_test(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of Python of the page defines a test; here it races on a smaller task."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    given: list[Any] = []

    def smaller(contender: Any, baseline: Any, workload: str, **options: Any) -> Any:
        given.append(workload)
        return assert_not_worse(contender, baseline, "linear", store=store, **options, **SMALL)

    monkeypatch.setattr(gradrace.testing, "assert_not_worse", smaller)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(block, "testing.md", "exec"), names)
    names["test_mine_is_not_worse_than_sgd"]()
    assert given == ["digits"]
