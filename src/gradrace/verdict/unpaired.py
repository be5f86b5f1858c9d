"""The verdict on pairs whose studies share no luck: Welch's test, for runs that gradrace did not train."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from gradrace.verdict.compare import Decision, Pair, Reason, mean_interval, studies_to_decide
from gradrace.verdict.paired import FEWEST_STUDIES, RESOLUTION, holm, standard_error
from gradrace.verdict.scores import Direction, checked, sign


def compare_unpaired(scores: Mapping[str, ArrayLike], direction: Direction, alpha: float = 0.05) -> list[Pair]:
    """Compare every pair of contenders whose studies are independent of each other's; Holm over the pairs tested.

    With K studies of a contender, m its mean over them and se the error of that mean (between studies, and not less
    than what the seeds alone would cause, as in ``compare``),

        t = |m_a - m_b| / se,   se^2 = se_a^2 + se_b^2,   df = min(K_a, K_b) - 1.

    This is Welch's statistic with fewer degrees of freedom than he estimates from the spreads. Of few studies that
    estimate is so uncertain that more than 5 % of equal contenders would be told apart; with the smaller number the
    test never errs more often than it says (Hsu 1938).

    Neither the numbers of studies nor their spreads need be equal. A pair of which one has fewer than 3 studies is not
    tested. Where neither varies and they differ, p is that of as many coins as the smaller number of studies.

    Assumes independent, nearly normal study means. Studies that do share their luck make it too careful, not too bold:
    what they share would cancel in paired differences. Sources: Welch 1947, https://doi.org/10.2307/2332510; Hsu's
    bound: Scheffé 1970, https://doi.org/10.1080/01621459.1970.10481179; Holm 1979,
    https://www.jstor.org/stable/4615733.

    Args:
        scores: for each label the test values [K studies, S seeds], finite, in the metric's units; K and S may differ.
        direction: "min" or "max", whichever is better.
        alpha: the family-wise error rate, in (0, 1).

    Returns:
        One Pair for every two contenders, in the order of ``scores``. ``effect_size`` is the difference over the root
        of the mean variance of studies; ``studies_to_decide`` are those of each of the two.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie strictly between 0 and 1.")
    arrays = checked(scores)
    means = {label: mean_interval(array)[0] for label, array in arrays.items()}
    names = list(combinations(arrays, 2))
    few = {pair for pair in names if min(len(arrays[label]) for label in pair) < FEWEST_STUDIES}
    told = {
        (a, b): Pair(a, b, means[a] - means[b], None, None, None, Decision.UNDECIDED, None, None, Reason.FEW)
        for a, b in few
    }
    tested = [pair for pair in names if pair not in few]
    if tested:
        told |= dict(zip(tested, _tested(arrays, tested, direction, alpha), strict=True))
    return [told[pair] for pair in names]


def _tested(
    arrays: Mapping[str, np.ndarray], names: list[tuple[str, str]], direction: Direction, alpha: float
) -> list[Pair]:
    exponent = int(np.frexp(max(np.abs(array).max() for array in arrays.values()))[1])  # so that nothing overflows
    scaled = {label: np.ldexp(array, -exponent) for label, array in arrays.items()}
    sides = [[scaled[pair[side]] for pair in names] for side in (0, 1)]
    studies = np.array([[len(array) for array in side] for side in sides])  # [2, m], and so are the next three
    mean = np.array([[array.mean() for array in side] for side in sides])
    error = np.array([[standard_error(array - array[:1, :1]) for array in side] for side in sides])
    size = np.array([[np.abs(array).max() for array in side] for side in sides])
    difference, rounding = mean[0] - mean[1], RESOLUTION * size.max(axis=0)
    fewest, spread = studies.min(axis=0), np.hypot(*error)
    still = spread <= rounding
    identical = still & (np.abs(difference) <= rounding)
    constant = still & ~identical
    flips = -stdtrit(fewest - 1, 2.0 ** -np.minimum(fewest, 50))
    spread = np.where(constant, np.maximum(np.abs(difference) / flips, rounding), spread)
    t = np.divide(np.abs(difference), spread, out=np.zeros_like(spread), where=~identical)
    p = 2 * stdtr(fewest - 1, -t)
    corrected = holm(p, alpha)
    half = np.where(identical, 0.0, -stdtrit(fewest - 1, corrected.level / 2) * spread)
    # Of one study's difference, were there as many of both: where nothing varies, of what stands in for the spread.
    deviation = np.where(constant, spread * np.sqrt(fewest), np.sqrt((error**2 * studies).sum(axis=0)))
    effect = np.divide(difference, deviation, out=np.zeros_like(deviation), where=~identical)
    needed = studies_to_decide(np.abs(effect), corrected.level, studies.max(axis=0), constant)
    better, pairs = sign(direction), []
    for i, (a, b) in enumerate(names):
        decision = Decision.UNDECIDED
        if corrected.decided[i]:
            decision = Decision.A_BETTER if better * difference[i] > 0 else Decision.B_BETTER
        low, high = np.ldexp([difference[i] - half[i], difference[i] + half[i]], exponent).tolist()
        pairs.append(
            Pair(
                a,
                b,
                difference=float(np.ldexp(difference[i], exponent)),
                interval=(low, high),
                p=float(p[i]),
                p_adjusted=float(corrected.adjusted[i]),
                decision=decision,
                studies_to_decide=None if corrected.decided[i] else needed[i],
                effect_size=float(effect[i] * np.sqrt(2)),
                reason=Reason.IDENTICAL if identical[i] else Reason.CONSTANT if constant[i] else None,
            )
        )
    return pairs
