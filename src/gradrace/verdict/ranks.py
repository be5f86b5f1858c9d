"""Ranks across workloads: the one verdict here that takes the workload, not the study, as its unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, friedmanchisquare, rankdata, studentized_range

from gradrace.verdict.across import Scores, contenders_of, levels_of, study_means
from gradrace.verdict.scores import Direction

FEWEST_WORKLOADS = 3


@dataclass(frozen=True)
class Ranks:
    """Mean ranks over workloads and what can be told apart by them.

    Attributes:
        mean: each contender's mean rank, 1 for one that is best everywhere; lowest first, equal ones by label.
        critical_difference: Nemenyi's: mean ranks that differ by more are told apart; or None.
        p: of Friedman's test that all contenders are equally good, or of the sign test for two; or None.
        workloads: how many.
        alpha: the level of both.
        reason: why there is no test, in a sentence, else None.
    """

    mean: Mapping[str, float]
    critical_difference: float | None
    p: float | None
    workloads: int
    alpha: float
    reason: str | None = None

    def apart(self, a: str, b: str) -> bool:
        """Whether two contenders are told apart: the test of all rejects, and these ranks differ by enough."""
        if self.p is None or self.critical_difference is None or self.p >= self.alpha:
            return False
        return abs(self.mean[a] - self.mean[b]) > self.critical_difference


def mean_ranks(scores: Scores, directions: Mapping[str, Direction], alpha: float = 0.05) -> Ranks:
    """Rank the contenders by their mean score on each workload, average, and test.

    With r[c, w] the rank of contender c of C on workload w of W (1 is best, ties get the mean of their ranks) and R[c]
    its mean over workloads, Friedman's statistic

        X = 12 W / (C (C + 1)) * (sum over c of R[c]^2 - C (C + 1)^2 / 4),   corrected for ties,

    has about a chi-squared distribution with C - 1 degrees of freedom if all are equally good. Nemenyi's critical
    difference is q(alpha; C, infinity) / sqrt(2) * sqrt(C (C + 1) / (6 W)), q the quantile of the studentized range.
    With two contenders Friedman's test is the sign test, and is made exactly.

    Assumptions: workloads are independent, and a sample of those that the answer is meant for; a suite that was picked
    by hand is not. Both tests are approximate with few workloads (below about 10) and weak: they see only order, and
    Nemenyi's corrects for all pairs. That two contenders are not told apart does not make them equal. Means that differ
    by no more than the rounding of float32 are tied. How noisy a mean is does not enter.

    Source: Demšar 2006, https://www.jmlr.org/papers/v7/demsar06a.html.

    Args:
        scores: for each workload and contender the test values [K studies, S seeds], finite; the same contenders on
            each.
        directions: for each workload "min" or "max", whichever is better.
        alpha: level of the tests, in (0, 1).

    Returns:
        The ranks; without test and difference, and with the reason, for fewer than 2 contenders or 3 workloads.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie strictly between 0 and 1.")
    labels = contenders_of(scores)
    means = [study_means(of, labels, directions[name]).mean(axis=1) for name, of in scores.items()]
    ranks = np.array([rankdata(-levels_of(values)) for values in means]).reshape(len(means), len(labels))
    by_label = dict(zip(labels, ranks.mean(axis=0).tolist(), strict=True)) if means else {}
    mean = dict(sorted(by_label.items(), key=lambda item: (item[1], item[0])))
    contenders, workloads = len(labels), len(means)
    if contenders < 2:
        reason = "Ranks compare contenders, and there is only one." if labels else "There are no contenders to rank."
        return Ranks(mean, None, None, workloads, alpha, reason)
    if workloads < FEWEST_WORKLOADS:
        reason = f"Too few workloads for a test of ranks: {workloads} given, at least {FEWEST_WORKLOADS} needed."
        return Ranks(mean, None, None, workloads, alpha, reason)
    quantile = float(studentized_range.ppf(1 - alpha, contenders, math.inf))
    difference = quantile / math.sqrt(2) * math.sqrt(contenders * (contenders + 1) / (6 * workloads))
    return Ranks(mean, difference, _p_value(ranks), workloads, alpha)


def _p_value(ranks: np.ndarray) -> float:
    """Of the hypothesis that all contenders are equally good, from their ranks [W, C]."""
    if (ranks == ranks[:, :1]).all():
        return 1.0  # all tied everywhere, of which Friedman's statistic is 0 / 0
    if ranks.shape[1] == 2:
        wins, losses = (int((ranks[:, side] < ranks[:, 1 - side]).sum()) for side in (0, 1))
        return float(binomtest(wins, wins + losses).pvalue)
    return float(friedmanchisquare(*ranks.T).pvalue)
