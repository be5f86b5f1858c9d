"""Suites: a race on each workload in one store, what is left out, and what stops them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradrace
from gradrace import DataError, Interrupted, SpecError, SuiteResult, Workload, WorkloadError
from gradrace.race import api
from gradrace.race import suite as module
from gradrace.race.suite import RaceOptions, race_each, race_suite
from gradrace.store import open_store
from inline_lanes import InlineLanes

SMALL: Any = {"studies": 3, "trials": 4, "seeds": 2, "steps": 8, "engine": "loop"}
TWO = ["linear", "quadratic"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


def broken() -> tuple[Any, ...]:
    raise DataError("The data of 'broken' cannot be had.")


BROKEN = Workload("broken", model=lambda: nn.Linear(1, 1), data=broken, loss=functional.mse_loss)


def test_a_suite_takes_the_options_of_a_race() -> None:
    known = dict(inspect.signature(gradrace.race).parameters)
    taken = {name for name in known if name not in ("workload", "optimizers", "json", "report")}
    assert taken == set(RaceOptions.__annotations__)


def test_each_workload_is_a_race_of_its_own(store: Path, inline_lanes: type[InlineLanes]) -> None:
    result = race_each("tiny", TWO, ["sgd", "adam"], store=store, **SMALL)
    assert isinstance(result, SuiteResult)
    assert list(result.races) == TWO
    with open_store(store, must_exist=True) as opened:
        assert {record.id for record in opened.races()} == {race.id for race in result.races.values()}
    suite = result.to_json()
    assert json.loads(json.dumps(suite, allow_nan=False)) == suite
    assert [work["name"] for work in suite["workloads"]] == TWO
    for work in suite["workloads"]:
        race = result.races[work["name"]]
        assert work["race"] == race.id
        assert [row["test"]["mean"] for row in work["standings"]] == [row["test"]["mean"] for row in race.standings]
        assert work["untrained"] == race.to_json()["plan"]["untrained"] is not None
    assert {row["label"]: row["use"] for row in suite["table"]} == {
        name: gradrace.optimizers()[name].card.use for name in ("sgd", "adam")
    }
    assert (result.suite, result.verdict, result.table) == ("tiny", suite["verdict"], suite["table"])
    assert result.verdict in " ".join(repr(result).split())
    # Raced alone, each is the same race; asked for again, nothing is trained.
    trained = len(inline_lanes.ran)
    assert gradrace.race("linear", ["sgd", "adam"], store=store, **SMALL).to_json() == result.races["linear"].to_json()
    assert race_each("tiny", TWO, ["sgd", "adam"], store=store, **SMALL).to_json() == suite
    assert len(inline_lanes.ran) == trained


@pytest.mark.usefixtures("inline_lanes")
def test_what_cannot_be_raced_on_is_named_and_skipped(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = race_each("tiny", [BROKEN, "linear"], ["sgd"], store=store, quiet=False, **SMALL)
    assert list(result.races) == ["linear"]
    sentence = "broken was left out: The data of 'broken' cannot be had."
    assert sentence in result.warnings
    assert result.to_json()["skipped"] == [{"workload": "broken", "reason": "The data of 'broken' cannot be had."}]
    said = capsys.readouterr().err
    for line in ("Workload 1 of 2: broken", "broken is left out: The data", "Workload 2 of 2: linear", "tuning: 12 "):
        assert line in said
    with pytest.raises(
        WorkloadError, match=r"The suite 'tiny' has no workload that can be raced on\. broken: The data"
    ):
        race_each("tiny", [BROKEN], ["sgd"], store=store, **SMALL)
    with pytest.raises(WorkloadError, match=r"The suite 'tiny' has no workload that can be raced on\.$"):
        race_each("tiny", [], ["sgd"], store=store, **SMALL)


def test_a_suite_that_is_stopped_goes_on_where_it_stopped(
    store: Path, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = api.race

    def stopped_at_the_second(work: Any, *others: Any, **options: Any) -> Any:
        if work == "quadratic":
            raise Interrupted("Stopped.")
        return whole(work, *others, **options)

    monkeypatch.setattr(api, "race", stopped_at_the_second)
    with pytest.raises(Interrupted, match=r"Workload 2 of 2, quadratic: Stopped\.\nThe same suite, asked for again"):
        race_each("tiny", TWO, ["sgd"], store=store, **SMALL)
    monkeypatch.setattr(api, "race", whole)
    inline_lanes.ran.clear()
    race_each("tiny", TWO, ["sgd"], store=store, **SMALL)
    assert inline_lanes.ran.count("probe") == 1


@pytest.mark.usefixtures("inline_lanes")
def test_all_trials_diverge(store: Path) -> None:
    hopeless = Workload(
        "hopeless",
        model=lambda: nn.Linear(1, 1),
        loss=lambda output, target: functional.mse_loss(output, target) * torch.nan,
        train=(torch.ones(20, 1), torch.ones(20, 1)),
        validation=0.2,
        test=0.2,
    )
    alone = race_each("tiny", [hopeless], ["sgd", "adam"], store=store, **SMALL)
    assert alone.verdict.startswith("No contender has a working configuration on any workload of the suite")
    both = race_each("tiny", [hopeless, "linear"], ["sgd", "adam"], store=store, **SMALL)
    assert any(warning.startswith("On hopeless no contender has a working") for warning in both.warnings)
    assert [row["evidence"]["workloads"] for row in both.table] == [1, 1]


def test_what_is_wrong_for_all_is_told_before_the_first_race(store: Path) -> None:
    for options, sentence in (
        ({"steps": 3}, "The number of steps is 3, but 3 rungs"),
        ({"budget": "huge"}, "The budget is 'huge'"),
        ({"lanes": 0}, "The number of lanes is 0"),
        ({"json": "x.json"}, "There is no option of a suite 'json'."),
        ({"sead": 1}, "Did you mean 'seed'?"),
    ):
        with pytest.raises(SpecError) as caught:
            race_each("tiny", TWO, ["sgd"], **cast(Any, {**SMALL, "store": store, **options}))
        assert sentence in str(caught.value)
    with pytest.raises(SpecError, match="There is no optimizer 'adm'"):
        race_each("tiny", TWO, ["adm"], store=store)
    with pytest.raises(SpecError, match="There is no workload 'linea'"):
        race_each("tiny", ["linea"], ["sgd"], store=store)
    assert not store.exists()


def test_a_suite_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match=r"There is no suite 'primr'\. Did you mean 'primer'\?"):
        race_suite("primr")
    asked: list[Any] = []
    monkeypatch.setattr(module, "race_each", lambda *given, **options: asked.append((given, options)))
    gradrace.race_suite(optimizers=["sgd"], seed=3)
    ((given, options),) = asked
    assert (given[0], given[1][:2], given[2], options) == ("primer", ["chat", "clicks"], ["sgd"], {"seed": 3})
