"""The examples: each races as it stands, repeats itself for a seed, and ends when the race has seen enough."""

from __future__ import annotations

import math
import runpy
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

import gradrace
from gradrace import Workload
from gradrace._discovery import load_file
from gradrace.check import LOOP_CHECKS
from gradrace.outcomes import Stage, Status
from gradrace.store import open_store

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
LOOPS = ["lightning_loop", "trainer_loop"]
SMALL: dict[str, Any] = {"studies": 2, "trials": 2, "seeds": 1, "steps": 10, "halving": False, "lanes": 1}

pytestmark = [pytest.mark.usefixtures("inline_lanes", "offline")]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("An example must not need a connection.")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def task(name: str) -> Workload:
    return load_file(EXAMPLES / f"{name}.py").workload


@pytest.mark.parametrize("name", NAMES)
def test_an_example_races(name: str, tmp_path: Path) -> None:
    store = tmp_path / "races.db"
    found = gradrace.race(EXAMPLES / f"{name}.py", ["sgd", "adam"], store=store, **SMALL).to_json()
    with open_store(store, must_exist=True) as opened:
        outcomes = opened.outcomes(found["race"]["id"])
    confirmed = [outcome for outcome in outcomes if outcome.stage is Stage.CONFIRMATION]
    assert [outcome.status for outcome in confirmed] == [Status.FINISHED] * 4
    assert all(outcome.test is not None and math.isfinite(outcome.test) for outcome in confirmed)
    assert len({outcome.test for outcome in confirmed}) == 4
    assert all(outcome.test != outcome.validation for outcome in confirmed)
    assert not [outcome.error for outcome in outcomes if outcome.error]
    assert len(found["standings"]) == 2
    assert found["recommendation"]["sentence"].endswith(
        "with fewer than 3 studies no difference can be told from luck."
    )


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_repeats_itself_for_a_seed(name: str) -> None:
    assert LOOP_CHECKS["repeats"](task(name)) == []


@pytest.mark.parametrize("name", LOOPS)
def test_a_trainer_ends_when_the_race_has_seen_enough(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    loop, steps = task(name).training_loop, [0]
    assert loop is not None

    def make_optimizer(params: Iterator[torch.nn.Parameter]) -> torch.optim.Optimizer:
        def count(*_: Any) -> None:
            steps[0] += 1

        made = torch.optim.Adam(params, lr=0.01)
        made.register_step_post_hook(count)
        return made

    threads = threading.active_count()
    reports: Any = loop.train(make_optimizer, 0)
    told = [next(reports)[0], next(reports)[0]]
    assert told == [5, 10]
    assert threading.active_count() == threads + 1
    reports.close()
    assert steps == [10]
    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []


def test_the_example_of_ones_own_model_is_a_script_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    race: Callable[..., Any] = gradrace.race
    small = {**SMALL, "engine": "loop", "store": tmp_path / "races.db"}
    monkeypatch.setattr(gradrace, "race", lambda *given, **named: race(*given, **{**named, **small}))
    runpy.run_path(str(EXAMPLES / "own_model.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "Standings on own-model" in said
    assert all(f" {name} " in said for name in ("sgd", "momentum", "adam"))
