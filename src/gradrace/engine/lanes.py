"""Lanes on this machine: one process for each core, fed with tasks, replaced when they die."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from gradrace.engine.server import current, environment
from gradrace.engine.wire import packed, receive, send
from gradrace.errors import GradraceError

_log = logging.getLogger(__name__)

MOST_IDLE_DEATHS = 4
"""Lanes that die with nothing to do, one after another, die in their set-up, and will again."""
STARTING = 300.0
"""Seconds that a lane may be silent, at least, until it has imported what it needs."""
TICK_SECONDS = 0.5
"""Whoever waits for lanes is told at least so often that nothing has come."""
KILLED = -getattr(signal, "SIGKILL", 9)
"""The exit status of a process that was killed; Windows has no such signal, and no such status either."""
CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT")


class LaneDied(GradraceError):
    """A lane's process ended in the middle of a task.

    ``code``: its exit status, negative for a signal; None where nobody could tell. ``silent``: it was stopped, because
    it had not made headway for so many seconds.
    """

    def __init__(self, sentence: str, code: int | None = None, silent: float = 0.0) -> None:
        super().__init__(sentence)
        self.code, self.silent = code, silent

    @property
    def memory(self) -> bool:
        """Whether it may have been ended because memory ran out: the system kills then, and says no more."""
        return not self.silent and self.code in (None, KILLED)


def how_it_ended(code: int | None) -> str:
    """An exit status in words.

    >>> how_it_ended(-11)
    'it crashed in native code (SIGSEGV)'
    """
    if code is None:
        return "nobody can tell how"
    if code >= 0:
        return f"it exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if code == KILLED:
        return f"it was killed ({name}), as the system does when memory runs out"
    return f"it crashed in native code ({name})" if name in CRASHES else f"it was ended by {name}"


@dataclass(frozen=True)
class Task:
    """``function(state, progress, *arguments)``, run in some lane.

    ``state`` is a dict that belongs to the lane and lasts as long as it; it holds the lane's ``Clock`` as "clock".
    ``progress(trial_steps)`` reports work done. A task with ``after`` begins when the task of that key has ended and
    its result has been dealt with; its arguments are as they are then. ``tries``: how many lanes it may take along.
    """

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: str | None = None
    tries: int = 2


@dataclass(frozen=True)
class Result:
    """What became of a task: a value, or the error that it raised (``LaneDied`` if it took its process with it)."""

    key: str
    value: Any = None
    error: Exception | None = None


class _Process:
    """One lane's process and the thread that listens to it."""

    def __init__(self, number: int, inbox: queue.Queue[tuple[_Process, Any]], device: str) -> None:
        self.number = number
        self.pid: int | None = None
        """The process, once it has told."""
        self.task: Task | None = None
        self.heard = 0.0
        """When it last said anything, or got its task."""
        self.ready = False
        """Whether it has said that it is: what it imports before takes as long as it takes."""
        self._inbox = inbox
        server = current()
        self._server = server if server is not None and server.usable and device != "cuda" else None
        self._process = None
        if self._server is None:
            self._process = _own_process(number, device)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._streams: tuple[IO[bytes], IO[bytes]] = self._process.stdin, self._process.stdout
        else:
            (requests, ours), (our, replies) = os.pipe(), os.pipe()
            self._streams = os.fdopen(ours, "wb"), os.fdopen(our, "rb")
            self._server.fork(requests, replies)
            os.close(requests)
            os.close(replies)
        threading.Thread(target=self._listen, daemon=True).start()
        self.send(list(sys.path))

    def send(self, message: Any) -> None:
        # A lane that is already gone is noticed by the listener, which then reports its task.
        with contextlib.suppress(BrokenPipeError):
            send(self._streams[0], message)

    def _listen(self) -> None:
        while True:
            try:
                message = receive(self._streams[1])
            except (EOFError, OSError, ValueError):
                if self.pid is None and self._server is not None:
                    self._server.usable = False  # it is gone, or must not fork
                self._inbox.put((self, ("died", "", None)))
                self._streams[1].close()  # here: elsewhere it would wait for this thread
                return
            if message[0] == "began":
                self.pid = message[2]
                if self._server is not None:
                    self._server.ready = True
            else:
                self._inbox.put((self, message))

    def end(self) -> int | None:
        """End it, if it is not dead already; its exit status, if that is known."""
        code = None
        if self._process is not None:
            self._process.kill()
            code = self._process.wait()
        elif self._server is not None and self.pid is not None:
            code = self._server.end(self.pid)
        with contextlib.suppress(OSError):
            self._streams[0].close()
        return code


def _own_process(number: int, device: str) -> subprocess.Popen[bytes]:
    """A lane that imports for itself."""
    return subprocess.Popen(
        [sys.executable, "-m", "gradrace.engine.lane", str(time.time())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment(), **(_one_device(number) if device == "cuda" else {})},
    )


