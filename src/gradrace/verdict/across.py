"""Verdicts across workloads: one scale for all, averages over them, and how fast each contender gets somewhere.

Not among the names of ``gradrace.verdict``: it takes ``scipy.stats`` along, a second that the verdict on one race does
without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import trim_mean

from gradrace.verdict.paired import RESOLUTION
from gradrace.verdict.scores import Direction, sign, stacked

RESAMPLES = 2000
LONGEST = 4.0
"""AlgoPerf's greatest factor of time."""

Scores = Mapping[str, Mapping[str, ArrayLike]]
"""For each workload and contender the test values [K studies, S seeds]; K and S may differ between workloads."""

Interval = tuple[float, float]


class Scale(StrEnum):
    """What is 0 where 1 is the best contender's mean."""

    UNTRAINED = "untrained model"
    CONTENDERS = "worst contender"
    EQUAL = "no difference"


@dataclass(frozen=True)
class Normalized:
    """A workload's scores on a scale that has the same meaning on every workload.

    Attributes:
        studies: for each contender its studies' means over seeds [K], without unit: 0 is ``zero``, 1 is ``one``.
        zero: the value that became 0, in the metric's units.
        one: the value that became 1, the best contender's mean.
        scale: what ``zero`` is.
    """

    studies: Mapping[str, np.ndarray]
    zero: float
    one: float
    scale: Scale

    def means(self) -> dict[str, float]:
        """Each contender's mean over studies."""
        return {label: float(values.mean()) for label, values in self.studies.items()}


def normalized(scores: Mapping[str, ArrayLike], direction: Direction, untrained: float | None) -> Normalized:
    """Put the scores of one workload on a scale where the untrained model is 0 and the best contender's mean is 1.

        x[k] = (y[k] - untrained) / (best - untrained),   y[k] the mean over seeds,  best the contenders' best mean y.

    If there is no untrained value, or no contender is better than it, that scale would be undefined or upside down.
    Then 0 is the worst contender's mean instead (min-max, ``Scale.CONTENDERS``), which makes differences look large
    however small they are; and if all means are equal, all values are 1 (``Scale.EQUAL``). The flag says which it is.

    Limits: the scale is set by what was raced and is not the same with another set of contenders. A contender worse
    than the untrained model is below 0, without bound. Where training gains several orders of magnitude (a loss that
    falls from 100 to 0.01) all good contenders are near 1, and only ranks tell them apart.

    Args:
        scores: for each contender the test values [K, S], finite, in the metric's units.
        direction: "min" or "max", whichever is better.
        untrained: the metric of the model before its first step, or None.
    """
    better = sign(direction)
    means = better * stacked(scores).mean(axis=2)
    by_contender = means.mean(axis=1)
    one = float(by_contender.max())
    zero, scale = float(by_contender.min()), Scale.CONTENDERS
    if untrained is not None and math.isfinite(untrained) and _gap(one, better * untrained):
        zero, scale = better * untrained, Scale.UNTRAINED
    elif not _gap(one, zero):
        scale = Scale.EQUAL
    values = np.ones_like(means) if scale is Scale.EQUAL else (means - zero) / (one - zero)
    return Normalized(dict(zip(scores, values, strict=True)), better * zero, better * one, scale)


def _gap(above: float, below: float) -> bool:
    """Whether one value is above another by more than rounding."""
    return above - below > RESOLUTION * max(abs(above), abs(below))


@dataclass(frozen=True)
class Profiles:
    """How often each contender is among the fastest.

    Attributes:
        taus: factors of time, at least 1.
        shares: for each contender, at each tau, the share of workloads on which it needs at most tau times the steps of
            the fastest; empty if no workload counts.
        scores: for each contender the area under its profile from 1 to 4, over that of a contender that is always the
            fastest: in [0, 1]; empty if no workload counts.
        workloads: those that count.
        left_out: those on which no contender reached the target.
    """

    taus: tuple[float, ...]
    shares: Mapping[str, tuple[float, ...]]
    scores: Mapping[str, float]
    workloads: tuple[str, ...]
    left_out: tuple[str, ...]


