"""What smaller budgets would have bought: the best of n trials, and the chance that it beats every other contender."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtrit

from gradrace.verdict.compare import FEWEST_STUDIES
from gradrace.verdict.scores import Direction, filled, sign

RESAMPLES = 2000

NEGLIGIBLE = 1e-18
"""No contender's best of many trials is one of its worst values: what is less likely than this is not summed up."""


def best_of_n(values: ArrayLike, direction: Direction, n_max: int | None = None) -> np.ndarray:
    """Expected value of the best of n trials, for n = 1 to ``n_max``: what a smaller budget would have bought.

    The mean over studies of ``best_of_n_by_study``, which see for the mathematics.

    Args:
        values: the trials' values [N], or of several studies [K, N] (then averaged over studies), in the metric's
            units. What is not finite counts as the worst finite value given.
        direction: "min" or "max", whichever is better.
        n_max: largest n, between 1 and N; N if None.

    Returns:
        Array [n_max] in the metric's units; NaN if no value is finite.
    """
    return best_of_n_by_study(np.atleast_2d(np.asarray(values, dtype=float)), direction, n_max).mean(axis=0)


def best_of_n_by_study(values: ArrayLike, direction: Direction, n_max: int | None = None) -> np.ndarray:
    """Each study's expected value of the best of n of its trials, for n = 1 to ``n_max``.

    Exact for n drawn without replacement from the N trials. With values in rising order of merit v(1) .. v(N),

        E[best of n] = sum over i >= n of  w(i, n) * v(i),   w(i, n) = C(i - 1, n - 1) / C(N, n),

    unbiased for a fresh budget of n, unlike the form with replacement. It takes the best value as chosen, so with a
    noisy metric it flatters larger n. Sources: Dodge et al. 2019, https://arxiv.org/abs/1909.03004; the unbiased form:
    Tang et al. 2020, https://aclanthology.org/2020.acl-main.246/; for optimizers: Sivaprasad et al. 2020,
    https://arxiv.org/abs/1910.11758.

    Args:
        values: the trials' values [K studies, N trials], in the metric's units. What is not finite counts as the worst
            finite value given.
        direction: "min" or "max", whichever is better.
        n_max: largest n, between 1 and N; N if None.

    Returns:
        Array [K, n_max] in the metric's units; NaN if no value is finite.
    """
    better = sign(direction)
    array = filled(values, direction)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"The values have shape {np.shape(values)}; [trials] or [studies, trials] is needed.")
    total = array.shape[1]
    longest = total if n_max is None else n_max
    if not 1 <= longest <= total:
        raise ValueError(f"n_max is {n_max}; it must lie between 1 and the number of trials, {total}.")
    rising = np.sort(better * array, axis=1)
    # w(i, 1) = 1 / N, and from n to n + 1: C(i-1, n) / C(i-1, n-1) = (i - n) / n, C(N, n) / C(N, n+1) = (n+1) / (N-n).
    rank, weights, curve = np.arange(1, total + 1), np.full(total, 1 / total), np.empty((len(rising), longest))
    for n in range(1, longest + 1):
        curve[:, n - 1] = rising @ weights
        if n < longest:
            weights = weights * np.maximum(rank - n, 0) / n * ((n + 1) / (total - n))
    return better * curve


def probability_best(values: Mapping[str, ArrayLike], direction: Direction, n: int) -> dict[str, float]:
    """Probability that a contender's best of n trials beats every other contender's; ties are split evenly.

    The mean over studies of ``probability_best_by_study``, which see for the mathematics.

    Args:
        values: for each label the trials' values [K studies, N trials]; K is the same for all, N need not be. What is
            not finite is worse than anything finite, and equal to its like.
        direction: "min" or "max", whichever is better.
        n: trials drawn, between 1 and the smallest N.

    Returns:
        A probability for each label; they sum to 1.
    """
    found = probability_best_by_study(values, direction, n)
    return {label: float(chances[:, n - 1].mean()) for label, chances in found.items()}


