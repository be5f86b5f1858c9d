"""The best process-parallel torch loop: a process with one thread for each core, one model after another.

``zero_grad``, ``backward``, ``step`` with the mode of ``torch.optim`` that is fastest for the model, and nothing else:
no losses are read, no models scored.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from engine_ratio import CONTENDERS

from gradrace.engine.products import onednn
from gradrace.workloads import Workload, workload

from ._plain import batches, make_optimizer
from ._workers import Chunk, Workers, serve

STEPS = 25  # of one optimizer, before the next has its turn
LEARNING_RATE = 0.001
MODES = ({"fused": True}, {"foreach": True}, {"foreach": False})


def trial(work: Workload, name: str, mode: dict[str, bool]) -> Iterator[int]:
    """A trial of one optimizer that never ends, STEPS steps at a time."""
    assert work.model is not None
    model = work.model()
    model.train()
    optimizer = make_optimizer(name, model.parameters(), mode, lr=LEARNING_RATE)
    drawn = batches(work, model)
    while True:
        for _ in range(STEPS):
            batch = next(drawn)
            optimizer.zero_grad()
            work.loss_of(model, batch).backward()
            optimizer.step()
        yield STEPS


def best_modes(work: Workload) -> dict[str, dict[str, bool]]:
    """The fastest mode of ``torch.optim`` for each contender on this model."""
    best = {}
    for name in CONTENDERS:
        found: list[tuple[float, dict[str, bool]]] = []
        for mode in MODES:
            steps = trial(work, name, mode)
            try:
                next(steps)
            except (RuntimeError, TypeError):
                continue  # this class has no fused mode
            start = time.perf_counter()
            next(steps)
            next(steps)
            found.append((time.perf_counter() - start, mode))
        best[name] = min(found, key=lambda one: one[0])[1]
    return best


def prepare(name: str) -> tuple[Chunk, dict[str, Any]]:
    """Find the fastest modes, and warm up."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    work = workload(name)
    modes = best_modes(work)
    trials = [trial(work, contender, modes[contender]) for contender in CONTENDERS]

    def chunk() -> int:
        return sum(next(one) for one in trials)

    chunk()
    faster = min((False, True), key=lambda use: _seconds(chunk, use))
    named = {contender: " ".join(k if v else f"no {k}" for k, v in mode.items()) for contender, mode in modes.items()}
    return onednn(faster)(chunk), {"modes": {**named, "products": "oneDNN" if faster else "MKL"}}


def _seconds(chunk: Chunk, use: bool) -> float:
    """Seconds of a chunk where oneDNN computes matrix products, or not: see ``gradrace.engine.products``."""
    with onednn(use):
        chunk()
        start = time.perf_counter()
        chunk()
        return time.perf_counter() - start


class TorchLoop:
    """Two such processes."""

    def __init__(self, name: str) -> None:
        self._workers = Workers("torch_loop", [name])
        self.modes: dict[str, str] = self._workers.told[0]["modes"]

    def rate(self, seconds: float) -> float:
        """Trial-steps per second."""
        return self._workers.rate(seconds)

    def close(self) -> None:
        """End the processes."""
        self._workers.close()


if __name__ == "__main__":
    serve(lambda: prepare(sys.argv[1]))
