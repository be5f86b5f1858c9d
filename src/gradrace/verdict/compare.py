"""The verdict on each pair of contenders: paired differences over studies, a test, its correction, a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nctdtr, stdtr, stdtrit

from gradrace.verdict.scores import Direction, sign, stacked

FEWEST_STUDIES = 3
MOST_STUDIES = 1000
POWER = 0.8

# Metrics are computed in float32, so equal differences (0.85 - 0.80 and 0.90 - 0.85) may differ by its rounding.
# What is below this share of the scores' size is rounding, not evidence.
RESOLUTION = float(np.finfo(np.float32).eps)


class Decision(StrEnum):
    """What a race says about a pair."""

    A_BETTER = "a better"
    B_BETTER = "b better"
    UNDECIDED = "no detectable difference"


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
        reason: a sentence where the decision rests on something other than the t test, else None.
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
    reason: str | None


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
    first, second = (np.array(side) for side in zip(*combinations(range(len(table)), 2), strict=True))

    # In units of a power of two at least as large as both contenders' scores: exact, and free of overflow.
    size = np.abs(table).max(axis=(1, 2))
    exponent = np.frexp(np.maximum(size[first], size[second]))[1]
    left, right = (np.ldexp(table[side], -exponent[:, None, None]) for side in (first, second))
    unequal = np.abs(left - right) > RESOLUTION * np.maximum(np.abs(left), np.abs(right))
    identical = unequal.sum(axis=(1, 2)) == 0
    mean = np.where(identical, 0.0, np.ldexp((left - right).mean(axis=(1, 2)), exponent))

    studies = table.shape[1]
    if studies < FEWEST_STUDIES:
        reason = f"Too few studies for a test: {studies} given, at least {FEWEST_STUDIES} needed."
        return [
            Pair(a, b, float(d), None, None, None, Decision.UNDECIDED, None, None, reason)
            for (a, b), d in zip(names, mean, strict=True)
        ]

    # Scores less their own first one: a contender that always scores the same, as one that always diverges does, then
    # adds no rounding to the spread, however large its score.
    anchored = table - table[:, :1, :1]
    rounding = RESOLUTION * np.where(anchored.any(axis=(1, 2)), size, 0.0)
    error = _standard_error(anchored[first] - anchored[second])
    constant = ~identical & (error <= np.maximum(rounding[first], rounding[second]))
    # At most 50 coins: beyond that no level is as small, and quantiles of t so far out lose their meaning.
    flips = -stdtrit(studies - 1, 2.0 ** -min(studies, 50))
    careful = np.maximum(np.abs(mean) / flips, RESOLUTION * np.maximum(size[first], size[second]))
    error = np.where(identical, 0.0, np.where(constant, careful, error))

    df = studies - 1
    t = np.divide(np.abs(mean), error, out=np.zeros_like(mean), where=~identical)
    p = 2 * stdtr(df, -t)
    p_adjusted, level, decided = _holm(t, p, df, alpha)
    half = -stdtrit(df, level / 2) * error
    effect = np.divide(mean, error * math.sqrt(studies), out=np.zeros_like(mean), where=~identical)
    needed = _studies_to_decide(np.abs(effect), level, studies, constant)

    pairs = []
    for i, (a, b) in enumerate(names):
        decision, reason = Decision.UNDECIDED, None
        if decided[i]:
            decision = Decision.A_BETTER if better * mean[i] > 0 else Decision.B_BETTER
        if identical[i]:
            reason = "Both have the same value on every seed of every study."
        elif constant[i]:
            reason = (
                f"The difference is the same in all {studies} studies, so its spread is unknown; "
                f"p is that of {studies} coins falling alike."
            )
        pairs.append(
            Pair(
                a,
                b,
                difference=float(mean[i]),
                interval=(float(mean[i] - half[i]), float(mean[i] + half[i])),
                p=float(p[i]),
                p_adjusted=float(p_adjusted[i]),
                decision=decision,
                studies_to_decide=None if decided[i] else needed[i],
                effect_size=float(effect[i]),
                reason=reason,
            )
        )
    return pairs


def _standard_error(differences: np.ndarray) -> np.ndarray:
    """Standard error [pairs] of the mean of ``differences`` [pairs, K, S]: between studies or from seeds, the greater.

    Unmoved by a constant added to a pair's differences.
    """
    _, studies, seeds = differences.shape
    exponent = np.frexp(np.abs(differences).max(axis=(1, 2)))[1]  # so that a loss of 1e250 can be squared
    differences = np.ldexp(differences, -exponent[:, None, None])
    error = differences.mean(axis=2).std(axis=1, ddof=1) / math.sqrt(studies)
    if seeds > 1:
        within = differences.var(axis=2, ddof=1).mean(axis=1)
        error = np.maximum(error, np.sqrt(within / (studies * seeds)))
    return np.ldexp(error, exponent)


def _holm(t: np.ndarray, p: np.ndarray, df: int, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Holm's step-down procedure: adjusted p-values, the level each pair faced, and which pairs are decided.

    Decided on t against its quantile, the very comparison that sets the interval, so that no rounding parts the two.
    """
    count = len(t)
    order = np.argsort(-t, kind="stable")
    steps = np.arange(count, 0, -1)
    levels = alpha / steps
    passed = t[order] > -stdtrit(df, levels / 2)
    rejected = count if passed.all() else int(np.argmin(passed))
    p_adjusted, level, decided = np.empty(count), np.empty(count), np.zeros(count, dtype=bool)
    p_adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    level[order] = np.where(np.arange(count) < rejected, levels, levels[min(rejected, count - 1)])
    decided[order[:rejected]] = True
    return p_adjusted, level, decided


