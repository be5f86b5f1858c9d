"""The real loop over lanes, with processes that speak, die, hang and repeat themselves as a seed wills it."""

from __future__ import annotations

import queue
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gradrace.engine.lanes import Lanes
from race.simulation.fake_store import Broken
from race.simulation.made_up import Made, trials_of

CODES = (None, -9, -9, -11, 1)
QUIET_TICKS = 4
"""Half seconds that a lane is silent at most if nothing ails it: less than the race waits, or it would be blamed."""


class Killed(BaseException):
    """The race's process is gone, as by ``kill -9``."""


class FakeProcess:
    """A lane that does nothing until the world has it speak."""

    def __init__(self, number: int) -> None:
        self.number, self.task, self.heard, self.ready = number, None, 0.0, False

    def send(self, message: Any) -> None:
        return

    def end(self) -> int | None:
        return self.code

    code: int | None = None
    quiet = 0


@dataclass
class World:
    """One race's fate. ``trouble``: how often something goes wrong; 0 for never."""

    race: Made
    seed: int
    trouble: float
    now: float = 0.0
    accidents: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def __post_init__(self) -> None:
        self.luck = random.Random(f"fate {self.seed} {self.race.number}")

    def happens(self, chance: float) -> bool:
        return self.trouble > 0 and self.luck.random() < chance * self.trouble

    def mishap(self) -> None:
        """The race's process may be killed here, or interrupted; not more than some times."""
        if self.kills < 4 and self.happens(0.02):
            self.kills += 1
            self.seen["killed" if self.kills % 2 else "interrupted"] += 1
            raise Killed if self.kills % 2 else KeyboardInterrupt


class FakeInbox:
    """What lanes say, when the world wills it."""

    def __init__(self, world: World, lanes: FakeLanes) -> None:
        self.world, self.lanes = world, lanes
        self.late: list[tuple[Any, Any]] = []

    def empty(self) -> bool:
        return True

    def get(self, timeout: float) -> tuple[Any, Any]:
        world = self.world
        world.mishap()
        if self.late and world.happens(0.5):
            world.seen["repeated or late"] += 1
            return self.late.pop(world.luck.randrange(len(self.late)))
        processes = list(self.lanes._processes)
        world.luck.shuffle(processes)
        for process in processes:
            said = self.said(process)
            if said is not None:
                return process, said
        if not self.late and all(process.task is None for process in processes):
            raise Broken("Nobody is at work, and the race waits.")
        world.now += timeout + 1e-6  # a clock that stood still would be waited for forever
        raise queue.Empty

    def said(self, process: Any) -> Any:
        world, task = self.world, process.task
        if task is None:
            if world.accidents["idle"] < 2 and world.happens(0.01):
                world.accidents["idle"] += 1
                world.seen["an idle lane died"] += 1
                return "died", "", None
            return None
        if not process.ready:
            return "ready", "", None
        kinds = {world.race.kind(trial.id) for trial in trials_of(task.function, task.arguments)}
        if "hangs" in kinds and "kills" not in kinds:
            world.seen["a trial hung"] += 1
            return None
        if world.happens(0.3):
            process.quiet = 0
            return (
                ("progress", "", world.luck.randint(0, 9))
                if world.luck.random() < 0.7
                else ("seconds", "", {"train": 1.0})
            )
        if process.quiet < QUIET_TICKS and world.happens(0.3):
            process.quiet += 1
            return None  # slow: others are heard first
        if "kills" in kinds:
            process.code = world.luck.choice(CODES)
            world.seen["a trial took its lane along"] += 1
            return "died", "", None
        value = self.value(task)
        # A trial by itself whose lane dies twice is to blame, and a try ends the race then: accidents befall them once.
        alone = len(trials_of(task.function, task.arguments)) <= 1
        if (not alone or not world.accidents[task.key]) and world.happens(0.1):
            world.accidents[task.key] += 1
            process.code = world.luck.choice(CODES)
            if world.luck.random() < 0.3:
                self.late.append((process, ("result", task.key, value)))
            world.seen["a lane died"] += 1
            return "died", "", None
        if world.happens(0.2):
            self.late.append((process, ("result", task.key, value)))
        return "result", task.key, value

    def value(self, task: Any) -> Any:
        return task.function(self.world.race, *task.arguments)


class FakeLanes(Lanes):
    """The real loop over lanes, with processes that the world has speak."""

    world: World

    def __init__(self, count: int, device: str = "cpu") -> None:
        self._device = device
        self._inbox: Any = FakeInbox(self.world, self)
        self._processes: Any = [self._begin(number) for number in range(count)]
        self._setup = ()
        self.seconds = Counter()

    def prepare(self, function: Callable[..., Any], *arguments: Any) -> None:
        return

    def _now(self) -> float:
        return self.world.now

    def _begin(self, number: int) -> Any:
        return FakeProcess(number)
