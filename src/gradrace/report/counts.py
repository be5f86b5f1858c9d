"""How far a race is, counted from what a watch is told."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gradrace.outcomes import Outcome


class Counts:
    """What displays of a race under way show, and how it follows from what they are told."""

    def __init__(self, direction: str) -> None:
        self.sign = 1.0 if direction == "max" else -1.0
        self.stage = "starting"
        self.trials = self.trials_done = 0
        self.steps = self.steps_done = self.afterwards = 0
        self.trained_steps, self.began = 0, time.monotonic()
        self.first_steps: float | None = None
        self.best: dict[str, tuple[int, float]] = {}

    def begin(self, name: str, trials: int, steps: int, afterwards: int) -> None:
        """A stage begins."""
        self.stage, self.trials, self.steps, self.afterwards = name, trials, steps, afterwards
        self.trials_done = self.steps_done = 0
        self.best = {}

    def add(self, steps: int) -> None:
        """Steps were trained."""
        if self.first_steps is None:
            self.first_steps = time.monotonic() - 0.2
        self.steps_done += steps
        self.trained_steps += steps

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """A block is done."""
        self.trials_done += len(outcomes)
        for outcome in outcomes:
            if outcome.validation is not None:
                value = (outcome.steps, self.sign * outcome.validation)
                self.best[outcome.contender] = max(value, self.best.get(outcome.contender, value))

    @property
    def rate(self) -> float:
        """Trial-steps per second since the first."""
        if self.first_steps is None:
            return 0.0
        return self.trained_steps / max(0.2, time.monotonic() - self.first_steps)

    @property
    def seconds_left(self) -> float | None:
        """Time left at this rate, as far as it is known."""
        if self.rate == 0:
            return None
        return (max(0, self.steps - self.steps_done) + self.afterwards) / self.rate

    def left(self) -> str:
        """Time left at this rate, as a person says it."""
        seconds = self.seconds_left
        if seconds is None:
            return "?"
        return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

    @property
    def best_so_far(self) -> tuple[str, float] | None:
        """Whose trial is best, among those trained furthest, and its value. Not a verdict."""
        if not self.best:
            return None
        label = max(self.best, key=lambda name: self.best[name])
        return label, self.sign * self.best[label][1]

    def leader(self) -> str:
        """The same as words."""
        found = self.best_so_far
        return "" if found is None else f"{found[0]} ({found[1]:.4g})"

    def told(self) -> str:
        """All of it on one line."""
        if self.steps == 0:
            return f"{self.stage}: {time.monotonic() - self.began:.0f} s"
        leader = f", leader so far {self.leader()}" if self.best else ""
        return (
            f"{self.stage}: {self.trials_done} of {self.trials} trials, {self.rate:,.0f} trial-steps/s, "
            f"{self.left()} left{leader}"
        )
