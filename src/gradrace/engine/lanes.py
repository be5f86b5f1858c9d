"""Lanes on this machine: one process for each core, fed with tasks, replaced when they die."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
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
"""Lanes that die with nothing to do die in their set-up, and will again."""


class LaneDied(GradraceError):
    """A lane's process ended in the middle of a task."""


@dataclass(frozen=True)
class Task:
    """``function(state, progress, *arguments)``, run in some lane.

    ``state`` is a dict that belongs to the lane and lasts as long as it; it holds the lane's ``Clock`` as "clock".
    ``progress(trial_steps)`` reports work done. A task with ``after`` begins when the task of that key has ended and
    its result has been dealt with; its arguments are as they are then.
    """

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: str | None = None


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

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        elif self._server is not None and self.pid is not None:
            self._server.end(self.pid)
        with contextlib.suppress(OSError):
            self._streams[0].close()


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
        self._processes = [_Process(number, self._inbox, device) for number in range(count)]
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
        self, tasks: Sequence[Task], progress: Callable[[int], None] = lambda trial_steps: None
    ) -> Iterator[Result]:
        """Run the tasks, first come first served, and yield each result as it comes.

        A task whose lane dies is run once more in a fresh one; if that dies too, its result is a ``LaneDied``.
        """
        waiting, died, idle_deaths = list(reversed(tasks)), set[str](), 0
        ended: set[str | None] = {None}
        outstanding = len(waiting)
        self._feed(waiting, ended)
        while outstanding:
            process, message = self._inbox.get()
            if process not in self._processes:
                continue  # the last words of a lane that has been replaced
            kind, key, value = message
            if kind == "progress":
                progress(value)
            elif kind == "seconds":
                self.seconds.update(value)
            elif kind == "unreadable" or (kind == "error" and not key):
                raise value if isinstance(value, GradraceError) else GradraceError(value)
            elif kind == "died":
                task = process.task
                idle_deaths += task is None
                _log.warning("A lane died%s; another takes its place.", "" if task is None else f" with {task.key}")
                if idle_deaths > MOST_IDLE_DEATHS:
                    raise GradraceError("Lanes keep dying before they are given work. What they print says why.")
                self._replace(process)
                if task is not None and task.key in died:
                    outstanding -= 1
                    yield Result(task.key, error=LaneDied("The process that trained this block died, twice."))
                    ended.add(task.key)
                elif task is not None:
                    died.add(task.key)
                    waiting.append(task)
                self._feed(waiting, ended)
            elif key:
                process.task = None
                self._feed(waiting, ended)
                outstanding -= 1
                yield Result(key, value) if kind == "result" else Result(key, error=value)
                ended.add(key)
                self._feed(waiting, ended)

    def _feed(self, waiting: list[Task], ended: set[str | None]) -> None:
        """Give every lane without a task the next one that may begin."""
        for process in self._processes:
            ready = [place for place, task in enumerate(waiting) if task.after in ended]
            if process.task is None and ready:
                process.task = waiting.pop(ready[-1])
                process.send((process.task.key, process.task.function, process.task.arguments))

    def _replace(self, old: _Process) -> None:
        new = _Process(old.number, self._inbox, self._device)
        self._processes[self._processes.index(old)] = new
        old.end()
        for message in self._setup:
            new.send(message)

    def close(self) -> None:
        """End every lane, whatever it is doing."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.end()