def probability_best_by_study(
    values: Mapping[str, ArrayLike], direction: Direction, n_max: int | None = None
) -> dict[str, np.ndarray]:
    """Each study's probability that a contender's best of n trials beats every other's, for n = 1 to ``n_max``.

    Exact; ties are split evenly. In each study every contender draws n of its N trials without replacement and
    independently, so its best X has P(X <= v) = C(#values <= v, n) / C(N, n). Let each contender also draw a
    tie-breaker z, uniform on [0, 1]; then

        P(i wins) = sum over v of  P(X_i = v) * integral over z of  product over j != i of  P(X_j < v) + z P(X_j = v),

    a polynomial of degree C - 1 in z that Gauss-Legendre quadrature integrates without error. It describes the luck of
    drawing configurations, and is no test: two equal contenders each get about one half.

    Args:
        values: for each label the trials' values [K studies, N trials]; K is the same for all, N need not be. What is
            not finite is worse than anything finite, and equal to its like.
        direction: "min" or "max", whichever is better.
        n_max: largest n, between 1 and the smallest N; the smallest N if None.

    Returns:
        For each label an array [K, n_max]; over labels they sum to 1.
    """
    better = sign(direction)
    arrays = {label: better * np.asarray(array, dtype=float) for label, array in values.items()}
    if not arrays:
        return {}
    shapes = {label: array.shape for label, array in arrays.items()}
    if any(len(shape) != 2 or 0 in shape for shape in shapes.values()) or len({s[0] for s in shapes.values()}) > 1:
        raise ValueError(f"[studies, trials] is needed, with as many studies for each contender; received {shapes}.")
    fewest = min(shape[1] for shape in shapes.values())
    longest = fewest if n_max is None else n_max
    if not 1 <= longest <= fewest:
        raise ValueError(f"n is {n_max}; it must lie between 1 and the smallest number of trials, {fewest}.")
    ordered = [np.sort(np.where(np.isfinite(array), array, -np.inf), axis=1) for array in arrays.values()]
    studies = [_chances([array[study] for array in ordered], longest) for study in range(len(ordered[0]))]
    return dict(zip(arrays, np.array(studies).transpose(1, 0, 2), strict=True))


def _chances(sorted_values: list[np.ndarray], longest: int) -> np.ndarray:
    """One study's chances [C contenders, n]; see ``probability_best_by_study``."""
    nodes, weights = np.polynomial.legendre.leggauss(len(sorted_values) // 2 + 1)
    breakers, weights = (nodes + 1) / 2, weights / 2
    support = np.unique(np.concatenate(sorted_values))
    ranks = np.array([np.searchsorted(array, support, side="right") for array in sorted_values])
    counts = np.array([[len(array)] for array in sorted_values])
    chances, up_to = np.empty((len(sorted_values), longest)), ranks / counts
    for n in range(1, longest + 1):
        masses = np.diff(up_to, prepend=0.0, axis=1)
        likely = masses.max(axis=0) > NEGLIGIBLE
        masses, most = masses[:, likely], up_to[:, likely]
        factors = (most - masses)[:, :, None] + masses[:, :, None] * breakers  # [C, support, nodes]
        # Products over all others, from those before and those after: no division, for a factor may be 0.
        before, after = np.ones_like(factors), np.ones_like(factors)
        for i, j in pairwise(range(len(factors))):
            before[j] = before[i] * factors[i]
        for i, j in pairwise(reversed(range(len(factors)))):
            after[j] = after[i] * factors[i]
        chances[:, n - 1] = np.einsum("cs,csz,z->c", masses, before * after, weights)
        if n < longest:  # C(r, n + 1) / C(N, n + 1) = C(r, n) / C(N, n) * (r - n) / (N - n)
            up_to = up_to * np.maximum(ranks - n, 0) / (counts - n)
    return chances


def bootstrap_interval(
    values_by_study: ArrayLike, seed: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray] | None:
    """Interval of the mean over studies by a bootstrap over studies, for quantities that no t interval suits.

    The K studies are drawn with replacement `RESAMPLES` times; the interval lies between two quantiles of the means of
    the draws. Plain quantiles are too narrow with few studies, by a factor of sqrt((K - 1) / K) and for want of t's
    tails; they are moved out to

        Phi( ± sqrt(K / (K - 1)) * t(1 - (1 - level)/2; K - 1) ),

    which makes the interval that of t where the means are normal. It never leaves the span of the studies, so it keeps
    a probability in [0, 1]. Its limit is the same: with 3 studies it is that span, which holds the true mean in about
    three of four races only, and with 5 in about nine of ten; see it as the least uncertainty there is. Source:
    Hesterberg 2015, What teachers should know about the bootstrap, https://doi.org/10.1080/00031305.2015.1089789.

    Args:
        values_by_study: [K, ...], finite; the studies are drawn whole.
        seed: of the draws; equal seeds give equal intervals.
        level: coverage aimed at, in (0, 1).

    Returns:
        Arrays [...] of low and high ends, or None with fewer than 3 studies.
    """
    values = np.asarray(values_by_study, dtype=float)
    studies = len(values)
    if studies < FEWEST_STUDIES:
        return None
    tail = float(ndtr(math.sqrt(studies / (studies - 1)) * stdtrit(studies - 1, (1 - level) / 2)))
    drawn = np.random.default_rng(seed).multinomial(studies, np.full(studies, 1 / studies), size=RESAMPLES)
    means = np.tensordot(drawn / studies, values, axes=1)
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high
