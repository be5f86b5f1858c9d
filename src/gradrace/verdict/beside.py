"""What stands beside the verdict: robustness, budget curves, steps to a target, shares of luck, and self-checks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradrace.verdict.compare import Decision, Pair
from gradrace.verdict.scores import Direction, filled, sign, stacked


def lr_robustness(
    lrs: ArrayLike, values: ArrayLike, direction: Direction, tolerance: float, ok: ArrayLike | None = None
) -> float:
    """Width, in decades of learning rate, of the range around the best trial where all trials are nearly as good.

    The trials are sorted by learning rate. A trial passes if it is ok and its value is within ``tolerance`` of the
    best; the width is log10(highest / lowest lr) of the longest unbroken run of passing trials that holds a best one.
    The run ends at its outermost passing trials, not half-way to the next failing ones: a lower bound, which says only
    what was seen. It therefore depends on how densely the rates were sampled; compare contenders with equal points.

    Assumptions: all values are at one common step (the first rung if trials were dropped later), and the value is
    mainly a function of the learning rate: another tuned hyperparameter or luck may break a run and narrow the width.

    Args:
        lrs: learning rates [N], positive; those of several studies may be joined.
        values: the metric [N], in its units; a value that is not finite fails.
        direction: "min" or "max", whichever is better.
        tolerance: greatest distance from the best value, in the metric's units, at least 0.
        ok: mask [N], false for trials that diverged or failed; all true if None.

    Returns:
        Decades, at least 0; 0 if only one rate passes, or none.
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
        return 0.0
    best = scores[usable].max()
    passes = usable & (scores >= best - tolerance)
    unique, index = np.unique(rates, return_inverse=True)
    # Trials that share a rate pass together or not at all: a rate that works only sometimes is not robust.
    rate_passes = np.ones(len(unique), dtype=bool)
    rate_passes[index[~passes]] = False
    rate_is_best = np.zeros(len(unique), dtype=bool)
    rate_is_best[index[usable & (scores == best)]] = True

    widest, start = 0.0, 0
    for end in range(1, len(unique) + 1):
        if not rate_passes[end - 1]:
            start = end
        elif rate_is_best[start:end].any():
            widest = max(widest, math.log10(unique[end - 1] / unique[start]))
    return widest


def best_of_n(values: ArrayLike, direction: Direction, n_max: int | None = None) -> np.ndarray:
    """Expected value of the best of n trials, for n = 1 to ``n_max``: what a smaller budget would have bought.

    Exact for n drawn without replacement from the N trials. With values in rising order of merit v(1) .. v(N),

        E[best of n] = sum over i >= n of  C(i - 1, n - 1) / C(N, n) * v(i),

    unbiased for a fresh budget of n, unlike the form with replacement. It takes the best value as chosen, so with a
    noisy metric it flatters larger n. Sources: Dodge et al. 2019, https://arxiv.org/abs/1909.03004; the unbiased form:
    Tang et al. 2020, https://aclanthology.org/2020.acl-main.246/; for optimizers: Sivaprasad et al. 2020,
    https://arxiv.org/abs/1910.11758.

    Args:
        values: the trials' values [N], or of several studies [K, N] (then averaged over studies), in the metric's
            units. What is not finite counts as the worst finite value given.
        direction: "min" or "max", whichever is better.
        n_max: largest n, between 1 and N; N if None.

    Returns:
        Array [n_max] in the metric's units; NaN if no value is finite.
    """
    better = sign(direction)
    array = np.atleast_2d(filled(values, direction))
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"The values have shape {np.shape(values)}; [trials] or [studies, trials] is needed.")
    total = array.shape[1]
    longest = total if n_max is None else n_max
    if not 1 <= longest <= total:
        raise ValueError(f"n_max is {n_max}; it must lie between 1 and the number of trials, {total}.")
    rising = np.sort(better * array, axis=1)
    weights = [[math.comb(i, n - 1) / math.comb(total, n) for n in range(1, longest + 1)] for i in range(total)]
    return better * (rising @ np.array(weights)).mean(axis=0)


