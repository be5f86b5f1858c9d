"""When runs reach a target: the target, the median of steps, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scipy.special import bdtr

from gradrace.verdict.compare import FEWEST_STUDIES
from gradrace.verdict.scores import Direction, sign

LearningCurve = tuple[Sequence[int], Sequence[float | None]]
"""A run's steps, rising, and the metric there in its units; None and NaN meet no target."""

TARGET_SHARE = 0.05
"""A race's own target lies this share of the best contender's gain below the best."""


class StepsToTarget(NamedTuple):
    """Steps to a target: the median over runs (None if more than half never reach it), how many did, of how many."""

    median: int | None
    reached: int
    total: int


def steps_to_target(curves: Iterable[LearningCurve], target: float, direction: Direction) -> StepsToTarget:
    """Median number of steps until a run's curve first meets the target.

    A run that never does is censored: it counts as slower than all that do, for nothing says how much slower. The
    median is the first step by which at least half of the runs have arrived: the Kaplan-Meier median, as all runs are
    censored at one step, the end. A run that diverged is censored there too, not where it diverged: Kaplan-Meier would
    then take it out of those still under way, as if it might have arrived, and would reward divergence. No smoothing:
    a curve evaluated rarely is late, one that touches the target by luck is early.

    Args:
        curves: each run's curve; an empty one for a run that there was nothing to train for.
        target: value to reach, in the metric's units.
        direction: "min" or "max", whichever is better.
    """
    arrivals = [arrival(curve, target, direction) for curve in curves]
    median = _median(arrivals)
    reached = sum(math.isfinite(step) for step in arrivals)
    return StepsToTarget(None if math.isinf(median) else int(median), reached, len(arrivals))


class StepsInterval(NamedTuple):
    """An interval of the median of steps to a target.

    Attributes:
        low: in steps.
        high: in steps; None if it lies beyond the end of the runs.
        level: how sure it is, the probability that such an interval holds the true median over studies, or more.
    """

    low: int
    high: int | None
    level: float


def steps_to_target_interval(
    studies: Sequence[Sequence[LearningCurve]], target: float, direction: Direction, level: float = 0.95
) -> StepsInterval | None:
    """Interval of the median of steps to a target, from the medians of the studies.

    The study is the unit: the seeds of one study share its choice, so an interval that takes every run as independent
    (Greenwood's, around Kaplan-Meier's median) would be too narrow. Each study gives the median of its own runs, or
    "later than the end". With these in rising order t(1) .. t(K),

        P( t(r) <= median over studies <= t(K + 1 - r) )  >=  1 - 2 P(B <= r - 1),   B binomial of K and 1/2,

    whatever the distribution, and censoring costs nothing but a high end that is open. The narrowest interval that
    reaches ``level`` is taken; with fewer than 6 studies none reaches 95 %, and the widest is, t(1) to t(K), which
    has 75 % with 3 studies and 93.75 % with 5. Assumes independent studies. Source: David and Nagaraja 2003, Order
    Statistics, section 7.1, https://doi.org/10.1002/0471722162.

    Args:
        studies: the curves of each study's runs [K][S].
        target: value to reach, in the metric's units.
        direction: "min" or "max", whichever is better.
        level: coverage wanted, in (0, 1).

    Returns:
        The interval, or None with fewer than 3 studies, or if even its low end lies beyond the end.
    """
    count = len(studies)
    if count < FEWEST_STUDIES:
        return None
    medians = sorted(_median([arrival(curve, target, direction) for curve in curves]) for curves in studies)
    levels = [1 - 2 * float(bdtr(rank, count, 0.5)) for rank in range((count + 1) // 2)]
    rank = max((rank for rank, reached in enumerate(levels) if reached >= level), default=0)
    low, high = medians[rank], medians[count - 1 - rank]
    if math.isinf(low):
        return None
    return StepsInterval(int(low), None if math.isinf(high) else int(high), levels[rank])


def arrival(curve: LearningCurve, target: float, direction: Direction) -> float:
    """The first step at which a run's curve meets the target, infinite if none does.

    Args:
        curve: steps, rising, and the metric there; None and NaN meet no target.
        target: value to reach, in the metric's units.
        direction: "min" or "max", whichever is better.
    """
    better = sign(direction)
    return next(
        (
            step
            for step, value in zip(*curve, strict=True)
            if value is not None and math.isfinite(value) and better * value >= better * target
        ),
        math.inf,
    )


def _median(arrivals: Sequence[float]) -> float:
    """The first step by which at least half have arrived, infinite if less than half do or there are none."""
    return sorted(arrivals)[(len(arrivals) + 1) // 2 - 1] if arrivals else math.inf


def race_target(best: float, untrained: float | None, direction: Direction) -> float | None:
    """A race's own target, for a workload that declares none: nearly what its best contender reached.

        target = best - share * (best - untrained),   share = 5 %,

    or, without an untrained value, 5 % of the best value's size away from it. It depends on who races and for how
    long, so that steps to it compare the contenders of one race only.

    Args:
        best: the best contender's mean validation value at the end, in the metric's units.
        untrained: the metric before the first step, or None if it is not known.
        direction: "min" or "max", whichever is better.

    Returns:
        The target, or None if even the best contender gained nothing.
    """
    better = sign(direction)
    gain = abs(best) if untrained is None else better * (best - untrained)
    return best - better * TARGET_SHARE * gain if gain > 0 else None
