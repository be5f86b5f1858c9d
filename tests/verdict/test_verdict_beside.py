"""What stands beside the verdict, each on a case worked by hand."""

import math

import numpy as np
import pytest

from gradrace.verdict import (
    Decision,
    Pair,
    halving_regret,
    inclusion_flags,
    variance_split,
)

NAN = math.nan


class TestVarianceSplit:
    def test_by_hand(self):
        # Study means 2, 6, 10; each study has variance 2: trial 2; MSB = 2 * 16 = 32, tuning (32 - 2) / 2 = 15.
        found = variance_split([[1, 3], [5, 7], [9, 11]])
        assert found is not None
        assert (found.tuning, found.trial, found.share_tuning) == pytest.approx((15, 2, 15 / 17))

    def test_truncated_at_zero(self):
        # Equal study means: MSB = 0 < MSW.
        found = variance_split([[1, 3], [3, 1]])
        assert found is not None
        assert (found.tuning, found.trial, found.share_tuning) == (0, 2, 0)

    def test_what_cannot_be_split(self):
        assert variance_split([[1, 2, 3]]) is None
        assert variance_split([[1], [2]]) is None
        found = variance_split([[1, 1], [1, 1]])
        assert found is not None
        assert found.share_tuning is None
        with pytest.raises(ValueError, match="not finite"):
            variance_split([[1, NAN], [1, 1]])

    def test_finds_the_shares_it_was_given(self):
        rng = np.random.default_rng(0)
        found = variance_split(rng.normal(0, 3, (2000, 1)) + rng.normal(0, 1, (2000, 4)))
        assert found is not None
        assert found.share_tuning == pytest.approx(0.9, abs=0.01)


def test_inclusion_flags():
    def pair(a, b, decision):
        return Pair(a, b, 0.0, None, None, None, decision, None, None, None)

    special_cases = {"momentum": ["sgd", "absent"], "adam": ["rmsprop", "sgd"]}
    pairs = [
        pair("sgd", "momentum", Decision.A_BETTER),
        pair("adam", "rmsprop", Decision.B_BETTER),
        pair("adam", "sgd", Decision.A_BETTER),
        pair("sgd", "rmsprop", Decision.A_BETTER),
    ]
    assert inclusion_flags(pairs, special_cases) == [("sgd", "momentum"), ("rmsprop", "adam")]
    undecided = [pair(p.a, p.b, Decision.UNDECIDED) for p in pairs]
    assert inclusion_flags(undecided, special_cases) == []


class TestHalvingRegret:
    def test_by_hand(self):
        # First rung keeps ceil(5/2) = 3 trials: 0, 1, 3; second keeps 2 of them: 1, 3. Of their final values 0.6 and
        # 0.7 the second is chosen; trial 2 would have reached 0.95.
        rungs = [
            [0.5, 0.6, 0.1, 0.4, 0.3],
            [0.5, 0.6, 0.9, 0.7, 0.9],
            [0.9, 0.6, 0.95, 0.7, 0.2],
        ]
        assert halving_regret(rungs, "max") == pytest.approx(0.25)
        assert halving_regret(-np.array(rungs), "min") == pytest.approx(0.25)

    def test_no_rung_or_the_best_kept_costs_nothing(self):
        assert halving_regret([[3, 1, 2]], "min") == 0.0
        assert halving_regret([[3, 1, 2, 4], [9, 5, 6, 7]], "min") == 0.0

    def test_equal_values_keep_the_lower_index(self):
        assert halving_regret([[1, 1, 1, 1], [0.2, 0.3, 0.9, 0.8]], "max") == pytest.approx(0.6)
        # Three left of five, then one of ranks equal again: 0, 1, 2, then 0, 1.
        assert halving_regret([[1] * 5, [1] * 5, [0, 0, 4, 5, 6]], "max") == pytest.approx(6)

    def test_what_is_not_finite_is_worst(self):
        # Rung: trials 1 and 3 are finite and stay, though NaN sorts first in many a sort.
        assert halving_regret([[NAN, 5, math.inf, 6], [0.9, 0.4, 0.8, 0.5]], "max") == pytest.approx(0.4)
        # The choice diverges at the end: it counts as the worst that ended finite, 0.3.
        assert halving_regret([[9, 8, 1, 2], [NAN, NAN, 0.3, 0.8]], "max") == pytest.approx(0.5)
        assert halving_regret([[1, 2], [NAN, NAN]], "max") == 0.0

    def test_misuse(self):
        with pytest.raises(ValueError, match="is needed"):
            halving_regret([1, 2], "max")
