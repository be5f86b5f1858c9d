"""What the tuning trials tell beside the verdict: robustness to the learning rate, and smaller budgets.

Trials that were dropped are compared with the others only where all of them were: at the first rung.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome, Stage
from gradrace.verdict import Direction, best_of_n, lr_robustness, probability_best

TOLERANCE = 0.05
"""A learning rate is safe if its trial is this close to the best one, as a share of the best value's size."""


def first_rung_values(outcomes: Sequence[Outcome]) -> tuple[int, np.ndarray]:
    """The last step that every trial which did not diverge has seen, and each one's metric there (NaN otherwise)."""
    ends = [outcome.curve.step[-1] for outcome in outcomes if outcome.validation is not None and outcome.curve.step]
    step = min(ends, default=0)
    values = []
    for outcome in outcomes:
        curve = dict(zip(outcome.curve.step, outcome.curve.validation, strict=True))
        value = curve.get(step)
        values.append(np.nan if value is None or outcome.validation is None else value)
    return step, np.array(values, dtype=float)


def robustness(tuning: Sequence[Outcome], numbers: Mapping[str, Any], direction: Direction) -> float | None:
    """Decades of learning rate around the best that are nearly as good, averaged over studies; None without trials.

    Nearly: within 5 % of the best value's size (an accuracy of 0.95 counts from 0.9025), at the first rung.
    """
    widths = []
    for study in range(numbers["studies"]):
        trials = [outcome for outcome in tuning if outcome.study == study and "lr" in outcome.configuration]
        if not trials:
            continue
        _, values = first_rung_values(trials)
        if not np.isfinite(values).any():
            widths.append(0.0)
            continue
        best = np.nanmax(values) if direction == "max" else np.nanmin(values)
        rates = [outcome.configuration["lr"] for outcome in trials]
        widths.append(lr_robustness(rates, values, direction, TOLERANCE * abs(best), np.isfinite(values)))
    return float(np.mean(widths)) if widths else None


def budget_curves(
    outcomes: Sequence[Outcome], labels: Sequence[str], numbers: Mapping[str, Any], direction: Direction
) -> dict[str, Any]:
    """Expected best validation value after 1, 2, … N trials, and the probability of being best with 1 and with N."""
    studies, trials = numbers["studies"], numbers["trials"]
    table = {label: np.full((studies, trials), np.nan) for label in labels}
    steps = set()
    for label in labels:
        for study in range(studies):
            tuning = [o for o in outcomes if o.stage is Stage.TUNING and o.contender == label and o.study == study]
            step, values = first_rung_values(tuning)
            steps.add(step)
            for outcome, value in zip(tuning, values, strict=True):
                table[label][study, outcome.point] = value
    several = {n: probability_best(table, direction, n) for n in sorted({1, trials})}
    return {
        "at_step": max(steps, default=0),
        "best_of_n": {label: [_number(v) for v in best_of_n(values, direction)] for label, values in table.items()},
        "probability_best": {label: {str(n): chances[label] for n, chances in several.items()} for label in labels},
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
