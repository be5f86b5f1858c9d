"""Welch's test of contenders whose studies share no luck: against scipy, by hand, and on equal contenders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind

from gradrace.verdict import Decision, Reason, compare_unpaired


def one_seed(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_one_pair_is_welchs_with_the_fewer_degrees_of_freedom() -> None:
    a, b = one_seed(1.0, 2.0, 4.0, 3.0), one_seed(5.0, 9.0, 6.0)
    (pair,) = compare_unpaired({"a": a, "b": b}, "min")
    known: Any = ttest_ind(a.ravel(), b.ravel(), equal_var=False)
    assert pair.p == pytest.approx(2 * student.sf(abs(known.statistic), 2), rel=1e-9)
    assert pair.p > known.pvalue
    assert pair.p_adjusted == pair.p
    half = student.ppf(0.975, 2) * abs(pair.difference / known.statistic)
    assert pair.interval == pytest.approx((pair.difference - half, pair.difference + half), rel=1e-9)
    assert pair.difference == pytest.approx(-25 / 6)
    assert pair.decision is Decision.UNDECIDED  # p is 0.093, by Welch's own degrees of freedom 0.052
    # Variances of studies: 5/3 and 13/3, so d = (25/6) / sqrt(3).
    assert pair.effect_size == pytest.approx(-25 / 6 / math.sqrt(3))


def test_seeds_are_a_floor_of_the_error() -> None:
    """The means of both contenders' studies agree by luck; the seeds say that they cannot."""
    a = np.array([[0.0, 2.0], [2.0, 0.0], [0.0, 2.0]])
    (pair,) = compare_unpaired({"a": a, "b": a + 1}, "min")
    # W = 2, so each error is sqrt(2 / 6), and together sqrt(2 / 3), with 2 degrees of freedom; t(0.975; 2) = 4.3027.
    assert pair.interval == pytest.approx((-1 - 4.3027 * math.sqrt(2 / 3), -1 + 4.3027 * math.sqrt(2 / 3)), abs=1e-4)
    assert pair.decision is Decision.UNDECIDED
    assert pair.studies_to_decide is not None
    assert pair.studies_to_decide > 3


def test_studies_to_decide_would_decide() -> None:
    """With the number it names, eight in ten races of that difference and spread are decided."""
    generator = np.random.default_rng(0)
    (pair,) = compare_unpaired({"a": one_seed(0, 1, 2), "b": one_seed(1, 2, 3)}, "min")
    count = pair.studies_to_decide
    assert count is not None
    decided = [
        compare_unpaired({"a": generator.normal(0, 1, (count, 1)), "b": generator.normal(1, 1, (count, 1))}, "min")[
            0
        ].decision
        is Decision.A_BETTER
        for _ in range(400)
    ]
    assert np.mean(decided) == pytest.approx(0.8, abs=0.06)


def test_holm_over_the_pairs_that_are_tested() -> None:
    scores = {"a": one_seed(1, 2, 3), "b": one_seed(11, 12, 13), "c": one_seed(5, 6), "d": one_seed(1, 2.5, 3)}
    pairs = {(pair.a, pair.b): pair for pair in compare_unpaired(scores, "max")}
    assert list(pairs) == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    few = [names for names, pair in pairs.items() if pair.reason is Reason.FEW]
    assert few == [("a", "c"), ("b", "c"), ("c", "d")]
    assert pairs["a", "c"].difference == -3.5
    first = pairs["a", "b"]
    assert first.p is not None
    assert first.p_adjusted == pytest.approx(3 * first.p)
    assert first.decision is Decision.B_BETTER
    for pair in pairs.values():
        if pair.interval is not None:
            assert (pair.interval[0] > 0 or pair.interval[1] < 0) == (pair.decision is not Decision.UNDECIDED)


def test_where_nothing_varies() -> None:
    same, other = one_seed(0.5, 0.5, 0.5), one_seed(0.7, 0.7, 0.7, 0.7)
    (pair,) = compare_unpaired({"a": same, "b": same}, "max")
    assert (pair.reason, pair.p, pair.decision, pair.interval) == (
        Reason.IDENTICAL,
        1.0,
        Decision.UNDECIDED,
        (0.0, 0.0),
    )
    (pair,) = compare_unpaired({"a": same, "b": other}, "max")
    assert pair.reason is Reason.CONSTANT
    assert pair.p == pytest.approx(2.0**-2)
    assert pair.decision is Decision.UNDECIDED
    assert pair.studies_to_decide == 6  # 2^(1 - 6) < 0.05 <= 2^(1 - 5)
    (pair,) = compare_unpaired({"a": np.full((8, 2), 1.0), "b": np.full((8, 2), 2.0)}, "max")
    assert pair.decision is Decision.B_BETTER


def test_scores_of_any_size() -> None:
    a, b = one_seed(1, 2, 3), one_seed(11, 12, 14)
    (plain,) = compare_unpaired({"a": a, "b": b}, "max")
    for factor in (1e-200, 1e307):
        (pair,) = compare_unpaired({"a": factor * a, "b": factor * b}, "max")
        assert pair.p == pytest.approx(plain.p)
        assert pair.difference == pytest.approx(factor * plain.difference)


@pytest.mark.parametrize(
    ("studies", "spreads"), [((3, 3), (1, 1)), ((3, 8), (1, 4)), ((8, 3), (1, 4)), ((5, 5), (1, 10))]
)
def test_equal_contenders_are_seldom_told_apart(studies: tuple[int, int], spreads: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(1500):
        scores = {
            name: generator.normal(0, spread, (count, 1)) + generator.normal(0, 0.3, (count, 2))
            for name, count, spread in zip("ab", studies, spreads, strict=True)
        }
        wrong += compare_unpaired(scores, "max")[0].decision is not Decision.UNDECIDED
    assert wrong / 1500 < 0.055


def test_welchs_own_degrees_of_freedom_would_err_more_often() -> None:
    """Why the fewer are taken: with them 5 % at most; see decision 27."""
    generator = np.random.default_rng(1)
    a, b = generator.normal(0, 1, (100_000, 8)), generator.normal(0, 4, (100_000, 3))
    welch: Any = ttest_ind(a, b, axis=1, equal_var=False)
    fewer = 2 * student.sf(np.abs(welch.statistic), 2)
    assert (welch.pvalue < 0.05).mean() == pytest.approx(0.065, abs=0.003)
    assert (fewer < 0.05).mean() < 0.05


def test_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match="alpha is 1"):
        compare_unpaired({}, "max", alpha=1)
    with pytest.raises(ValueError, match="are not finite"):
        compare_unpaired({"a": one_seed(1, 2, math.nan), "b": one_seed(1, 2, 3)}, "max")
    with pytest.raises(ValueError, match=r"\[studies, seeds\] is needed"):
        compare_unpaired({"a": np.ones(3), "b": one_seed(1, 2, 3)}, "max")
    assert compare_unpaired({"a": one_seed(1.0)}, "max") == []
