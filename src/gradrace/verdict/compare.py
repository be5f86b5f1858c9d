"""The verdict on each pair of contenders: paired differences over studies, a test, its correction, a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nctdtr, stdtrit

from gradrace.verdict.paired import FEWEST_STUDIES, judge, paired, t_interval
from gradrace.verdict.scores import Direction, sign, stacked, worst_value

MOST_STUDIES = 1000
POWER = 0.8


class Decision(StrEnum):
    """What a race says about a pair."""

    A_BETTER = "a better"
    B_BETTER = "b better"
    UNDECIDED = "no detectable difference"


class Reason(StrEnum):
    """What a decision rests on where it is not the t test.

    Attributes:
        FEW: fewer studies than a test needs.
        IDENTICAL: both contenders have the same value on every seed of every study.
        CONSTANT: the difference is the same in every study, so its spread is unknown; p is that of as many coins
            falling alike.
    """

    FEW = "few"
    IDENTICAL = "identical"
    CONSTANT = "constant"


@dataclass(frozen=True)
class Pair:
    """The verdict on one pair.

    Attributes:
        a: label of the first contender.
        b: label of the second.
        difference: mean over studies of (a - b), in the metric's units.
        interval: of the difference, at the level this pair faced in Holm's procedure: it excludes 0 exactly when the
            pair is decided. None with fewer than 3 studies.
        p: two-sided p-value of this pair alone, or None.
        p_adjusted: after Holm's correction over all pairs of the race, or None.
        decision: a better, b better, or no detectable difference.
        studies_to_decide: for an undecided pair, the studies in all (more than the race had) that would decide it with
            a probability of 80 %, if its difference and spread are as observed; None if decided or more than 1000.
        effect_size: difference in standard deviations of the difference between studies (Cohen's d of paired data), or
            None without a test.
        reason: where the decision rests on something other than the t test, what on; else None.
    """

    a: str
    b: str
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    p_adjusted: float | None
    decision: Decision
    studies_to_decide: int | None
    effect_size: float | None
    reason: Reason | None


def compare(scores: Mapping[str, ArrayLike], direction: Direction, alpha: float = 0.05) -> list[Pair]:
    """Compare every pair of contenders; the chance that two equally good ones are told apart is at most ``alpha``.

    The study is the unit of replication. With d[k, s] = a[k, s] - b[k, s] and d[k] its mean over seeds,

        t = mean(d[k]) / se,   K - 1 degrees of freedom,
        se = max( sd(d[k]) / sqrt(K),  sqrt(W / (K S)) ),   W = the variance of d[k, s] within studies, pooled.

    The second term is the error that the seeds alone would cause. It can only make the test more careful: with three
    studies of a discrete metric, the spread between studies is often small by luck.

    If both terms vanish but the difference does not (the same difference in every study), t says nothing. Then each
    study is one coin whose sign is random if the contenders are equal, and p = 2^(1 - K), the smallest two-sided
    p-value that K sign flips can give. "Vanish" means below the rounding of float32, relative to the scores.

    Holm: of m pairs with p-values in rising order, the i-th is decided if those before it are and
    p < alpha/(m - i + 1). A pair decided at place i has an interval of level 1 - alpha/(m - i + 1); if r are decided,
    the others have level 1 - alpha/(m - r). So the interval excludes 0 exactly when the pair is decided. Only the
    decisions are guaranteed jointly, not the simultaneous coverage of the intervals.

    Assumptions: studies are independent; the d[k] are near enough to normal. Heavy tails, such as one study of a
    contender that diverged, widen se and leave the pair undecided rather than decide it wrongly.

    Sources: Holm 1979, https://www.jstor.org/stable/4615733; the study as unit: Bouthillier et al. 2021,
    https://arxiv.org/abs/2103.03098.

    Args:
        scores: for each label the test values [K studies, S seeds] of its studies' choices, finite, in the metric's
            units; study k and seed s are the same draw of luck for every contender.
        direction: "min" or "max", whichever is better.
        alpha: the family-wise error rate, in (0, 1).

    Returns:
        One Pair for every two contenders, in the order of ``scores``; none for fewer than two contenders.
    """
    better = sign(direction)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie strictly between 0 and 1.")
    names = list(combinations(scores, 2))
    if not names:
        return []
    table = stacked(scores)
    studies = table.shape[1]
    if studies < FEWEST_STUDIES:
        return [
            Pair(a, b, float(d), None, None, None, Decision.UNDECIDED, None, None, Reason.FEW)
            for (a, b), d in zip(names, paired(table).mean, strict=True)
        ]
    judged = judge(table, alpha)
    mean, identical, half = judged.pairs.mean, judged.pairs.identical, judged.half
    error, constant = judged.test.error, judged.test.constant
    effect = np.divide(mean, error * math.sqrt(studies), out=np.zeros_like(mean), where=~identical)
    needed = studies_to_decide(np.abs(effect), judged.holm.level, studies, constant)

    pairs = []
    for i, (a, b) in enumerate(names):
        decision, reason = Decision.UNDECIDED, None
        if judged.holm.decided[i]:
            decision = Decision.A_BETTER if better * mean[i] > 0 else Decision.B_BETTER
        if identical[i]:
            reason = Reason.IDENTICAL
        elif constant[i]:
            reason = Reason.CONSTANT
        pairs.append(
            Pair(
                a,
                b,
                difference=float(mean[i]),
                interval=(float(mean[i] - half[i]), float(mean[i] + half[i])),
                p=float(judged.test.p[i]),
                p_adjusted=float(judged.holm.adjusted[i]),
                decision=decision,
                studies_to_decide=None if judged.holm.decided[i] else needed[i],
                effect_size=float(effect[i]),
                reason=reason,
            )
        )
    return pairs


def studies_to_decide(
    effect: np.ndarray, level: np.ndarray, studies: int | np.ndarray, constant: np.ndarray
) -> list[int | None]:
    """For each pair, the fewest studies n in (K, 1000] with which its test has a power of 0.8; None if there is none.

    Power = P(T > c), T non-central t with n - 1 degrees of freedom and non-centrality effect * sqrt(n), c the two-sided
    quantile at the pair's level; a decision for the wrong side is no success and is not counted. A constant difference
    needs 2^(1 - n) < level. The observed effect is taken for the true one, which makes this a rough guide.

    Args:
        effect: absolute difference over the standard deviation of a study's difference [m].
        level: of each pair [m].
        studies: K, of all or of each pair.
        constant: pairs whose difference does not vary [m].
    """
    # Power rises with n, so every pair's n is found by one bisection: `low` lacks the power, `high` has it.
    low = np.broadcast_to(studies, len(effect)).copy()
    high = np.full(len(effect), MOST_STUDIES + 1)
    while (high - low > 1).any():
        n = np.maximum((low + high) // 2, studies + 1)
        enough = 1 - nctdtr(n - 1, effect * np.sqrt(n), -stdtrit(n - 1, level / 2)) >= POWER
        low, high = np.where(enough, low, n), np.where(enough, n, high)
    coins = np.maximum(np.floor(1 - np.log2(level)) + 1, studies + 1)
    needed = np.where(constant, coins, high)
    return [int(n) if n <= MOST_STUDIES and e > 0 else None for n, e in zip(needed, effect, strict=True)]


def mean_interval(
    values_by_study: ArrayLike, level: float = 0.95, fewest: int = 2
) -> tuple[float, tuple[float, float] | None]:
    """Mean over studies and its t interval: mean ± t(1 - (1 - level)/2; K - 1) se.

    se is sd / sqrt(K) of the studies' means, and where seeds are given not less than what they alone would cause, as in
    ``compare``. On real trials that floor mends most of what an interval of few studies lacks (decision 16).

    Assumes independent, nearly normal study means. Where tuning fails badly now and then, few studies rarely show it,
    and the interval holds the truth less often than it says. An interval of one contender alone; intervals of two
    contenders may overlap though the paired differences decide.

    Args:
        values_by_study: one value per study [K], or the seeds' of each study [K, S]; finite, in the metric's units.
        level: coverage, in (0, 1).
        fewest: studies below which the interval is withheld, at least 2: one value has no spread. Reports ask for
            `FEWEST_STUDIES`, as the test does: with 2 studies t(0.975; 1) is 12.7, and the interval says nothing.

    Returns:
        The mean, and (low, high) or None with fewer than ``fewest`` studies.
    """
    values = np.asarray(values_by_study, dtype=float)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"The values have shape {values.shape}; [studies] or [studies, seeds] is needed, without 0.")
    if not np.isfinite(values).all():
        raise ValueError("The values by study hold some that are not finite; pass the scores through censor first.")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie strictly between 0 and 1.")
    scores = values.reshape(len(values), -1)
    if len(scores) < 2:
        return float(scores.mean()), None
    mean, half = t_interval(scores, level)
    if len(scores) < fewest:
        return float(mean), None
    return float(mean), (float(mean - half), float(mean + half))


def censor(
    scores: Mapping[str, Sequence[Sequence[float | None]]], direction: Direction, worst: float | None
) -> tuple[dict[str, np.ndarray], int]:
    """Replace every missing value (diverged, failed, never selected) by the worst one; count the replacements.

    A trial without a finite value is known only to be worse than the scale can show. It is censored there: at the
    worst value the metric declares, or at the worst finite value of any contender, study and seed, whichever is worse,
    so that no finished trial scores below a diverged one. Leaving such trials out would reward divergence. Without a
    declared worst value the true loss is understated: a contender that diverges ties with the worst that finished.

    Args:
        scores: for each label values [K studies][S seeds] in the metric's units; None, NaN and infinities are missing.
        direction: "min" or "max", whichever is better.
        worst: the metric's worst possible value (0 for an accuracy), or None if it has none.

    Returns:
        Finite arrays [K, S], and the number of values censored. If nothing is finite and no worst value is declared,
        all values are 0: everything failed, so everything ties.
    """
    arrays = {label: _rectangle(label, rows) for label, rows in scores.items()}
    fill = float(worst_value(np.concatenate([*map(np.ravel, arrays.values()), []]), direction, worst))
    censored = sum(int((~np.isfinite(array)).sum()) for array in arrays.values())
    return {label: np.where(np.isfinite(array), array, fill) for label, array in arrays.items()}, censored


def _rectangle(label: str, rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    """One contender's values as a float array [K, S] with NaN for None."""
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(f"The studies of '{label}' have {lengths} values; each study needs one value per seed.")
    return np.array([[math.nan if value is None else value for value in row] for row in rows], dtype=float)
