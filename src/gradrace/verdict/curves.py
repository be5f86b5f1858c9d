"""Curves that describe what happened and decide nothing: how a value depends on the learning rate, and on the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gradrace.verdict.scores import Direction, sign


@dataclass(frozen=True)
class Band:
    """A median and how far the studies spread around it; NaN where the value is the worst there can be.

    Attributes:
        median: [T] the median over studies.
        low: [T] the smallest value of any study.
        high: [T] the largest.
    """

    median: np.ndarray
    low: np.ndarray
    high: np.ndarray


def binned_median(
    rates: ArrayLike, values: ArrayLike, direction: Direction, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """How a trial's value depends on its learning rate: medians of neighbours.

    Trials in the order of their rates are cut into bins of (almost) equal count. Each gives a point: the geometric mean
    of its rates, and the median of its values. A value that is not finite (diverged) is worse than any other; where the
    middle of a bin is so, its median is NaN.

    Args:
        rates: [N] learning rates, above 0.
        values: [N] the metric of each trial.
        direction: "min" or "max", whichever is better.
        bins: how many at most; with fewer trials there are fewer.

    Returns:
        Rates and medians, [at most ``bins``] each, by rising rate.
    """
    ordered = np.argsort(np.asarray(rates, dtype=float), kind="stable")
    if ordered.size == 0:
        return np.empty(0), np.empty(0)
    at, value = np.asarray(rates, dtype=float)[ordered], _censored(np.asarray(values, dtype=float)[ordered], direction)
    parts = np.array_split(np.arange(ordered.size), min(bins, ordered.size))
    centres = [float(np.exp(np.log(at[part]).mean())) for part in parts]
    return np.array(centres), np.array([_median(value[part], axis=0) for part in parts], dtype=float)


def band(values: ArrayLike, direction: Direction) -> Band:
    """Median and range over studies of the studies' own medians over seeds.

    The study is the unit of replication, so that seeds are put together first. A value that is not finite counts as
    worse than any other, and an end of the band that is so is NaN.

    Args:
        values: [K studies, S seeds, T moments].
        direction: "min" or "max", whichever is better.
    """
    by_study = _median(_censored(np.asarray(values, dtype=float), direction), axis=1, finite=False)
    ends = by_study.min(axis=0), by_study.max(axis=0)
    low, high = (np.where(np.isfinite(end), end, np.nan) for end in ends)
    return Band(_median(by_study, axis=0), low, high)


def thinned(values: Sequence[float | None], most: int) -> list[int]:
    """Which points of a curve to keep, so that a picture of it stays honest: both ends, both extremes, and even steps.

    Args:
        values: [T] the curve; None where it has no value.
        most: how many points to keep, at least 4.

    Returns:
        Rising indices, at most ``most``; all of them where there are no more.
    """
    if len(values) <= most:
        return list(range(len(values)))
    known = {index: value for index, value in enumerate(values) if value is not None}
    extremes = {min(known, key=known.__getitem__), max(known, key=known.__getitem__)} if known else set()
    even = np.linspace(0, len(values) - 1, most - 2).round().astype(int).tolist()
    return sorted({*even, *extremes})


def _censored(values: np.ndarray, direction: Direction) -> np.ndarray:
    return np.where(np.isfinite(values), values, -sign(direction) * np.inf)


def _median(values: np.ndarray, axis: int, finite: bool = True) -> np.ndarray:
    """The median, of which one between a finite and an infinite value is infinite; or NaN, if it is to be finite."""
    middle = np.sort(values, axis=axis)
    low, high = (
        np.take(middle, index, axis=axis) for index in ((values.shape[axis] - 1) // 2, values.shape[axis] // 2)
    )
    found = np.where(low == high, low, low / 2 + high / 2)
    return np.where(np.isfinite(found), found, np.nan) if finite else found
