"""One contender's numbers beside the verdict, from its curves: steps to a target, what halving would have cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome
from gradrace.report.tuning import halving_regrets
from gradrace.verdict import Direction, LearningCurve, race_target, steps_to_target, steps_to_target_interval


def own_target(
    confirmed: Sequence[Outcome], best: float, untrained: float | None, direction: Direction
) -> dict[str, Any] | None:
    """The target of a race whose workload has none (``verdict.race_target``), as ``value`` and ``source``.

    None where even the best contender has no finite value, or gained nothing.

    Args:
        confirmed: the best contender's confirmation outcomes.
        best: the mean of their validation values.
        untrained: the metric before the first step, or None if it is not known.
        direction: "min" or "max", whichever is better.
    """
    if not any(outcome.validation is not None and math.isfinite(outcome.validation) for outcome in confirmed):
        return None
    value = race_target(best, untrained, direction)
    return None if value is None else {"value": value, "source": "race"}


def to_target(
    confirmed: Sequence[Outcome],
    numbers: Mapping[str, Any],
    target: Mapping[str, Any] | None,
    direction: Direction,
    step_seconds: float | None,
) -> dict[str, Any]:
    """Steps, and seconds by the measured cost of a step, until one contender's runs reach the target.

    A run that was never trained, because its study found nothing to confirm, never reaches it.

    Args:
        confirmed: the contender's confirmation outcomes.
        numbers: the race's, of which ``studies`` and ``seeds`` are read.
        target: with its ``value``, or None, which leaves all of the answer None.
        direction: "min" or "max", whichever is better.
        step_seconds: seconds of one step, or None if they were not measured.

    Returns:
        ``steps_to_target``, the median, None if fewer than half of the runs reach it; ``steps_to_target_interval``,
        of which the high end may be None, later than the end of the runs; ``steps_to_target_level``, how sure that is;
        ``target_reached``, how many runs did, and of how many; both again in seconds.
    """
    names = (
        "steps_to_target",
        "steps_to_target_interval",
        "steps_to_target_level",
        "target_reached",
        "seconds_to_target",
        "seconds_to_target_interval",
    )
    if target is None:
        return dict.fromkeys(names)
    never: LearningCurve = ([], [])
    curves = [[never] * numbers["seeds"] for _ in range(numbers["studies"])]
    for outcome in confirmed:
        curves[outcome.study][outcome.seed - 1] = (outcome.curve.step, outcome.curve.validation)
    reached = steps_to_target([run for runs in curves for run in runs], target["value"], direction)
    found = steps_to_target_interval(curves, target["value"], direction)
    ends = None if found is None else [found.low, found.high]

    def seconds(steps: int | None) -> float | None:
        return None if steps is None or step_seconds is None else steps * step_seconds

    known = (
        reached.median,
        ends,
        None if found is None else found.level,
        [reached.reached, reached.total],
        seconds(reached.median),
        None if ends is None or step_seconds is None else [seconds(end) for end in ends],
    )
    return dict(zip(names, known, strict=True))


def halving_regret_of(
    tuning: Sequence[Outcome], steps: int, numbers: Mapping[str, Any], direction: Direction
) -> dict[str, Any] | None:
    """What halving would have cost a contender: ``mean`` and ``worst`` over so many ``studies``, in the metric's units.

    None for a race that halved, and where curves cannot tell: with a schedule that is not constant, or without one
    trial that ended finite.
    """
    if numbers["halving"] or numbers["schedule"] != "constant":
        return None
    regrets = halving_regrets(tuning, steps, direction)
    if not regrets:
        return None
    return {"mean": float(np.mean(regrets)), "worst": max(regrets), "studies": len(regrets)}