def probability_best(values: Mapping[str, ArrayLike], direction: Direction, n: int) -> dict[str, float]:
    """Probability that a contender's best of n trials beats every other contender's; ties are split evenly.

    Exact. In each study every contender draws n of its N trials without replacement and independently, so its best X
    has P(X <= v) = C(#values <= v, n) / C(N, n). Let each contender also draw a tie-breaker z, uniform on [0, 1]; then

        P(i wins) = sum over v of  P(X_i = v) * integral over z of  product over j != i of  P(X_j < v) + z P(X_j = v),

    a polynomial of degree C - 1 in z that Gauss-Legendre quadrature integrates without error. Averaged over studies.
    It describes the luck of drawing configurations, and is no test: two equal contenders each get about one half.

    Args:
        values: for each label the trials' values [K studies, N trials]; K is the same for all, N need not be. What is
            not finite is worse than anything finite, and equal to its like.
        direction: "min" or "max", whichever is better.
        n: trials drawn, between 1 and the smallest N.

    Returns:
        A probability for each label; they sum to 1.
    """
    better = sign(direction)
    arrays = {label: better * np.asarray(array, dtype=float) for label, array in values.items()}
    if not arrays:
        return {}
    shapes = {label: array.shape for label, array in arrays.items()}
    if any(len(shape) != 2 or 0 in shape for shape in shapes.values()) or len({s[0] for s in shapes.values()}) > 1:
        raise ValueError(f"[studies, trials] is needed, with as many studies for each contender; received {shapes}.")
    fewest = min(shape[1] for shape in shapes.values())
    if not 1 <= n <= fewest:
        raise ValueError(f"n is {n}; it must lie between 1 and the smallest number of trials, {fewest}.")
    arrays = {label: np.where(np.isfinite(array), array, -np.inf) for label, array in arrays.items()}
    nodes, node_weights = np.polynomial.legendre.leggauss(len(arrays) // 2 + 1)
    breakers, node_weights = (nodes + 1) / 2, node_weights / 2

    studies = next(iter(shapes.values()))[0]
    wins = dict.fromkeys(arrays, 0.0)
    for study in range(studies):
        support = np.unique(np.concatenate([array[study] for array in arrays.values()]))
        masses, factors = {}, {}
        for label, array in arrays.items():
            count, ranks = array.shape[1], np.searchsorted(np.sort(array[study]), support, side="right")
            up_to = np.array([math.comb(int(rank), n) / math.comb(count, n) for rank in ranks])
            masses[label] = np.diff(up_to, prepend=0.0)
            factors[label] = (up_to - masses[label])[:, None] + masses[label][:, None] * breakers  # [support, nodes]
        for label in arrays:
            others = np.ones((len(support), len(breakers)))
            for other in arrays:
                if other != label:
                    others = others * factors[other]
            wins[label] += float(masses[label] @ (others @ node_weights)) / studies
    return wins


class StepsToTarget(NamedTuple):
    """Steps to a target: the median over runs (None if more than half never reach it), how many did, of how many."""

    median: int | None
    reached: int
    total: int


def steps_to_target(
    curves: Iterable[tuple[Sequence[int], Sequence[float | None]]], target: float, direction: Direction
) -> StepsToTarget:
    """Median number of steps until a run's curve first meets the target.

    A run that never does is censored: it counts as slower than all that do, for nothing says how much slower. The
    median is the first step by which at least half of the runs have arrived (the Kaplan-Meier median if all runs are
    equally long). No smoothing: a curve evaluated rarely is late, one that touches the target by luck is early.

    Args:
        curves: for each run its steps, rising, and the metric there in its units; None and NaN do not meet any target.
        target: value to reach, in the metric's units.
        direction: "min" or "max", whichever is better.
    """
    better = sign(direction)
    arrivals, total = [], 0
    for steps, values in curves:
        total += 1
        arrived = (
            step
            for step, value in zip(steps, values, strict=True)
            if value is not None and math.isfinite(value) and better * value >= better * target
        )
        arrivals.append(next(arrived, None))
    reached = sorted(step for step in arrivals if step is not None)
    half = (total + 1) // 2
    return StepsToTarget(int(reached[half - 1]) if 0 < half <= len(reached) else None, len(reached), total)


@dataclass(frozen=True)
class VarianceSplit:
    """How two kinds of luck share the variance of scores.

    Attributes:
        tuning: variance between studies beyond what seeds explain (which points were drawn, which was chosen), in
            squared units of the metric.
        trial: variance between seeds of one study (initial weights, order of batches), in the same units.
        share_tuning: tuning / (tuning + trial), in [0, 1]; None if nothing varies.
    """

    tuning: float
    trial: float
    share_tuning: float | None


def variance_split(scores: ArrayLike) -> VarianceSplit | None:
    """Split the variance of one contender's scores into tuning luck and trial luck.

    One-way random effects, y[k, s] = m + u[k] + e[k, s], by the method of moments:

        trial = MSW = mean over k of var over s,   tuning = max(0, (MSB - MSW) / S),   MSB = S * var over k of means.

    Assumes that seeds are nested in studies and equally noisy in each. With few studies tuning is very uncertain.
    Source: Searle, Casella and McCulloch 1992, Variance Components, chapter 3, https://doi.org/10.1002/9780470316856.

    Args:
        scores: [K studies, S seeds], finite, in the metric's units.

    Returns:
        The split, or None with fewer than 2 studies or 2 seeds: then the two cannot be told apart.
    """
    array = stacked({"contender": scores})[0]
    studies, seeds = array.shape
    if studies < 2 or seeds < 2:
        return None
    trial = float(array.var(axis=1, ddof=1).mean())
    tuning = max(0.0, float(array.mean(axis=1).var(ddof=1)) - trial / seeds)
    total = tuning + trial
    return VarianceSplit(tuning, trial, tuning / total if total > 0 else None)


def inclusion_flags(pairs: Iterable[Pair], special_cases: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each general form that lost to its own special case, in the order of ``special_cases``.

    Momentum with momentum 0 is SGD; tuned enough, the general form cannot be worse. If it detectably is, the budget or
    the space of its tuning was too small. Source: Choi et al. 2019, https://arxiv.org/abs/1910.05446.

    Args:
        pairs: what ``compare`` said.
        special_cases: for the label of a general form, the labels of its special cases; those not raced are ignored.
    """
    winners = {}
    for pair in pairs:
        if pair.decision != Decision.UNDECIDED:
            a_won = pair.decision == Decision.A_BETTER
            winners[frozenset((pair.a, pair.b))] = pair.a if a_won else pair.b
    return [
        f"{special} detectably beats {general}, of which it is a special case: {general} was tuned too little. "
        f"Give it more trials per study, or a search space that reaches {special}."
        for general, specials in special_cases.items()
        for special in specials
        if winners.get(frozenset((general, special))) == special
    ]


def halving_regret(values_at_rungs: ArrayLike, direction: Direction) -> float:
    """What halving would have lost in one study: the best final value less that of the trial halving would have chosen.

    At each rung but the last row the best half, ceil(n / 2), of the trials still there is kept; of those that are left
    the best at the end is chosen. Equal values keep the lower index; what is not finite is worse than anything finite.

    Args:
        values_at_rungs: [R, N], the metric of all N trials, trained without halving, at each rung; the last row is at
            the end.
        direction: "min" or "max", whichever is better.

    Returns:
        Regret in the metric's units, at least 0. A choice that diverged at the end counts as the worst finite final
        value; if no trial ended finite the regret is 0.
    """
    better = sign(direction)
    array = np.asarray(values_at_rungs, dtype=float)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"The values have shape {array.shape}; [rungs, trials] is needed, the last row at the end.")
    final = better * filled(array[-1], direction)
    if np.isnan(final).all():
        return 0.0
    left = np.arange(array.shape[1])
    for row in array[:-1]:
        merit = np.where(np.isfinite(row), better * row, -np.inf)[left]
        left = np.sort(left[np.argsort(-merit, kind="stable")[: math.ceil(len(left) / 2)]])
    return float(final.max() - final[left].max())
