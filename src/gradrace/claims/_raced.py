"""A finished race as a claim sees it: its summary, and the outcomes of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome, Stage
from gradrace.verdict import Direction


class Raced:
    """A finished race.

    Attributes:
        summary: as ``gradrace show --json`` prints it.
        outcomes: of every trial.
        direction: whether less or more of the metric is better.
        metric: its name.
        labels: of the contenders, as they were entered.
    """

    def __init__(self, summary: Mapping[str, Any], outcomes: Sequence[Outcome]) -> None:
        self.summary, self.outcomes = summary, outcomes
        self.direction: Direction = summary["workload"]["direction"]
        self.metric: str = summary["workload"]["metric"]
        self.labels: list[str] = list(summary["plan"]["contenders"])
        self._rows = {row["label"]: row for row in summary["standings"]}

    @property
    def name(self) -> str:
        """The workload's."""
        return self.summary["workload"]["name"]

    def row(self, label: str) -> Mapping[str, Any]:
        """A contender's row of the standings."""
        return self._rows[label]

    def scores(self, label: str) -> np.ndarray:
        """Test values of the studies' choices [K, S], censored as in the verdict."""
        return np.asarray(self._rows[label]["test"]["values"], dtype=float)

    def mean(self, label: str) -> float:
        """The mean test value over studies."""
        return float(self._rows[label]["test"]["mean"])

    def best(self) -> str:
        """The contender with the best mean test value."""
        return self.summary["standings"][0]["label"]

    def gain(self) -> float:
        """How much better than untrained the best contender's mean is, in the metric's units; at least 0.

        Where the untrained model's value is not known, the size of the best value.
        """
        best, untrained = self.mean(self.best()), self.summary["plan"]["untrained"]
        if untrained is None:
            return abs(best)
        return max(0.0, (best - untrained) * (1 if self.direction == "max" else -1))

    def confirmed(self, label: str) -> list[Outcome]:
        """The confirmation trials of a contender, study after study."""
        found = [o for o in self.outcomes if o.stage is Stage.CONFIRMATION and o.contender == label]
        return sorted(found, key=lambda outcome: (outcome.study, outcome.seed))

    def tuned(self, label: str, study: int) -> list[Outcome]:
        """The tuning trials of a contender's study, in the order of their points."""
        found = [o for o in self.outcomes if o.stage is Stage.TUNING and (o.contender, o.study) == (label, study)]
        return sorted(found, key=lambda outcome: outcome.point)

    def others(self, label: str, name: str) -> np.ndarray:
        """A further metric of the test split [K, S], NaN where a trial has none."""
        table = np.full(self.scores(label).shape, np.nan)
        for outcome in self.confirmed(label):
            table[outcome.study, outcome.seed - 1] = outcome.others.get(name, np.nan)
        return table

    def curve_at(self, label: str, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Validation values [K, S] of the confirmation trials at the last checkpoint up to a share of the steps.

        Returns:
            The steps of those checkpoints, and the values; both NaN where a trial has none.
        """
        shape = self.scores(label).shape
        steps, values = np.full(shape, np.nan), np.full(shape, np.nan)
        for outcome in self.confirmed(label):
            wanted = share * self.summary["plan"]["steps_of"][label]
            reached = [index for index, step in enumerate(outcome.curve.step) if step <= wanted]
            value = outcome.curve.validation[reached[-1]] if reached else None
            if value is not None:
                where = outcome.study, outcome.seed - 1
                steps[where], values[where] = outcome.curve.step[reached[-1]], value
        return steps, values