def performance_profiles(times: Mapping[str, Mapping[str, float | None]], taus: Sequence[float]) -> Profiles:
    """Performance profiles: the share of workloads on which a contender is within a factor tau of the fastest.

        r[c, w] = t[c, w] / min over c of t[c, w],   share[c](tau) = #{w: r[c, w] <= tau} / W,
        score[c] = integral from 1 to T of share[c] / (T - 1) = mean over w of max(0, T - r[c, w]) / (T - 1),   T = 4.

    A target that is never reached is reached later than by any factor. A workload on which no contender reaches it says
    nothing of speed and is left out, which the result names. Times are taken as exact: there is no interval.

    Sources: Dolan and Moré 2002, https://doi.org/10.1007/s101070100263; the score: Dahl et al. 2023 (AlgoPerf),
    https://arxiv.org/abs/2306.07179.

    Args:
        times: for each contender and workload the steps (or seconds) to the target, positive; None if not reached.
        taus: factors at which the profiles are wanted, at least 1.
    """
    names = _workloads_of(times)
    for tau in taus:
        if not tau >= 1:
            raise ValueError(f"tau is {tau}; a factor of the fastest contender's time is at least 1.")
    table = np.array([[math.inf if of[name] is None else of[name] for name in names] for of in times.values()])
    table = table.reshape(len(times), len(names))
    if not (table > 0).all():
        raise ValueError("Some times are not positive numbers; a target that is not reached has the time None.")
    fastest = np.min(table, axis=0, initial=math.inf)
    kept = tuple(name for name, time in zip(names, fastest.tolist(), strict=True) if math.isfinite(time))
    left_out = tuple(name for name in names if name not in kept)
    if not kept:
        return Profiles(tuple(taus), {}, {}, (), left_out)
    counts = np.isfinite(fastest)
    ratios = table[:, counts] / fastest[counts]
    shares = {
        label: tuple(float((row <= tau).mean()) for tau in taus) for label, row in zip(times, ratios, strict=True)
    }
    areas = np.maximum(0.0, LONGEST - ratios).mean(axis=1) / (LONGEST - 1)
    return Profiles(tuple(taus), shares, dict(zip(times, areas.tolist(), strict=True)), kept, left_out)


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % percentile interval, or None where a workload has fewer than 2 studies."""

    value: float
    interval: Interval | None


def interquartile_means(
    workloads: Mapping[str, Normalized], rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Each contender's interquartile mean of normalized scores over all studies of all workloads, with an interval.

    The mean of the middle half: of n values in order, the int(n / 4) lowest and as many highest are left out. A single
    disaster, or a single workload that is easy, moves it less than a mean, and a handful of values less than a median.

    The interval is a percentile interval of a stratified bootstrap: within each workload the K studies are drawn with
    replacement, the same ones for all contenders. It covers the luck of tuning and of seeds on these workloads. It does
    not cover other workloads: it says nothing of what a contender would do on one that is not among them. With few
    studies it is too narrow (by about sqrt((K - 1) / K)); the scale is taken as known. A workload with more studies
    weighs more.

    Source: Agarwal et al. 2021 (rliable), https://arxiv.org/abs/2108.13264.

    Args:
        workloads: what ``normalized`` said of each, with the same contenders.
        rng: draws the resamples.
        resamples: how many.
    """
    labels = contenders_of({name: of.studies for name, of in workloads.items()})
    tables = [np.stack([of.studies[label] for label in labels]) for of in workloads.values()]  # [C, K] each
    if not tables:
        return {}
    values = trim_mean(np.concatenate(tables, axis=1), 0.25, axis=1)
    intervals: list[Interval | None] = [None] * len(labels)
    if draws := _draws([table.shape[1] for table in tables], rng, resamples):
        drawn = [table[:, draw] for table, draw in zip(tables, draws, strict=True)]  # [C, resamples, K] each
        intervals = _percentiles(trim_mean(np.concatenate(drawn, axis=2), 0.25, axis=2))
    return {
        label: Estimate(float(value), interval)
        for label, value, interval in zip(labels, values, intervals, strict=True)
    }


