"""Candidates for the test of a pair: each takes the scores of whole races and gives a p-value for every pair.

All share one signature, ``test(table) -> p``: scores [..., C contenders, K studies, S seeds], finite, in the metric's
units, C at least 2 and K at least 3; two-sided p-values [..., m] of the m = C (C - 1) / 2 pairs, in the order (0, 1),
(0, 2), ... (1, 2), ... Leading axes are races. The whole table, since one candidate looks at all contenders. Below,
d[k, s] = a[k, s] - b[k, s] of a pair, and d[k] its mean over seeds.

For all of them identical contenders have p = 1, and a difference that is the same in every study has p = 2^(1 - K): see
``t_test``. Holm's correction over the pairs of a race follows: ``holm``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from scipy.stats import rankdata

from gradrace.verdict.paired import RESOLUTION, Paired, paired, standard_error, t_test

Test = Callable[[np.ndarray], np.ndarray]

MOST_FLIPPED = 16
"""Studies of which all sign flips are gone through: 2^15 patterns."""
RESAMPLES = 1999
TRIMMED = 0.2
_ROWS = 1000


def t_with_floor(table: np.ndarray) -> np.ndarray:
    """The test of ``compare``: paired t on study means, with a standard error of at least what the seeds imply.

    t = mean(d[k]) / se with K - 1 degrees of freedom, se = max(sd(d[k]) / sqrt(K), sqrt(W / (K S))), W the variance of
    d[k, s] within studies, pooled. Assumes independent studies and nearly normal d[k]; the floor makes it more careful
    than the plain t test, never less.
    """
    pairs = paired(table)
    return t_test(pairs, pairs.mean, standard_error(pairs.anchored), pairs.studies - 1).p


def t_on_studies(table: np.ndarray) -> np.ndarray:
    """Paired t on study means: t = mean(d[k]) sqrt(K) / sd(d[k]), K - 1 degrees of freedom.

    Assumes independent studies and normal d[k]. With few studies of a discrete metric, sd is often small by luck.
    Source: Student 1908, https://doi.org/10.1093/biomet/6.1.1; ``scipy.stats.ttest_rel`` of the study means.
    """
    pairs = paired(table)
    return t_test(pairs, pairs.mean, standard_error(pairs.anchored, floor=False), pairs.studies - 1).p


def sign_flip(table: np.ndarray) -> np.ndarray:
    """Exact permutation test: p is the share of all 2^K sign patterns e with |sum e[k] d[k]| >= |sum d[k]|.

    Assumes only that each d[k] is as likely as -d[k] if the contenders are equally good. The least p is 2^(1 - K), so
    with Holm's first level of 0.05/m it decides nothing until K > 1 + log2(m / 0.05). Source: Fisher 1935, The Design
    of Experiments, section 21; Pitman 1937, https://doi.org/10.2307/2984124.

    Raises:
        ValueError: more than 16 studies.
    """
    pairs = paired(table)
    return _flipped(pairs, pairs.values.mean(axis=-1), RESOLUTION * pairs.size)


def signed_rank(table: np.ndarray) -> np.ndarray:
    """Wilcoxon's signed-rank test, exact: ``sign_flip`` of sign(d[k]) rank(|d[k]|).

    Ties share their mean rank, and zeros keep their rank and have no sign (Pratt); the distribution is that over the
    sign patterns of the very ranks seen, so it stays exact where scores are discrete. Without ties it equals
    ``scipy.stats.wilcoxon(d, method="exact")``. Assumes symmetric d[k]; the least p is that of ``sign_flip``. Sources:
    Wilcoxon 1945, https://doi.org/10.2307/3001968; Pratt 1959, https://doi.org/10.1080/01621459.1959.10501526.

    Raises:
        ValueError: more than 16 studies.
    """
    pairs = paired(table)
    unit = np.where(pairs.identical, 1.0, RESOLUTION * pairs.size)[..., None]
    # In whole units of rounding, so that differences that are equal but for it share a rank.
    differences = np.round(pairs.values.mean(axis=-1) / unit)
    ranks = np.sign(differences) * rankdata(np.abs(differences), axis=-1)
    return _flipped(pairs, ranks, np.full(pairs.size.shape, 1e-6))


def _flipped(pairs: Paired, values: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Share of the sign patterns for which the sum of ``values`` [..., m, K] is at least as large as it is."""
    patterns = _sign_patterns(pairs.studies)
    observed = np.abs(values.sum(axis=-1)) - pairs.studies * rounding
    p = (np.abs(values @ patterns) >= observed[..., None]).mean(axis=-1)
    return _with_special_cases(pairs, p)


@cache
def _sign_patterns(studies: int) -> np.ndarray:
    """Sign patterns [K, 2^(K - 1)] whose first sign is +: the others are their opposites, with equal absolute sums."""
    if studies > MOST_FLIPPED:
        raise ValueError(f"There are {studies} studies; all sign flips of at most {MOST_FLIPPED} can be gone through.")
    return np.array([(1.0, *signs) for signs in product((1.0, -1.0), repeat=studies - 1)]).T


def _with_special_cases(pairs: Paired, p: np.ndarray) -> np.ndarray:
    """The rules of ``t_test`` for tests that are none: identical contenders, and the same difference in each study."""
    constant = standard_error(pairs.anchored) <= pairs.rounding
    return np.where(pairs.identical, 1.0, np.where(constant, 2.0 ** (1 - pairs.studies), p))