def _studies_to_decide(effect: np.ndarray, level: np.ndarray, studies: int, constant: np.ndarray) -> list[int | None]:
    """For each pair, the fewest studies n in (K, 1000] with which its test has a power of 0.8; None if there is none.

    Power = P(T > c), T non-central t with n - 1 degrees of freedom and non-centrality effect * sqrt(n), c the two-sided
    quantile at the pair's level; a decision for the wrong side is no success and is not counted. A constant difference
    needs 2^(1 - n) < level. The observed effect is taken for the true one, which makes this a rough guide.
    """
    # Power rises with n, so every pair's n is found by one bisection: `low` lacks the power, `high` has it.
    low = np.full(len(effect), studies)
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
    """Mean over studies and its t interval: mean ± t(1 - (1 - level)/2; K - 1) sd / sqrt(K).

    Assumes independent, nearly normal study means. An interval of one contender alone; intervals of two contenders may
    overlap though the paired differences decide.

    Args:
        values_by_study: one value per study [K], finite, in the metric's units.
        level: coverage, in (0, 1).
        fewest: studies below which the interval is withheld, at least 2: one value has no spread. Reports ask for
            `FEWEST_STUDIES`, as the test does: with 2 studies t(0.975; 1) is 12.7, and the interval says nothing.

    Returns:
        The mean, and (low, high) or None with fewer than ``fewest`` studies.
    """
    values = np.asarray(values_by_study, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"The values have shape {values.shape}; one value per study is needed, at least one.")
    if not np.isfinite(values).all():
        raise ValueError("The values by study hold some that are not finite; pass the scores through censor first.")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie strictly between 0 and 1.")
    exponent = math.frexp(float(np.abs(values).max()))[1]  # so that a loss of 1e250 can be squared
    scaled = np.ldexp(values, -exponent)
    mean = scaled.mean()
    centre = float(np.ldexp(mean, exponent))
    if len(values) < max(2, fewest):
        return centre, None
    half = -stdtrit(len(values) - 1, (1 - level) / 2) * scaled.std(ddof=1) / math.sqrt(len(values))
    return centre, (float(np.ldexp(mean - half, exponent)), float(np.ldexp(mean + half, exponent)))


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
    better = sign(direction)
    arrays = {label: _rectangle(label, rows) for label, rows in scores.items()}
    candidates = [array[np.isfinite(array)] for array in arrays.values()]
    if worst is not None and math.isfinite(worst):
        candidates.append(np.array([worst], dtype=float))
    known = np.concatenate(candidates) if candidates else np.empty(0)
    fill = float(better * (better * known).min()) if known.size else 0.0
    censored = sum(int((~np.isfinite(array)).sum()) for array in arrays.values())
    return {label: np.where(np.isfinite(array), array, fill) for label, array in arrays.items()}, censored


def _rectangle(label: str, rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    """One contender's values as a float array [K, S] with NaN for None."""
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise ValueError(f"The studies of '{label}' have {lengths} values; each study needs one value per seed.")
    return np.array([[math.nan if value is None else value for value in row] for row in rows], dtype=float)
