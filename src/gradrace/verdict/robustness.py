"""How wide the range of learning rates is that work, and where it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradrace.verdict.compare import FEWEST_STUDIES, mean_interval
from gradrace.verdict.scores import Direction, sign

LrRange = tuple[float, float]
"""Lowest and highest learning rate of a run of trials that pass."""


def lr_range(
    lrs: ArrayLike, values: ArrayLike, direction: Direction, tolerance: float, ok: ArrayLike | None = None
) -> LrRange | None:
    """Ends of the range of learning rates around the best trial where all trials are nearly as good.

    The trials are sorted by learning rate. A trial passes if it is ok and its value is within ``tolerance`` of the
    best; the range is the longest unbroken run, in decades, of passing trials that holds a best one (of equally long
    runs the one of lower rates). The run ends at its outermost passing trials, not half-way to the next failing ones:
    a lower bound, which says only what was seen. It therefore depends on how densely the rates were sampled; compare
    contenders with equal points.

    Assumptions: all values are at one common step (the first rung if trials were dropped later), and the value is
    mainly a function of the learning rate: another tuned hyperparameter or luck may break a run and narrow the range.

    Args:
        lrs: learning rates [N], positive; those of several studies may be joined.
        values: the metric [N], in its units; a value that is not finite fails.
        direction: "min" or "max", whichever is better.
        tolerance: greatest distance from the best value, in the metric's units, at least 0.
        ok: mask [N], false for trials that diverged or failed; all true if None.

    Returns:
        Lowest and highest rate, the same twice if only one passes; None if no trial is usable, or if no rate passes
        because each best trial shares its rate with one that fails.
    """
    better = sign(direction)
    rates, scores = np.asarray(lrs, dtype=float), better * np.asarray(values, dtype=float)
    usable = np.isfinite(scores) & (True if ok is None else np.asarray(ok, dtype=bool))
    if rates.ndim != 1 or not rates.shape == scores.shape == usable.shape:
        raise ValueError(f"Rates, values and mask have shapes {rates.shape}, {scores.shape}, {usable.shape}; want one.")
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise ValueError("Some learning rates are not positive finite numbers, so they have no place on a log scale.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}; it must be at least 0.")
    if not usable.any():
        return None
    best = scores[usable].max()
    passes = usable & (scores >= best - tolerance)
    unique, index = np.unique(rates, return_inverse=True)
    # Trials that share a rate pass together or not at all: a rate that works only sometimes is not robust.
    rate_passes = np.ones(len(unique), dtype=bool)
    rate_passes[index[~passes]] = False
    rate_is_best = np.zeros(len(unique), dtype=bool)
    rate_is_best[index[usable & (scores == best)]] = True

    widest, start = None, 0
    for end in range(1, len(unique) + 1):
        if not rate_passes[end - 1]:
            start = end
        elif rate_is_best[start:end].any():
            run = (float(unique[start]), float(unique[end - 1]))
            if widest is None or decades(run) > decades(widest):
                widest = run
    return widest


def decades(ends: LrRange | None) -> float:
    """Width of a range in factors of ten, log10(high / low); 0 if there is none."""
    return 0.0 if ends is None else math.log10(ends[1] / ends[0])


class Robustness(NamedTuple):
    """The range of learning rates that work, over studies.

    Attributes:
        decades: mean width over studies, in factors of ten.
        interval: 95 % t interval of that mean, cut off at 0 as no width is less; None with fewer than 3 studies.
        safe: geometric means over studies of the lowest and of the highest rate; None if no study has a range.
    """

    decades: float
    interval: tuple[float, float] | None
    safe: LrRange | None


def robustness(ranges: Sequence[LrRange | None]) -> Robustness:
    """Pool the ranges of learning rates that the studies of one contender found.

    A study without a range counts as one of width 0, for there no rate was seen to work; it has no ends to pool. With
    a range in every study the safe range is as wide as the mean width:

        log10(high / low) = mean over k of log10(high[k] / low[k]).

    The geometric mean of each end says where a study's range ends on average: rates near the ends fail in about half
    of the studies, those between are safe. The interval assumes nearly normal widths, independent between studies.

    Args:
        ranges: what ``lr_range`` found in each study [K], K at least 1.
    """
    mean, bounds = mean_interval([decades(ends) for ends in ranges], fewest=FEWEST_STUDIES)
    found = np.log([ends for ends in ranges if ends is not None])
    low, high = np.exp(found.mean(axis=0)) if len(found) else (math.nan, math.nan)
    return Robustness(
        decades=mean,
        interval=None if bounds is None else (max(0.0, bounds[0]), bounds[1]),
        safe=(float(low), float(high)) if len(found) else None,
    )
