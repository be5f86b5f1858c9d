"""Training loops of users' own: generators that tell how far they are, or functions that call back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

Report = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True)
class TrainingLoop:
    """A user's own training: the function, and the keys of what it yields that trials are judged by."""

    train: Callable[..., Iterable[Report]]
    metric: str
    test_metric: str


class StopTraining(Exception):
    """Raised by ``report`` when the race has seen enough of a trial."""


def reporting(train: Callable[..., Any]) -> Callable[..., Iterator[Report]]:
    """Make a training loop that a race can follow of a function that calls back.

    Args:
        train: ``train(make_optimizer, seed, report)``. It calls ``report(step, {metric: value})`` from time to time,
            from a callback of its trainer for instance. That call returns when the race wants more, and raises
            ``StopTraining`` when the race has seen enough, so that the function ends early.

    Returns:
        A function for ``Workload.from_training_loop(train=...)``. The function given runs in a thread of its own, which
        waits whenever the race does something else: never two at a time.

    >>> @reporting
    ... def train(make_optimizer, seed, report):
    ...     for step in (1, 2):
    ...         report(step, {"loss": 1 / step})
    >>> list(train(None, 0))
    [(1, {'loss': 1.0}), (2, {'loss': 0.5})]
    """

    @wraps(train)
    def generator(make_optimizer: Any, seed: int) -> Iterator[Report]:
        reports: queue.Queue[Report | BaseException | None] = queue.Queue()
        turns: queue.Queue[bool] = queue.Queue()

        def wait() -> None:
            if not turns.get():
                turns.put(False)  # for a trainer that catches the first
                raise StopTraining

        def report(step: int, values: Mapping[str, Any]) -> None:
            reports.put((step, dict(values)))
            wait()

        def run() -> None:
            try:
                wait()
                train(make_optimizer, seed, report)
                reports.put(None)
            except StopTraining:
                reports.put(None)
            except BaseException as error:
                reports.put(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            while True:
                turns.put(True)
                told = reports.get()
                if told is None:
                    return
                if isinstance(told, BaseException):
                    raise told
                yield told
        finally:
            turns.put(False)
            thread.join()

    return generator