def _one_device(number: int) -> dict[str, str]:
    """The environment of a lane that has one CUDA device for itself, and may be asked to be deterministic."""
    known = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = known.split(",") if known else [str(place) for place in range(number + 1)]
    return {"CUDA_VISIBLE_DEVICES": visible[number % len(visible)], "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


class Lanes:
    """``count`` processes that start at once and live until ``close``; on CUDA each has a device of its own.

    Inside ``server.ahead`` they are forked from what is imported already.
    """

    def __init__(self, count: int, device: str = "cpu") -> None:
        self._device = device
        self._inbox: queue.Queue[tuple[_Process, Any]] = queue.Queue()
        self._processes = [self._begin(number) for number in range(count)]
        self._setup: tuple[bytes, ...] = ()
        self.seconds: Counter[str] = Counter()
        """What the lanes spent their time on, all together."""

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._processes)

    def prepare(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have every lane, also one that replaces a dead one, run this before its next task."""
        message = packed(("", function, arguments))
        self._setup = (*self._setup, message)
        for process in self._processes:
            process.send(message)

    def run(
        self,
        tasks: Sequence[Task],
        progress: Callable[[int], None] = lambda trial_steps: None,
        patience: float = math.inf,
    ) -> Iterator[Result]:
        """Run the tasks, first come first served, and yield each result as it comes.

        A task whose lane dies is run again in a fresh one, as often as it may be; then its result is a ``LaneDied``. So
        it is, at once, where a lane says nothing for ``patience`` seconds. While nothing comes, ``progress(0)``
        is called now and then: what it raises ends the wait.
        """
        waiting, deaths, idle_deaths = list(reversed(tasks)), Counter[str](), 0
        ended: set[str | None] = {None}
        outstanding = len(waiting)
        self._feed(waiting, ended)
        while outstanding:
            process, (kind, key, value) = self._next(patience, progress)
            task = process.task
            if process not in self._processes:
                continue  # the last words of a lane that has been replaced
            process.heard = self._now()
            if kind == "ready":
                process.ready = True
            elif kind == "progress":
                progress(value)
            elif kind == "seconds":
                self.seconds.update(value)
            elif kind == "unreadable" or (kind == "error" and not key):
                raise value if isinstance(value, GradraceError) else GradraceError(value)
            elif kind in ("died", "silent"):
                idle_deaths += task is None
                _log.warning("A lane died%s; another takes its place.", "" if task is None else f" with {task.key}")
                if idle_deaths > MOST_IDLE_DEATHS:
                    raise GradraceError("Lanes keep dying before they are given work. What they print says why.")
                code = self._replace(process)
                if task is not None:
                    deaths[task.key] += 1
                    if kind == "silent" or deaths[task.key] >= task.tries:
                        outstanding -= 1
                        yield Result(task.key, error=_died(deaths[task.key], code, patience if kind == "silent" else 0))
                        ended.add(task.key)
                    else:
                        waiting.append(task)
                self._feed(waiting, ended)
            elif task is not None and key == task.key:  # else it was answered before
                process.task, idle_deaths = None, 0
                self._feed(waiting, ended)
                outstanding -= 1
                yield Result(key, value) if kind == "result" else Result(key, error=value)
                ended.add(key)
                self._feed(waiting, ended)

    def _next(self, patience: float, progress: Callable[[int], None]) -> tuple[_Process, Any]:
        """The next message; or that a lane has been silent for too long, as if it said so itself."""
        while True:
            busy = [process for process in self._processes if process.task is not None]
            ends = {p: p.heard + (patience if p.ready else max(patience, STARTING)) for p in busy}
            first = min(busy, key=lambda process: ends[process], default=None)
            left = math.inf if first is None else ends[first] - self._now()
            if first is not None and left <= 0 and self._inbox.empty():
                return first, ("silent", "", None)
            try:
                return self._inbox.get(timeout=min(max(left, 0.0), TICK_SECONDS))
            except queue.Empty:
                progress(0)

    def _now(self) -> float:
        return time.monotonic()

    def _begin(self, number: int) -> _Process:
        """A lane's process."""
        return _Process(number, self._inbox, self._device)

    def _feed(self, waiting: list[Task], ended: set[str | None]) -> None:
        """Give every lane without a task the next one that may begin."""
        for process in self._processes:
            ready = [place for place, task in enumerate(waiting) if task.after in ended]
            if process.task is None and ready:
                process.task, process.heard = waiting.pop(ready[-1]), self._now()
                process.send((process.task.key, process.task.function, process.task.arguments))

    def _replace(self, old: _Process) -> int | None:
        """Put a fresh lane into the place of one that is dead or must die; the exit status of that."""
        new = self._begin(old.number)
        self._processes[self._processes.index(old)] = new
        code = old.end()
        for message in self._setup:
            new.send(message)
        return code

    def close(self) -> None:
        """End every lane, whatever it is doing."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.end()


def _died(times: int, code: int | None, silent: float) -> LaneDied:
    if silent:
        sentence = f"The process that trained this made no headway for {silent:.4g} seconds and was stopped."
        return LaneDied(f"{sentence} Where that is not enough, allow more by --trial-timeout.", code, silent)
    often = {1: "", 2: ", twice"}.get(times, f", {times} times")
    return LaneDied(f"The process that trained this died{often}: {how_it_ended(code)}.", code)
