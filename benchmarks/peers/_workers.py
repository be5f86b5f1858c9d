"""Processes that wait, work for so many seconds when they are told to, and say how many trial-steps they made.

A contestant is prepared once and then takes its turns; between them its processes wait for a line on standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Chunk = Callable[[], int]
"""Does a little work and returns the trial-steps of it."""


class WorkerFailed(Exception):
    """A worker ended before it had answered; what it printed says why."""


class Workers:
    """``count`` processes of ``python -m peers.MODULE ARGUMENTS``, ready when this returns."""

    def __init__(
        self, module: str, arguments: list[str], count: int = 2, environment: dict[str, str] | None = None
    ) -> None:
        path = os.pathsep.join([str(HERE), *(place for place in sys.path if place)])
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"peers.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path, **(environment or {})},
            )
            for _ in range(count)
        ]
        try:
            self.told = [self._answer(process) for process in self._processes]
        except BaseException:
            self.close()
            raise

    def rate(self, seconds: float) -> float:
        """Trial-steps per second of all of them together, over so many seconds."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        answers = [self._answer(process) for process in self._processes]
        return sum(answer["count"] / answer["seconds"] for answer in answers)

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise WorkerFailed(f"A worker ended with exit code {process.wait()}.")
        return json.loads(line)

    def close(self) -> None:
        """End them all."""
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, AttributeError):
                    stream.close()  # pyright: ignore[reportOptionalMemberAccess]


def serve(prepare: Callable[[], tuple[Chunk, dict[str, Any]]]) -> None:
    """The worker's side: prepare, tell what was prepared, then work as often as a line asks, until the input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print does not get between the answers
    chunk, told = prepare()
    print(json.dumps(told), file=replies, flush=True)
    for line in sys.stdin:
        until, count = float(line), 0
        start = time.perf_counter()
        while (taken := time.perf_counter() - start) < until or not count:
            count += chunk()
        print(json.dumps({"count": count, "seconds": taken}), file=replies, flush=True)
