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
from gradrace.engine import server
from gradrace.engine.lanes import LaneDied, Lanes, Result, Task
from gradrace.errors import GradraceError, SpecError

NOT_FORKED = "lanes are forked on Linux only"
FORKED = pytest.param(True, marks=pytest.mark.skipif(not server.POSSIBLE, reason=NOT_FORKED))


@contextlib.contextmanager
def served(forked: bool, *modules: str) -> Iterator[server.Server | None]:
    """Where lanes are forked from a server of their own, if they are to be: another test's is not seen here."""
    token = server._ahead.set(None)
    try:
        with server.ahead(modules or ["torch"]) if forked else contextlib.nullcontext():
            yield server.current()
    finally:
        server._ahead.reset(token)


@pytest.fixture(scope="module", params=[pytest.param(False, id="own"), FORKED])
def lanes(request: pytest.FixtureRequest) -> Iterator[Lanes]:
    """Two lanes, of which no test leaves anything but living lanes behind."""
    with served(request.param), Lanes(2) as started:
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


def test_whoever_waits_is_told_that_nothing_has_come(lanes: Lanes, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    ticks: list[int] = []

    def tick(trial_steps: int) -> None:
        ticks.append(trial_steps)
        marker.touch()

    results = list(lanes.run([Task("slow", tasks.wait_for, (str(marker),))], tick))
    assert [result.value for result in results] == ["seen"]
    assert ticks[0] == 0


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
    assert str(results["dies"].error) == "The process that trained this died, twice: it exited with status 3."
    assert results["dies"].error.code == 3
    assert [key for key, result in results.items() if result.error is not None] == ["dies"]
    after = pids(lanes)
    assert len(after) == 2
    assert not before & after
    assert all(map(ends_soon, before))


def test_how_a_lane_died_is_told(lanes: Lanes) -> None:
    for number, words, memory in (
        (signal.SIGSEGV, "it crashed in native code (SIGSEGV)", False),
        (signal.SIGKILL, "it was killed (SIGKILL), as the system does when memory runs out", True),
        (signal.SIGTERM, "it was ended by SIGTERM", False),
    ):
        (result,) = lanes.run([Task("killed", tasks.end_by, (int(number),), tries=1)])
        assert isinstance(result.error, LaneDied)
        assert str(result.error) == f"The process that trained this died: {words}."
        assert (result.error.code, result.error.memory) == (-number, memory)


def test_a_lane_that_says_nothing_is_stopped_and_one_that_does_is_not(lanes: Lanes) -> None:
    given = [Task("hangs", tasks.hang, ()), Task("works", tasks.work_on, (2.5,)), Task("last", tasks.square, (2,))]
    began = time.monotonic()
    results = by_key(lanes.run(given, patience=1.0))
    assert 1.0 <= time.monotonic() - began < 30
    assert (results["works"].value, results["last"].value) == ("done", 4)
    error = results["hangs"].error
    assert isinstance(error, LaneDied)
    assert str(error).startswith("The process that trained this made no headway for 1 seconds and was stopped. ")
    assert error.silent == 1.0
    assert not error.memory


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


@pytest.mark.parametrize("forked", [False, FORKED])
def test_lanes_keep_memory_and_the_users_settings_and_count_their_seconds(
    monkeypatch: pytest.MonkeyPatch, forked: bool
) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "12345")
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    began = time.perf_counter()
    with served(forked), Lanes(1) as lanes:
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
    assert process is not None
    assert ends_soon(process)


@pytest.mark.parametrize("forked", [False, FORKED])
def test_a_lane_and_its_server_end_when_their_race_is_killed(forked: bool) -> None:
    source = Path(gradrace.errors.__file__).parents[1]
    race = subprocess.Popen(
        [sys.executable, tasks.__file__, *["forked"] * forked],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with contextlib.closing(race.stdout) as lines:  # pyright: ignore[reportArgumentType]
        lane, parent = map(int, lines.readline().split())
        assert alive(lane)
        assert (parent == race.pid) is not forked
        race.send_signal(signal.SIGKILL)
        race.wait()
        assert ends_soon(lane)
        assert not forked or ends_soon(parent)


# --- the server ---

forked_only = pytest.mark.skipif(not server.POSSIBLE, reason=NOT_FORKED)


def family(lanes: Lanes) -> list[tuple[int, int]]:
    """Each lane's process, and the process that it came from."""
    results = by_key(lanes.run([Task(str(n), tasks.family, (0.3,)) for n in range(len(lanes))]))
    return [result.value for result in results.values()]


@forked_only
def test_lanes_are_forked_with_what_was_imported_and_outlive_their_server() -> None:
    with served(True, "torch", "lane_tasks") as started:
        assert started is not None
        with server.ahead(["antigravity"]):
            assert server.current() is started  # there is one already
        with Lanes(2) as lanes:
            lanes.prepare(tasks.remember, "prepared")
            first = family(lanes)
            assert len({lane for lane, _ in first}) == 2
            assert {parent for _, parent in first} == {started.pid}
            random = by_key(lanes.run([Task(str(n), tasks.draw, (0.3,)) for n in range(2)]))
            assert random["0"].value != random["1"].value

            os.kill(started.pid, signal.SIGINT)  # Ctrl-C is the race's to handle
            (result,) = lanes.run([Task("dies", tasks.die, ())])
            assert isinstance(result.error, LaneDied)
            assert {parent for _, parent in family(lanes)} == {started.pid}

            os.kill(started.pid, signal.SIGKILL)
            assert ends_soon(started.pid)
            before = family(lanes)
            (result,) = lanes.run([Task("dies", tasks.die, ())])
            assert isinstance(result.error, LaneDied)
            after = family(lanes)
            assert os.getpid() in {parent for _, parent in after}  # a process of its own replaces a lane that dies now
            assert len({lane for lane, _ in before} & {lane for lane, _ in after}) == 1
            (told,) = lanes.run([Task("a", tasks.look, ("", ["prepared"]))])
            assert told.value == (True, ["prepared"])
    assert all(ends_soon(lane) for lane, _ in after)


@forked_only
@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "starts_a_thread",
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        ),
        ("cannot_be_imported", "raise SystemExit(3)"),
    ],
)
def test_where_nothing_can_be_forked_lanes_are_processes_of_their_own(
    module: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with served(True, module), Lanes(2) as lanes:
        assert {parent for _, parent in family(lanes)} == {os.getpid()}


@forked_only
def test_a_server_that_is_not_needed_ends_before_it_has_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "takes_long.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    began = time.monotonic()
    with served(True, "takes_long") as started, Lanes(1):
        assert started is not None
        assert alive(started.pid)
    assert not alive(started.pid)
    assert time.monotonic() - began < 30


@forked_only
def test_a_server_that_still_imports_ends_with_its_race(tmp_path: Path) -> None:
    (tmp_path / "takes_long.py").write_text("import time\nfor _ in range(600):\n    time.sleep(0.1)")
    source = Path(gradrace.errors.__file__).parents[1]
    script = "from gradrace.engine.server import Server; print(Server(['takes_long']).pid, flush=True); input()"
    race = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(tmp_path)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with race:
        assert race.stdout is not None
        pid = int(race.stdout.readline())
        assert alive(pid)
        race.kill()
    assert ends_soon(pid)


@forked_only
def test_nothing_is_forked_for_cuda() -> None:
    with served(True), Lanes(1, "cuda") as lanes:
        assert [parent for _, parent in family(lanes)] == [os.getpid()]
