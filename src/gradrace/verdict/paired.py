"""Paired differences of all pairs of a race, their t test, and Holm's correction; for many races at a time.

Arrays may have any axes before those that are named here: thousands of resampled races go through the very code that
judges one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

FEWEST_STUDIES = 3

# Metrics are computed in float32, so equal differences (0.85 - 0.80 and 0.90 - 0.85) may differ by its rounding.
# What is below this share of the scores' size is rounding, not evidence.
RESOLUTION = float(np.finfo(np.float32).eps)


def pair_indices(contenders: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second contender of every pair, in the order (0, 1), (0, 2), ... (1, 2), ..."""
    return np.triu_indices(contenders, 1)


@dataclass(frozen=True)
class Paired:
    """The differences of every pair of a race, with m = C (C - 1) / 2 pairs.

    Attributes:
        values: a - b for each study and seed [..., m, K, S]; 0 where both are identical.
        anchored: the same but for a constant of each pair, free of the rounding of large equal scores; for spreads.
        mean: over studies and seeds [..., m].
        size: the largest absolute score of either contender [..., m].
        rounding: spreads up to this are rounding [..., m].
        identical: both contenders have the same value, but for rounding, on every seed of every study [..., m].
    """

    values: np.ndarray
    anchored: np.ndarray
    mean: np.ndarray
    size: np.ndarray
    rounding: np.ndarray
    identical: np.ndarray

    @property
    def studies(self) -> int:
        """K."""
        return self.values.shape[-2]


def paired(table: np.ndarray) -> Paired:
    """The differences of every pair.

    Args:
        table: finite scores [..., C contenders, K studies, S seeds] in the metric's units.
    """
    first, second = pair_indices(table.shape[-3])
    # In units of a power of two at least as large as both contenders' scores: exact, and free of overflow.
    sizes = np.abs(table).max(axis=(-2, -1))
    size = np.maximum(sizes[..., first], sizes[..., second])
    exponent = np.frexp(size)[1]
    left, right = (np.ldexp(table[..., side, :, :], -exponent[..., None, None]) for side in (first, second))
    scaled = left - right
    unequal = np.abs(scaled) > RESOLUTION * np.maximum(np.abs(left), np.abs(right))
    identical = unequal.sum(axis=(-2, -1)) == 0
    scaled[identical] = 0.0

    # Scores less their own first one: a contender that always scores the same, as one that always diverges does, then
    # adds no rounding to the spread, however large its score.
    anchored = table - table[..., :1, :1]
    varying = RESOLUTION * np.where(anchored.any(axis=(-2, -1)), sizes, 0.0)
    return Paired(
        values=np.ldexp(scaled, exponent[..., None, None]),
        anchored=anchored[..., first, :, :] - anchored[..., second, :, :],
        mean=np.ldexp(scaled.mean(axis=(-2, -1)), exponent),
        size=size,
        rounding=np.maximum(varying[..., first], varying[..., second]),
        identical=identical,
    )


def standard_error(differences: np.ndarray, floor: bool = True) -> np.ndarray:
    """Standard error [...] of the mean of ``differences`` [..., K, S]: that between studies, sd(d[k]) / sqrt(K).

    With ``floor`` it is not less than sqrt(W / (K S)), W the variance within studies, pooled: the error that the seeds
    alone would cause. Unmoved by a constant added to a pair's differences.
    """
    studies, seeds = differences.shape[-2:]
    exponent = np.frexp(np.abs(differences).max(axis=(-2, -1)))[1]  # so that a loss of 1e250 can be squared
    differences = np.ldexp(differences, -exponent[..., None, None])
    error = differences.mean(axis=-1).std(axis=-1, ddof=1) / math.sqrt(studies)
    if floor and seeds > 1:
        within = differences.var(axis=-1, ddof=1).mean(axis=-1)
        error = np.maximum(error, np.sqrt(within / (studies * seeds)))
    return np.ldexp(error, exponent)


@dataclass(frozen=True)
class TTest:
    """A t test of each pair; all [..., m].

    Attributes:
        error: the standard error, 0 for identical contenders.
        t: |estimate| / error.
        p: two-sided.
        constant: the spread vanishes though the difference does not, so p is that of K coins.
    """

    error: np.ndarray
    t: np.ndarray
    p: np.ndarray
    constant: np.ndarray


