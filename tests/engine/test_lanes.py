"""Lanes: results and errors come back, a death costs at most its task, and nothing outlives the race."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lane_tasks as tasks
import pytest
import torch

import gradrace.errors
from gradrace.engine.lanes import LaneDied, Lanes, Result, Task
from gradrace.errors import GradraceError, SpecError


@pytest.fixture(scope="module")
def lanes() -> Iterator[Lanes]:
    """Two lanes, of which no test leaves anything but living lanes behind."""
    with Lanes(2) as started:
        started.prepare(tasks.remember, "prepared")
        yield started


def by_key(results: Iterator[Result]) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for result in results:
        assert result.key not in found
        found[result.key] = result
    return found


def pids(lanes: Lanes) -> set[int]:
    """The processes of both lanes: the first two tasks are handed to one each."""
    results = by_key(lanes.run([Task(str(n), tasks.describe, ()) for n in range(6)]))
    return {result.value["pid"] for result in results.values()}


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about is a zombie, Z."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip() != "" and not state.startswith("Z")


def ends_soon(pid: int) -> bool:
    limit = time.monotonic() + 10
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not alive(pid)


def test_every_task_has_one_result_and_a_slow_one_holds_up_no_other(lanes: Lanes, tmp_path: Path) -> None:
    marker = str(tmp_path / "marker")
    given = [Task("slow", tasks.wait_for, (marker,)), *(Task(str(n), tasks.square, (n,)) for n in range(20))]
    results = by_key(lanes.run([*given, Task("last", tasks.make, (marker,))]))
    squares = {str(n): n * n for n in range(20)}
    assert {key: result.value for key, result in results.items()} == {"slow": "seen", **squares, "last": None}
    assert all(result.error is None for result in results.values())
    assert list(lanes.run([])) == []


def test_lanes_are_prepared_single_threaded_processes_with_a_memory(lanes: Lanes) -> None:
    results = [result.value for result in lanes.run([Task(str(n), tasks.describe, ()) for n in range(6)])]
    assert {value["word"] for value in results} == {"prepared"}
    assert {value["threads"] for value in results} == {(1, "1")}
    assert {value["denormal"] for value in results} == {0.0}
    assert float(torch.tensor([1e-30], dtype=torch.float32) * 1e-10) != 0  # and here nothing was changed
    processes = {value["pid"] for value in results}
    assert len(processes) == len(lanes) == 2
    assert os.getpid() not in processes
    for pid in processes:
        counts = [value["done"] for value in results if value["pid"] == pid]
        assert counts == list(range(counts[0], counts[0] + len(counts)))


def test_an_exception_comes_back_and_costs_its_task_alone(lanes: Lanes) -> None:
    before = pids(lanes)
    given = [Task("bad", tasks.fail, (7,)), Task("worse", tasks.refuse, ()), Task("good", tasks.square, (3,))]
    results = by_key(lanes.run(given))
    assert results["good"].value == 9
    error = results["bad"].error
    assert type(error) is GradraceError
    assert "ValueError: no such number: 7" in str(error)
    assert "lane_tasks.py" in str(error)
    refused = results["worse"].error
    assert type(refused) is SpecError
    assert str(refused) == "The number is 3, but must be even."
    assert pids(lanes) == before


def test_progress_adds_up(lanes: Lanes) -> None:
    heard: list[int] = []
    given = [Task("a", tasks.report, ([1, 2, 3], 0.0)), Task("b", tasks.report, ([10] * 4, 0.15))]
    before_the_end = 0
    for result in lanes.run(given, heard.append):
        if result.key == "b":
            before_the_end = sum(heard)
    assert sum(heard) == 46
    assert before_the_end == 46  # a task's progress is told before its result
    assert len([count for count in heard if count]) >= 3  # and while it runs, some of it


def test_what_a_task_prints_is_not_taken_for_a_message(lanes: Lanes) -> None:
    assert [result.value for result in lanes.run([Task("a", tasks.chatter, ())])] == ["heard"]


def test_ctrl_c_is_the_races_to_handle(lanes: Lanes) -> None:
    before = pids(lanes)
    for pid in before:
        os.kill(pid, signal.SIGINT)
    assert pids(lanes) == before


def test_a_death_costs_at_most_its_task(lanes: Lanes, tmp_path: Path) -> None:
    before = pids(lanes)
    given = [Task("dies", tasks.die, ()), Task("dies once", tasks.die_once, (str(tmp_path / "marker"),))]
    given += [Task(str(n), tasks.square, (n,)) for n in range(6)]
    results = by_key(lanes.run(given))
    assert {key: result.value for key, result in results.items() if key.isdigit()} == {str(n): n * n for n in range(6)}
    assert results["dies once"].value == "prepared"  # in a lane that was prepared like the one it replaced
    assert isinstance(results["dies"].error, LaneDied)
    assert str(results["dies"].error) == "The process that trained this block died, twice."
    assert [key for key, result in results.items() if result.error is not None] == ["dies"]
    after = pids(lanes)
    assert len(after) == 2
    assert not before & after
    assert all(map(ends_soon, before))


def test_a_task_may_wait_until_the_result_of_another_was_dealt_with(lanes: Lanes, tmp_path: Path) -> None:
    marker, told = tmp_path / "marker", list[str]()
    given = [
        Task("second", tasks.look, (str(marker), told), after="first"),
        Task("third", tasks.look, (str(marker), told), after="second"),
        Task("first", tasks.square, (3,)),
        *(Task(str(n), tasks.square, (n,)) for n in range(4)),
    ]
    order = []
    for result in lanes.run(given):
        order.append(result.key)
        if result.key == "first":
            time.sleep(0.3)  # the other lane is idle meanwhile, and must not begin the second
            told.append("of the first")
            marker.touch()
        elif result.key == "second":
            assert result.value == (True, ["of the first"])
            told.append("of the second")
        elif result.key == "third":
            assert result.value == (True, ["of the first", "of the second"])
    waited = [key for key in order if not key.isdigit()]
    assert waited == ["first", "second", "third"]
    assert len(order) == len(given)


@pytest.mark.parametrize("function", [tasks.refuse, tasks.die])
def test_who_waits_goes_on_when_the_other_failed(lanes: Lanes, tmp_path: Path, function: Callable[..., None]) -> None:
    told: list[str] = []
    given = [Task("fails", function, ()), Task("waits", tasks.look, (str(tmp_path), told), after="fails")]
    for result in lanes.run([given[1], given[0]]):
        if result.key == "fails":
            assert result.error is not None
            told.append(type(result.error).__name__)
        else:
            assert result.value == (True, ["SpecError" if function is tasks.refuse else "LaneDied"])
    assert told


def test_lanes_keep_memory_and_the_users_settings_and_count_their_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "12345")
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    began = time.perf_counter()
    with Lanes(1) as lanes:
        (found, _) = lanes.run([Task("a", tasks.environment, ()), Task("b", tasks.square, (2, 0.2))])
        taken = time.perf_counter() - began
        assert {name: value for name, value in found.value.items() if name.startswith("MALLOC_")} == {
            "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
            "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
            "MALLOC_TOP_PAD_": "12345",
        }
        assert set(lanes.seconds) == {"import", "other"}
        assert lanes.seconds["import"] > 0.05
        assert lanes.seconds["other"] >= 0.2
        assert sum(lanes.seconds.values()) <= taken + 0.05


def test_one_lane_works_in_order_then_tells_what_cannot_be_done() -> None:
    with Lanes(1) as lanes:
        assert [result.key for result in lanes.run([Task(key, tasks.square, (2,)) for key in "cab"])] == ["c", "a", "b"]
        with pytest.raises(GradraceError, match="this cannot be read back"):
            list(lanes.run([Task("a", tasks.square, (tasks.Unreadable(),))]))
        lanes.prepare(tasks.fail, 5)
        with pytest.raises(GradraceError, match="no such number: 5"):
            list(lanes.run([Task("b", tasks.square, (2,))]))
        process = lanes._processes[0].pid
    assert ends_soon(process)


def test_a_lane_ends_when_its_race_is_killed() -> None:
    source = Path(gradrace.errors.__file__).parents[1]
    race = subprocess.Popen(
        [sys.executable, tasks.__file__],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with contextlib.closing(race.stdout) as lines:  # pyright: ignore[reportArgumentType]
        lane = int(lines.readline())
        assert alive(lane)
        race.send_signal(signal.SIGKILL)
        race.wait()
        assert ends_soon(lane)