def bootstrap(table: np.ndarray) -> np.ndarray:
    """Hierarchical bootstrap: K studies with replacement, in each S seeds with replacement; B = 1999 resampled means.

    p = 2 (1 + min(#{mean* <= 0}, #{mean* >= 0})) / (B + 1), at most 1: the level at which the percentile interval
    touches 0. The same B resamples serve every pair and every race, so p is a function of the table alone. Assumes that
    K is large enough for the studies seen to stand for all studies: with three, a resample of one study three times
    has a chance of 1/9, and p is far too small. Source: Davison and Hinkley 1997, Bootstrap Methods and their
    Application, section 3.8, https://doi.org/10.1017/CBO9780511802843.
    """
    pairs = paired(table)
    weights = _resampling_weights(*pairs.values.shape[-2:])
    rows = pairs.values.reshape(-1, len(weights))
    below, above = np.empty(len(rows)), np.empty(len(rows))
    for start in range(0, len(rows), _ROWS):  # so many at a time as a core's cache may hold
        part = slice(start, start + _ROWS)
        means = rows[part] @ weights
        below[part], above[part] = (means <= 0).sum(axis=1), (means >= 0).sum(axis=1)
    p = np.minimum(2 * (1 + np.minimum(below, above)) / (RESAMPLES + 1), 1.0)
    return _with_special_cases(pairs, p.reshape(pairs.mean.shape))


@cache
def _resampling_weights(studies: int, seeds: int) -> np.ndarray:
    """What share each study's seeds have in the mean of each resample [K S, B]."""
    rng = np.random.default_rng([studies, seeds])
    chosen = rng.integers(studies, size=(RESAMPLES, studies, 1)) * seeds
    drawn = (chosen + rng.integers(seeds, size=(RESAMPLES, studies, seeds))).reshape(RESAMPLES, -1)
    counts = np.zeros((RESAMPLES, studies * seeds))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1.0)
    return counts.T / (studies * seeds)


def mixed_model(table: np.ndarray) -> np.ndarray:
    """Mixed model: score = contender + study + (contender x study) + seed, contenders fixed, the rest random.

    With y[c, k] the means over seeds, r their residuals after contender and study means,

        t = (y[a] - y[b]) / sqrt(2 M / K),   M = sum of r[c, k]^2 / ((C - 1) (K - 1)),   (C - 1) (K - 1) degrees,

    M the interaction's mean square over all contenders. For balanced data this is what REML gives unless the
    interaction's variance is estimated as 0, where REML pools M with the seeds'. With two contenders it is
    ``t_on_studies``. Assumes that the interaction has one variance for all contenders: a pair of steady contenders is
    judged by the spread of unsteady ones, and the other way about. Source: Searle, Casella and McCulloch 1992, Variance
    Components, chapter 4, https://doi.org/10.1002/9780470316856.
    """
    pairs = paired(table)
    contenders, studies = table.shape[-3:-1]
    means = table.mean(axis=-1)
    means = means - means[..., :1]  # as in ``paired``: no rounding of large equal scores
    residuals = means - means.mean(axis=-1, keepdims=True)
    residuals = residuals - residuals.mean(axis=-2, keepdims=True)
    df = (contenders - 1) * (studies - 1)
    error = np.sqrt(2 * (residuals**2).sum(axis=(-2, -1)) / df / studies)
    return t_test(pairs, pairs.mean, np.broadcast_to(error[..., None], pairs.mean.shape), df).p


def trimmed_t(table: np.ndarray) -> np.ndarray:
    """Yuen's t test on trimmed means, paired, 20 % off each end.

    With g = floor(0.2 K), h = K - 2 g, the d[k] sorted, and w[k] the same with the g outermost at each end replaced by
    the next one inwards,

        t = mean(d[g+1 .. h+g]) / sqrt(Q / (h (h - 1))),   Q = sum of (w[k] - mean(w))^2,   h - 1 degrees of freedom.

    With fewer than five studies nothing is trimmed and it is ``t_on_studies``. Tests the centre of the middle of the
    studies: a contender that diverges in one study of five is not charged for it. Source: Yuen 1974,
    https://doi.org/10.1093/biomet/61.1.165.
    """
    pairs = paired(table)
    ordered = np.sort(pairs.values.mean(axis=-1), axis=-1)
    cut = math.floor(TRIMMED * pairs.studies)
    kept = ordered[..., cut : pairs.studies - cut]
    left = kept.shape[-1]
    winsorized = np.clip(ordered, kept[..., :1], kept[..., -1:])
    # The smallest is taken off first, so that equal differences give exactly no spread.
    squares = (winsorized - winsorized[..., :1]).var(axis=-1) * pairs.studies
    return t_test(pairs, kept.mean(axis=-1), np.sqrt(squares / (left * (left - 1))), left - 1).p


@dataclass(frozen=True)
class Candidate:
    """A test with its name and what it is in a few words."""

    name: str
    title: str
    test: Test


CANDIDATES = (
    Candidate("t-floor", "paired t on studies, with a floor from the seeds", t_with_floor),
    Candidate("t", "paired t on studies", t_on_studies),
    Candidate("sign-flip", "exact permutation of signs", sign_flip),
    Candidate("signed-rank", "Wilcoxon's signed ranks, exact", signed_rank),
    Candidate("bootstrap", "bootstrap of studies, then seeds", bootstrap),
    Candidate("mixed", "mixed model, one variance for all contenders", mixed_model),
    Candidate("trimmed", "Yuen's t on means trimmed by 20 %", trimmed_t),
)
CHOSEN = CANDIDATES[0]
"""The one that ``compare`` uses."""