def t_test(pairs: Paired, estimate: np.ndarray, error: np.ndarray, df: int) -> TTest:
    """The t test of ``estimate`` by ``error``, and what is done where t says nothing.

    Identical contenders have p = 1. If the error is no more than rounding though the difference is more (the same
    difference in every study), each study is one coin whose sign is random if the contenders are equal, and
    p = 2^(1 - K): the error is set so that t gives this.

    Args:
        pairs: the differences.
        estimate: of each pair's true difference [..., m].
        error: its standard error [..., m].
        df: degrees of freedom of the error.
    """
    constant = ~pairs.identical & (error <= pairs.rounding)
    # At most 50 coins: beyond that no level is as small, and quantiles of t so far out lose their meaning.
    flips = -stdtrit(df, 2.0 ** -min(pairs.studies, 50))
    careful = np.maximum(np.abs(estimate) / flips, RESOLUTION * pairs.size)
    error = np.where(pairs.identical, 0.0, np.where(constant, careful, error))
    t = np.divide(np.abs(estimate), error, out=np.zeros_like(error), where=~pairs.identical)
    return TTest(error, t, 2 * stdtr(df, -t), constant)


@dataclass(frozen=True)
class Holm:
    """What Holm's procedure says of the m pairs of each race; all [..., m].

    Attributes:
        adjusted: p-values after the correction.
        level: what each pair's p-value had to stay below.
        decided: pairs that are told apart.
    """

    adjusted: np.ndarray
    level: np.ndarray
    decided: np.ndarray


def holm(p: np.ndarray, alpha: float) -> Holm:
    """Holm's step-down procedure over the last axis: of m pairs the i-th smallest p is compared with alpha/(m - i + 1).

    Source: Holm 1979, https://www.jstor.org/stable/4615733.
    """
    return _step_down(p, -p, -_levels(p, alpha), alpha)


def holm_of_t(test: TTest, df: int, alpha: float) -> Holm:
    """The same, deciding on t against its quantile, as intervals are set: so no rounding parts the two."""
    return _step_down(test.p, test.t, -stdtrit(df, _levels(test.p, alpha) / 2), alpha)


def _levels(p: np.ndarray, alpha: float) -> np.ndarray:
    return alpha / np.arange(p.shape[-1], 0, -1)


def _step_down(p: np.ndarray, evidence: np.ndarray, bars: np.ndarray, alpha: float) -> Holm:
    """In falling order of evidence a pair is decided if it and all before it exceed their bars [m]."""
    count, levels = p.shape[-1], _levels(p, alpha)
    order = np.argsort(-evidence, axis=-1, kind="stable")
    back = np.argsort(order, axis=-1)
    decided = np.logical_and.accumulate(np.take_along_axis(evidence, order, -1) > bars, axis=-1)
    rejected = decided.sum(axis=-1, keepdims=True)
    level = np.where(decided, levels, levels[np.minimum(rejected, count - 1)])
    rising = np.take_along_axis(p, order, -1) * np.arange(count, 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(rising, axis=-1), 1.0)
    return Holm(*(np.take_along_axis(values, back, -1) for values in (adjusted, level, decided)))


@dataclass(frozen=True)
class Judged:
    """The verdict's numbers for every pair: differences, their t test, Holm's correction, and half the interval."""

    pairs: Paired
    test: TTest
    holm: Holm
    half: np.ndarray


def judge(table: np.ndarray, alpha: float) -> Judged:
    """What ``compare`` says of one race, for any number of races: see there.

    Args:
        table: finite scores [..., C contenders, K studies, S seeds], C at least 2 and K at least 3.
        alpha: the family-wise error rate.
    """
    pairs = paired(table)
    df = pairs.studies - 1
    test = t_test(pairs, pairs.mean, standard_error(pairs.anchored), df)
    corrected = holm_of_t(test, df, alpha)
    return Judged(pairs, test, corrected, -stdtrit(df, corrected.level / 2) * test.error)


def t_interval(scores: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean [...] of ``scores`` [..., K, S], K at least 2, and half of its t interval.

    The half is t(1 - (1 - level)/2; K - 1) times the standard error, which has a floor from the seeds as in the test.
    """
    studies = scores.shape[-2]
    exponent = np.frexp(np.abs(scores).max(axis=(-2, -1)))[1]  # so that no sum overflows
    mean = np.ldexp(np.ldexp(scores, -exponent[..., None, None]).mean(axis=(-2, -1)), exponent)
    half = -stdtrit(studies - 1, (1 - level) / 2) * standard_error(scores - scores[..., :1, :1])
    return mean, half