@dataclass(frozen=True)
class Improvement:
    """How probably a study of ``a`` ends better than one of ``b`` on one of these workloads, with its interval."""

    a: str
    b: str
    probability: float
    interval: Interval | None


def probability_of_improvement(
    scores: Scores, directions: Mapping[str, Direction], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[Improvement]:
    """For each two contenders the probability that a study of the first beats one of the second, over workloads.

        P = mean over workloads of  1 / K^2 * sum over i, j of  [x_i better than y_j] + [x_i equal to y_j] / 2,

    x and y the studies' means over seeds: the statistic of Mann and Whitney. It says how often, not by how much. Values
    that differ by no more than the rounding of float32 are equal. The interval is that of ``interquartile_means``, with
    the same draws for both contenders, and as silent about other workloads.

    Source: Agarwal et al. 2021 (rliable), https://arxiv.org/abs/2108.13264.

    Args:
        scores: for each workload and contender the test values [K, S], finite.
        directions: for each workload "min" or "max", whichever is better.
        rng: draws the resamples.
        resamples: how many.

    Returns:
        One for every two contenders, in the order of the first workload's; none for fewer than two contenders.
    """
    labels = contenders_of(scores)
    levels = [levels_of(study_means(of, labels, directions[name])) for name, of in scores.items()]  # [C, K] each
    draws = _draws([level.shape[1] for level in levels], rng, resamples)
    # How often each study was drawn [resamples, K]: the sum over pairs of drawn studies is then a product.
    counts = [(draw[:, :, None] == np.arange(draw.shape[1])).sum(axis=1) for draw in draws]
    found = []
    for a, b in combinations(range(len(labels)), 2):
        wins = [(np.sign(level[a][:, None] - level[b]) + 1) / 2 for level in levels]  # [K, K] each: 0, 1/2 or 1
        interval = None
        if draws:
            drawn = [((c @ w) * c).sum(axis=1) / len(w) ** 2 for c, w in zip(counts, wins, strict=True)]
            (interval,) = _percentiles(np.mean(drawn, axis=0)[None])
        probability = float(np.mean([w.mean() for w in wins]))
        found.append(Improvement(labels[a], labels[b], probability, interval))
    return found


def study_means(of: Mapping[str, ArrayLike], labels: Sequence[str], direction: Direction) -> np.ndarray:
    """Means over seeds [C, K], more of which is better."""
    return sign(direction) * stacked({label: of[label] for label in labels}).mean(axis=2)


def levels_of(values: np.ndarray) -> np.ndarray:
    """A whole number for each value, in the order of the values; the same for neighbours that rounding alone parts."""
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    rising = flat[order]
    apart = np.diff(rising) > RESOLUTION * np.maximum(np.abs(rising[1:]), np.abs(rising[:-1]))
    levels = np.empty(len(flat), dtype=int)
    levels[order] = np.concatenate([[0], np.cumsum(apart)])
    return levels.reshape(values.shape)


def _draws(studies: Sequence[int], rng: np.random.Generator, resamples: int) -> list[np.ndarray]:
    """Studies drawn with replacement, [resamples, K] for each workload; none where one has nothing to be drawn from."""
    if not studies or min(studies) < 2:
        return []
    return [rng.integers(count, size=(resamples, count)) for count in studies]


def _percentiles(values: np.ndarray) -> list[Interval | None]:
    """The middle 95 % of each row."""
    return [(float(low), float(high)) for low, high in np.percentile(values, [2.5, 97.5], axis=1).T]


def contenders_of(scores: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The contenders, which must be the same on every workload, in the order of the first."""
    labels = list(next(iter(scores.values()), {}))
    for name, of in scores.items():
        if set(of) != set(labels):
            raise ValueError(
                f"Every workload needs the same contenders, {', '.join(labels)}; '{name}' has {', '.join(of)}."
            )
    return labels


def _workloads_of(times: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The workloads, which must be the same for every contender, in the order of the first."""
    names = list(next(iter(times.values()), {}))
    for label, of in times.items():
        if set(of) != set(names):
            raise ValueError(
                f"Every contender needs a time or None for each of {', '.join(names)}; '{label}' has {', '.join(of)}."
            )
    return names
