"""A calibration from its pool to its table: a real one, small, and every bad input that has a sentence of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import gradrace
from gradrace import Contender, LogUniform, SpecError, cli
from gradrace.race import orchestrator
from gradrace.report import calibration
from gradrace.store import open_store
from gradrace.verdict.calibration import Pool, false_verdicts
from gradrace.verdict.candidates import CANDIDATES, CHOSEN
from inline_lanes import InlineLanes

SMALL: dict[str, Any] = {"trials": 4, "seeds": 2, "steps": 20}
POOL = 30
CELLS = [(k, c) for k in (3, 5, 8) for c in (2, 5)]
ON_COMMAND_LINE = ["--pool", "30", "--races", "50", "--trials", "4", "--seeds", "2", "--steps", "20"]


def calibrated(store: Path, **more: Any) -> gradrace.CalibrationResult:
    return gradrace.calibrate("linear", store=store, **{"pool": POOL, "races": 400, **SMALL, **more})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the pool of ``calibrated``, which is trained once for all tests."""
    store = tmp_path_factory.mktemp("pool") / "races.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "Lanes", InlineLanes)
        calibrated(store, races=1)
    return store


def pool_scores(store: Path, race: str) -> np.ndarray:
    with open_store(store, must_exist=True) as opened:
        return calibration.pool_of(opened.race(race), opened.outcomes(race)).scores


def test_adam_against_itself(trained: Path, tmp_path: Path, inline_lanes: type[InlineLanes]) -> None:
    result = calibrated(trained, json=tmp_path / "found.json")
    assert inline_lanes.ran == []  # the same spec: the pool was found
    found = result.to_json()
    assert json.loads((tmp_path / "found.json").read_text()) == found
    assert calibrated(trained).to_json() == found
    assert found["pool"]["optimizers"] == ["adam"] * 5
    assert (found["pool"]["entries"], found["pool"]["studies"]) == (5, POOL)
    (test,) = result.tests
    assert (test["name"], test["chosen"]) == ("t-floor", True)
    for cells in (test["false_verdicts"], test["power"], result.coverage):
        assert [(cell["studies"], cell["contenders"]) for cell in cells] == CELLS
        assert [cell["own"] for cell in cells] == [False, False, True, True, False, False]  # standard: 5 studies
    for cell, held in zip(test["false_verdicts"], result.coverage, strict=True):
        assert cell["interval"][0] <= 0.05
        assert cell["interval"][0] <= cell["rate"] <= cell["interval"][1]
        assert cell["races"] == 400 >= cell["effective"]
        # The same races: no pair is decided exactly where all intervals hold 0.
        assert held["joint"]["rate"] == pytest.approx(1 - cell["rate"])
    # More studies find smaller differences; more contenders need larger ones.
    needs = {(cell["studies"], cell["contenders"]): cell["difference"] for cell in test["power"]}
    assert needs[3, 2] > needs[5, 2] > needs[8, 2] > 0
    assert needs[5, 5] > needs[5, 2]
    assert "nowhere detectably more than the 5 % allowed" in result.sentence
    assert result.sentence in repr(result)


def test_other_views_of_the_same_pool(trained: Path, inline_lanes: type[InlineLanes]) -> None:
    several = calibrated(trained, races=50, candidates=True)
    assert [test["name"] for test in several.tests] == [candidate.name for candidate in CANDIDATES]
    assert several.tests[:1] == calibrated(trained, races=50).tests
    never = {test["name"]: test for test in several.tests}["sign-flip"]
    assert [cell["difference"] is None for cell in never["power"]] == [True, True, True, True, False, True]
    fresh = calibrated(trained, races=50, fresh=True)
    assert [cell["races"] for cell in fresh.tests[0]["false_verdicts"]] == [10, 10, 6, 6, 3, 3]
    assert "No study is used twice" in " ".join(repr(fresh).split())
    assert "Studies are drawn for each race" in " ".join(repr(several).split())
    assert inline_lanes.ran == []


