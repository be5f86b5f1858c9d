"""What the tuning trials tell beside the verdict: robustness to the learning rate, and smaller budgets.

Trials that were dropped are compared with the others only where all of them were: at the first rung.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome, Stage, by_study
from gradrace.randomness import seed_of
from gradrace.verdict import (
    FEWEST_STUDIES,
    Direction,
    Robustness,
    best_of_n_by_study,
    bootstrap_interval,
    halving_regret,
    lr_range,
    mean_interval,
    probability_best_by_study,
    robustness,
)

TOLERANCE = 0.05
"""A learning rate is safe if its trial is this close to the best one, as a share of the best value's size."""

RUNG_PARTS = (4, 2, 1)
"""Halving compares trials at the steps divided by these. The race's own rungs, which this package cannot import."""


def first_rung_values(outcomes: Sequence[Outcome]) -> tuple[int, np.ndarray]:
    """The last step that every trial which did not diverge has seen, and each one's metric there (NaN otherwise)."""
    ends = [outcome.curve.step[-1] for outcome in outcomes if outcome.validation is not None and outcome.curve.step]
    step = min(ends, default=0)
    values = []
    for outcome in outcomes:
        at, steps = bisect_left(outcome.curve.step, step), outcome.curve.step
        value = outcome.curve.validation[at] if at < len(steps) and steps[at] == step else None
        values.append(np.nan if value is None or outcome.validation is None else value)
    return step, np.array(values, dtype=float)


def robustness_of(tuning: Sequence[Outcome], studies: int, direction: Direction) -> Robustness | None:
    """One contender's range of learning rates around the best that are nearly as good; None if no trial has an lr.

    Nearly: within 5 % of the best value's size (an accuracy of 0.95 counts from 0.9025), at the first rung. A study
    of which nothing worked has no range.
    """
    ranges = []
    for trials in by_study(o for o in tuning if o.study < studies and "lr" in o.configuration).values():
        _, values = first_rung_values(trials)
        finite = values[np.isfinite(values)]
        best = 0.0 if finite.size == 0 else finite.max() if direction == "max" else finite.min()
        rates = [outcome.configuration["lr"] for outcome in trials]
        ranges.append(lr_range(rates, values, direction, TOLERANCE * abs(best)))
    return robustness(ranges) if ranges else None


def budget_curves(
    outcomes: Sequence[Outcome], labels: Sequence[str], numbers: Mapping[str, Any], direction: Direction
) -> dict[str, Any]:
    """Expected best validation value after 1, 2, … N trials, and the probability of being best then, with 95 % bands.

    Bands hold at each n by itself, and are None with fewer than 3 studies: of the curves the t interval of the mean
    over studies, of the probabilities a bootstrap over studies, whose draws are a function of the race's seed.
    """
    studies, trials = numbers["studies"], numbers["trials"]
    table = {label: np.full((studies, trials), np.nan) for label in labels}
    steps = set()
    for (label, study), tuning in studies_of(outcomes).items():
        step, values = first_rung_values(tuning)
        steps.add(step)
        for outcome, value in zip(tuning, values, strict=True):
            table[label][study, outcome.point] = value
    curves = {label: best_of_n_by_study(values, direction) for label, values in table.items()}
    chances = probability_best_by_study(table, direction)
    mean = {label: found.mean(axis=0).tolist() for label, found in chances.items()}
    seed = seed_of(numbers["seed"], "probability of being best")
    enough = studies >= FEWEST_STUDIES
    return {
        "at_step": max(steps, default=0),
        "best_of_n": {label: [_number(v) for v in found.mean(axis=0)] for label, found in curves.items()},
        "best_of_n_band": {label: _curve_band(found) for label, found in curves.items()} if enough else None,
        "probability_best": {label: {str(n): mean[label][n - 1] for n in sorted({1, trials})} for label in labels},
        "probability_best_by_n": mean,
        "probability_best_band": {label: _chance_band(found, seed) for label, found in chances.items()}
        if enough
        else None,
    }


def halving_regrets(tuning: Sequence[Outcome], steps: int, direction: Direction) -> list[float]:
    """What halving would have cost one contender of a race without it: the regret of each study that has one.

    From the same curves: with a constant schedule a dropped trial's curve is the beginning of the one it would have
    had; with any other schedule this says nothing. The regret is the final validation value of the study's best trial
    less that of the trial that halving would have kept (``verdict.halving_regret``). A trial that was not evaluated at
    a rung is compared at its last checkpoint before it. A study has no regret if nothing ended finite, or if its
    curves begin after a rung.

    Args:
        tuning: the contender's tuning outcomes, trained without halving.
        steps: length of a full trial.
        direction: "min" or "max", whichever is better.
    """
    found = []
    for trials in studies_of(tuning).values():
        rungs = [max(1, steps // part) for part in RUNG_PARTS]
        values = np.array([[_at(outcome, rung) for outcome in trials] for rung in rungs], dtype=float)
        if np.isfinite(values).any(axis=1).all():
            found.append(halving_regret(values, direction))
    return found


def checkpoint(outcomes: Sequence[Outcome], step: float) -> int | None:
    """The last step at or before ``step`` at which any of these was evaluated, or None."""
    return max((at for outcome in outcomes for at in outcome.curve.step if at <= step), default=None)


def value_at(outcome: Outcome, step: int) -> float | None:
    """A trial's validation value at one of its checkpoints, None if it has none there."""
    return dict(zip(outcome.curve.step, outcome.curve.validation, strict=True)).get(step)


def _at(outcome: Outcome, rung: int) -> float:
    last = checkpoint([outcome], rung) if rung <= outcome.steps else None  # it may have diverged or failed before
    value = None if last is None else value_at(outcome, last)
    return np.nan if value is None else value


def studies_of(outcomes: Sequence[Outcome]) -> dict[tuple[str, int], list[Outcome]]:
    """The tuning outcomes of each contender's studies, in the order of their points."""
    return by_study(outcome for outcome in outcomes if outcome.stage is Stage.TUNING)


def _curve_band(curves: np.ndarray) -> list[list[float] | None]:
    """A t interval for each n from curves [K, n], None where they have no value."""
    found = [mean_interval(column)[1] if np.isfinite(column).all() else None for column in curves.T]
    return [None if ends is None else list(ends) for ends in found]


def _chance_band(chances: np.ndarray, seed: int) -> list[list[float]] | None:
    ends = bootstrap_interval(chances, seed)
    return None if ends is None else np.stack(ends, axis=1).tolist()


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
