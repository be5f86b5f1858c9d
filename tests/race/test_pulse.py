"""A race tells its store how it goes, and stops when it is asked to, in whatever process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import gradrace
from gradrace.errors import Interrupted, StoreError
from gradrace.outcomes import Outcome
from gradrace.race import api, orchestrator
from gradrace.race.orchestrator import Entry, Silent
from gradrace.race.pulse import Pulsing
from gradrace.race.spec import find_task, make_contenders, make_spec
from gradrace.store import SQLiteStore, open_store
from inline_lanes import InlineLanes
from race.test_race import without_timings

SMALL: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}


def entry() -> Entry:
    task = find_task("linear")
    return Entry(make_spec(task.workload, "standard", **SMALL), make_contenders(["sgd", "adam"]), task)


class Hooked(Silent):
    """Does something at the first block that is trained."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act, self.acted = act, False

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        if not self.acted:
            self.acted = True
            self.act()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


def test_the_store_is_told_how_the_race_goes(path: Path, inline_lanes: type[InlineLanes]) -> None:
    asked, said = entry(), []

    def look() -> None:
        with open_store(path) as other:
            until(lambda: other.pulses()[asked.id].said["trials_done"] > 0)
            said.append(other.pulses()[asked.id])

    orchestrator.run(asked, None, lambda: open_store(path), 1, Hooked(look))
    (pulse,) = said
    assert {name: pulse.said[name] for name in ("stage", "trials", "process", "lanes")} == {
        "stage": "tuning", "trials": 24, "process": os.getpid(), "lanes": 1,
    }  # fmt: skip
    assert 0 < pulse.said["trial_steps_done"] <= pulse.said["trial_steps"]
    assert pulse.said["rate"] > 0
    assert pulse.said["seconds_left"] > 0
    assert pulse.said["leader"] in ("sgd", "adam")


def test_a_race_that_is_asked_to_stop_does_and_goes_on_later(path: Path, inline_lanes: type[InlineLanes]) -> None:
    asked = entry()

    def stop() -> None:
        with open_store(path) as other:
            until(lambda: other.ask_to_stop(asked.id))
            number = other.pulses()[asked.id].number
            until(lambda: other.pulses()[asked.id].number > number)

    with pytest.raises(Interrupted, match=rf"^Stopped\. \d+ finished trials are stored; go on with: .* {asked.id}$"):
        orchestrator.run(asked, None, lambda: open_store(path), 1, Hooked(stop))
    with open_store(path) as store:
        assert store.race(asked.id).status == "interrupted"
        assert 0 < len(store.outcomes(asked.id)) < 36
    # The request was for the session that is gone.
    result = api.resume(asked.id, store=path, lanes=1)
    whole = gradrace.race("linear", ["sgd", "adam"], **SMALL, store=path.with_name("whole.db"), lanes=1)
    assert without_timings(result.to_json()) == without_timings(whole.to_json())


def test_a_store_that_takes_no_pulse_costs_the_race_nothing(
    path: Path, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(SQLiteStore, "beat", refuse)
    _, record = orchestrator.run(entry(), None, lambda: open_store(path), 1, Silent())
    assert record.status == "finished"


class Listening(Silent):
    """Keeps what it is told of steps."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def steps(self, trial_steps: int) -> None:
        self.told.append(trial_steps)


def test_a_race_that_waits_for_a_long_block_stops_too(path: Path) -> None:
    """Lanes call ``progress(0)`` while nothing comes: it is no news, but it is a moment to stop."""
    listening = Listening()
    with open_store(path) as store:
        store.create_race("aaaa", {}, {}, {}, "0")
        pulsing = Pulsing("aaaa", store, "max", 1, listening)
        pulsing.steps(0)
        pulsing.asked = True
        with pytest.raises(KeyboardInterrupt):
            pulsing.steps(0)
    assert listening.told == []