@pytest.mark.usefixtures("inline_lanes")
def test_a_study_of_the_pool_is_what_a_race_of_its_own_would_train(trained: Path, store: Path) -> None:
    """The reason why drawing from a pool is valid: a study does not know which studies and contenders are beside it."""
    pool = pool_scores(trained, calibrated(trained, races=1).id)
    pair = [Contender("adam", "left", scramble=2), Contender("adam", "right", scramble=5)]
    alone = gradrace.race("linear", pair, studies=3, store=store, **SMALL)
    by_label = {row["label"]: row["test"]["values"] for row in alone.standings}
    assert pool[1, :3] == pytest.approx(np.array(by_label["left"]), rel=1e-5)
    assert pool[4, :3] == pytest.approx(np.array(by_label["right"]), rel=1e-5)
    # Entries differ by their points, so their choices and scores do; a study has luck of its own.
    assert len({tuple(row) for row in np.round(pool[:, 0], 8).tolist()}) == 5
    assert len(np.unique(np.round(pool[0, :, 0], 8))) == POOL


@pytest.mark.usefixtures("inline_lanes")
def test_several_optimizers_are_made_equally_good(store: Path) -> None:
    found = gradrace.calibrate("linear", ["sgd", "adagrad", "adam"], pool=16, races=200, store=store, **SMALL)
    summary = found.to_json()
    assert summary["kind"] == "centred"
    assert summary["pool"]["optimizers"] == ["sgd", "adagrad", "adam"]
    cells = found.tests[0]["false_verdicts"]
    assert [(cell["studies"], cell["contenders"]) for cell in cells] == [(k, c) for k in (3, 5, 8) for c in (2, 3)]
    # As they are, they are told apart with 8 studies nearly always.
    apart = Pool(pool_scores(store, found.id), "min")
    assert false_verdicts(apart, 8, 3, 200, CHOSEN.test, np.random.default_rng(0)).value > 0.9
    assert max(cell["rate"] for cell in cells) < 0.4
    assert (found.coverage, found.tests[0]["power"]) == ([], [])
    assert "sgd, adagrad and adam, made equally good" in repr(found)


@pytest.mark.usefixtures("inline_lanes")
def test_a_pool_in_which_everything_diverges_is_told(store: Path) -> None:
    hopeless = Contender("sgd", space={"lr": LogUniform(1e20, 1e21)})
    with pytest.raises(SpecError, match="Every confirmation trial of the pool on linear diverged or failed"):
        gradrace.calibrate("linear", hopeless, entries=2, pool=16, races=10, store=store, **SMALL)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pool": 4}, "The pool has 4 studies, but needs at least 16"),
        ({"pool": 10_001}, "studies must be less than or equal to 10000, but is 10001."),
        ({"races": 0}, "The number of races is 0, but must be at least 1."),
        ({"entries": 1}, "The number of entries is 1, but a race of equal contenders needs at least 2."),
        ({"optimizer": ["sgd", "adam"], "entries": 3}, "each is entered once, so entries cannot be 3"),
        ({"optimizer": "adm"}, "There is no optimizer 'adm'. Did you mean 'adam'?"),
        ({"workload": "digit"}, "There is no workload 'digit'. Did you mean 'digits'?"),
        ({"optimizer": []}, "at least one contender"),
        ({"budget": "huge"}, "The budget is 'huge'"),
        ({"json": "nowhere/found.json"}, "The result cannot be written to 'nowhere/found.json'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_calibration_is_refused_and_nothing_is_written(given: dict[str, Any], sentence: str, store: Path) -> None:
    with pytest.raises(SpecError) as caught:
        gradrace.calibrate(**{"workload": "linear", "store": store, **given})
    assert sentence in str(caught.value)
    assert not store.exists()


def test_on_the_command_line(trained: Path, tmp_path: Path, inline_lanes: type[InlineLanes]) -> None:
    words = ["calibrate", "linear", *ON_COMMAND_LINE, "--store", str(trained), "--quiet"]
    shown = CliRunner().invoke(cli.app, [*words, "--json", str(tmp_path / "found.json")])
    assert shown.exit_code == 0, shown.exception
    for part in ("Calibration on linear: adam raced against itself", "False verdicts", "K=5*, C=5", "Power", "t-floor"):
        assert part in shown.stdout
    assert "bootstrap" not in shown.stdout
    (one,) = json.loads((tmp_path / "found.json").read_text())["calibrations"]
    assert one == calibrated(trained, races=50).to_json()
    twice = CliRunner().invoke(cli.app, [*words, "linear", "--fresh", "--json", "-"])
    first, second = json.loads(twice.stdout)["calibrations"]
    assert first == second
    assert first["fresh"]
    assert inline_lanes.ran == []
    refused = CliRunner().invoke(cli.app, ["calibrate", "linear", "--pool", "4"])
    assert "needs at least 16" in str(refused.exception)
