"""What stands beside the verdict: shares of luck, what halving costs, and a self-check."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gradrace.verdict.compare import Decision, Pair
from gradrace.verdict.scores import Direction, filled, sign, stacked


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


def inclusion_flags(pairs: Iterable[Pair], special_cases: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Each (special case, general form) where the general form lost to it, in the order of ``special_cases``.

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
        (special, general)
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
