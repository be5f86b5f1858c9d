"""Lanes without processes, for tests of what is told to lanes and what becomes of it."""

from __future__ import annotations

import math
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from gradrace.engine.clock import Clock
from gradrace.engine.lanes import Result, Task
from gradrace.errors import GradraceError


class InlineLanes:
    """Runs every task in this process, one after another."""

    ran: ClassVar[list[str]] = []
    """Keys of all tasks run since the test began."""

    def __init__(self, count: int, device: str = "cpu") -> None:
        self.count, self.state = count, {"clock": Clock()}
        self.seconds: Counter[str] = Counter()

    def __len__(self) -> int:
        return self.count

    def __enter__(self) -> InlineLanes:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def prepare(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(self.state, lambda trial_steps: None, *arguments)

    def run(
        self,
        tasks: Sequence[Task],
        progress: Callable[[int], None] = lambda trial_steps: None,
        patience: float = math.inf,
    ) -> Iterator[Result]:
        for task in tasks:
            type(self).ran.append(task.key)
            try:
                result = Result(task.key, task.function(self.state, progress, *task.arguments))
            except GradraceError as error:
                result = Result(task.key, error=error)
            except Exception:  # as a lane answers
                result = Result(task.key, error=GradraceError(traceback.format_exc()))
            self.seconds.update(self.state["clock"].taken())
            yield result
