"""Races in processes of their own: the command line's answer is Python's, and what is killed loses nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import gradrace
from gradrace.store import open_store
from race.test_race import without_timings

RACE = [
    "race",
    "linear",
    "--optimizers",
    "sgd,b=adam",
    "--studies",
    "4",
    "--trials",
    "8",
    "--seeds",
    "2",
    "--steps",
    "120",
]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "gradrace", *words]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=300, check=False)


def summary(store: Path, race: str) -> dict[str, Any]:
    shown = run("show", race, "--store", str(store), "--json", "-")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The race as the command line runs it with one lane: its JSON alone on standard output."""
    store = tmp_path_factory.mktemp("whole") / "races.db"
    done = run(*RACE, "--store", str(store), "--lanes", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "confirmation: 16 of 16 trials" in done.stderr
    return json.loads(done.stdout)


def test_python_and_two_lanes_give_the_command_lines_result(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    result = gradrace.race(
        "linear",
        ["sgd", gradrace.Contender("adam", label="b")],
        studies=4,
        trials=8,
        seeds=2,
        steps=120,
        lanes=2,
        store=tmp_path / "races.db",
        json=tmp_path / "race.json",
    )
    assert without_timings(result.to_json()) == without_timings(undisturbed)
    assert json.loads((tmp_path / "race.json").read_text()) == result.to_json()


def kill_and_resume(
    whole: dict[str, Any], race: list[str], store: Path, moment: Callable[[], object], how: int = signal.SIGKILL
) -> str:
    """Run a race, end it by a signal when ``moment()`` returns, resume it; fail if anything differs."""
    process = subprocess.Popen(
        command(*race, "--store", str(store), "--quiet"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    moment()
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    known = whole["race"]["id"]
    if not store.exists():
        return "before the store"
    with open_store(store) as opened:
        records = opened.races()
        if not records:
            return "before the race was entered"
        kept = {outcome.trial: outcome for outcome in opened.outcomes(known)}
        if how == signal.SIGINT and records[0].status != "finished":
            assert process.returncode == 130
            assert f"gradrace resume {known}" in said
            assert records[0].status == "interrupted"
    resumed = run("resume", known, "--store", str(store), "--json", "-", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    assert without_timings(json.loads(resumed.stdout)) == without_timings(whole)
    with open_store(store) as opened:
        # A trial trained twice would have another share of another block's seconds: the first outcome stayed.
        after_resume = {outcome.trial: outcome for outcome in opened.outcomes(known)}
    assert {trial: after_resume[trial] for trial in kept} == kept
    return f"{len(kept)} of {len(after_resume)} trials stored"


def some_blocks_are_stored(store: Path) -> None:
    """Wait until a race under way has stored two blocks."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if store.exists():
            with open_store(store) as opened:
                if any(len(opened.blocks(record.id)) >= 2 for record in opened.races()):
                    return
        time.sleep(0.02)
    raise AssertionError("The race stored nothing within a minute.")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_race_ended_in_the_middle_resumes_bit_for_bit(undisturbed: dict[str, Any], tmp_path: Path, how: int) -> None:
    store = tmp_path / "races.db"
    met = kill_and_resume(undisturbed, RACE, store, lambda: some_blocks_are_stored(store), how)
    assert met.endswith("trials stored")


@pytest.mark.slow
def test_digits_killed_at_ten_random_moments(tmp_path: Path) -> None:
    race = ["race", "--budget", "quick", "--steps", "400"]
    whole_store = tmp_path / "whole.db"
    assert run(*race, "--store", str(whole_store), "--quiet").returncode == 0
    with open_store(whole_store) as opened:
        (record,) = opened.races()
        seconds = sum(outcome.seconds for outcome in opened.outcomes(record.id)) / 2  # of training, on two lanes
    whole = summary(whole_store, record.id)
    moments = random.Random(0)

    def once_entered(store: Path) -> None:
        while not (store.exists() and entered(store)):
            time.sleep(0.05)
        time.sleep(moments.uniform(0, seconds))

    met = []
    for kill in range(10):
        store = tmp_path / f"{kill}.db"
        met.append(kill_and_resume(whole, race, store, partial(once_entered, store)))
    print("\n".join(met))
    assert all(moment.endswith("stored") for moment in met)


def entered(store: Path) -> bool:
    """Whether a race is in the store."""
    with open_store(store) as opened:
        return bool(opened.races())


def test_lanes_end_with_a_race_that_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("race", "--store", str(tmp_path / "races.db")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    lanes = _wait_for_lanes(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(_alive(lane) for lane in lanes) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [lane for lane in lanes if _alive(lane)]


def _wait_for_lanes(parent: int) -> list[int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        lanes = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        if lanes:
            return lanes
        time.sleep(0.05)
    raise AssertionError("The race started no lanes.")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
