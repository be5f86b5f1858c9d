"""What stands beside the verdict, each on a case worked by hand."""

import itertools
import math

import numpy as np
import pytest

from gradrace.verdict import (
    Decision,
    Pair,
    best_of_n,
    halving_regret,
    inclusion_flags,
    lr_robustness,
    probability_best,
    steps_to_target,
    variance_split,
)

NAN = math.nan


class TestLrRobustness:
    def test_width_of_the_run_around_the_best(self):
        # Within 0.05 of 0.90: 1e-3, 1e-2 and 1e-1 pass, 1e-4 and 1 do not: two decades, without any extension.
        lrs, values = [1e-1, 1e-4, 1e-2, 1, 1e-3], [0.86, 0.5, 0.90, 0.1, 0.85]
        assert lr_robustness(lrs, values, "max", 0.05) == pytest.approx(2.0)
        assert lr_robustness(lrs, values, "max", 0.04) == pytest.approx(1.0)
        assert lr_robustness(lrs, values, "max", 0.0) == 0.0
        assert lr_robustness(lrs, [-v for v in values], "min", 0.05) == pytest.approx(2.0)

    def test_a_failure_breaks_the_run_and_only_the_part_with_the_best_counts(self):
        lrs = [1e-6, 1e-4, 1e-3, 1e-2, 1e-1]  # the run without the best is the wider
        assert lr_robustness(lrs, [0.9, 0.9, NAN, 0.91, 0.9], "max", 0.1) == pytest.approx(1.0)
        assert lr_robustness(lrs, [0.9, 0.9, 0.2, 0.91, 0.9], "max", 0.1) == pytest.approx(1.0)
        # Not ok though its value looks fine, or even like the best.
        assert lr_robustness(lrs, [0.9, 0.9, 0.99, 0.91, 0.9], "max", 0.1, [1, 1, 0, 1, 1]) == pytest.approx(1.0)
        # Two best trials: the wider of their runs.
        assert lr_robustness(lrs, [0.9, 0.9, 0.9, NAN, 0.9], "max", 0.1) == pytest.approx(3.0)

    def test_trials_of_one_rate_pass_together_or_not_at_all(self):
        lrs = [1e-3, 1e-2, 1e-2, 1e-1]
        assert lr_robustness(lrs, [0.9, 0.9, 0.9, 0.9], "max", 0.1) == pytest.approx(2.0)
        assert lr_robustness(lrs, [0.91, 0.9, NAN, 0.9], "max", 0.1) == 0.0
        assert lr_robustness(lrs, [0.9, 0.91, NAN, 0.9], "max", 0.1) == 0.0

    def test_nothing_worked(self):
        assert lr_robustness([1e-3, 1e-2], [NAN, math.inf], "min", 0.1) == 0.0
        assert lr_robustness([], [], "min", 0.1) == 0.0

    def test_misuse(self):
        with pytest.raises(ValueError, match="not positive"):
            lr_robustness([0.0, 1.0], [1, 1], "max", 0.1)
        with pytest.raises(ValueError, match="want one"):
            lr_robustness([0.1], [1, 1], "max", 0.1)
        with pytest.raises(ValueError, match="tolerance is nan"):
            lr_robustness([0.1], [1], "max", NAN)


class TestBestOfN:
    def test_by_hand(self):
        # Pairs of {1, 2, 4}: best 2, 4, 4, mean 10/3; singles 7/3; all three 4. For "min": 7/3, (1 + 1 + 2)/3, 1.
        assert best_of_n([2, 4, 1], "max").tolist() == pytest.approx([7 / 3, 10 / 3, 4])
        assert best_of_n([2, 4, 1], "min").tolist() == pytest.approx([7 / 3, 4 / 3, 1])
        assert best_of_n([2, 4, 1], "max", 2).tolist() == pytest.approx([7 / 3, 10 / 3])

    def test_equals_all_subsets(self):
        values = np.random.default_rng(0).normal(size=6).round(1)
        for n, expected in enumerate(best_of_n(values, "min"), start=1):
            assert expected == pytest.approx(np.mean([min(s) for s in itertools.combinations(values, n)]))

    def test_studies_are_averaged_and_failures_are_the_worst_value_given(self):
        assert best_of_n([[1, 2], [5, 6]], "max").tolist() == pytest.approx([3.5, 4.0])
        assert best_of_n([[1, 2], [5, NAN]], "max").tolist() == pytest.approx([2.25, 3.5])  # NaN counts as 1
        assert best_of_n([3, -math.inf, 7], "min").tolist() == pytest.approx([17 / 3, (3 + 3 + 7) / 3, 3])
        assert np.isnan(best_of_n([NAN, NAN], "max")).all()

    def test_misuse(self):
        for n_max in (0, 4):
            with pytest.raises(ValueError, match=f"n_max is {n_max}"):
                best_of_n([1, 2, 3], "max", n_max)
        with pytest.raises(ValueError, match="is needed"):
            best_of_n([], "max")


class TestProbabilityBest:
    def test_two_by_hand(self):
        # One draw each from {1, 3} and {2, 3}: (1,2) b, (1,3) b, (3,2) a, (3,3) tie: a 1.5 of 4.
        found = probability_best({"a": [[1, 3]], "b": [[2, 3]]}, "max", 1)
        assert found == pytest.approx({"a": 3 / 8, "b": 5 / 8})
        assert probability_best({"a": [[1, 3]], "b": [[2, 3]]}, "min", 1) == pytest.approx({"a": 5 / 8, "b": 3 / 8})
        # Both draws: both reach 3.
        assert probability_best({"a": [[1, 3]], "b": [[2, 3]]}, "max", 2) == pytest.approx({"a": 0.5, "b": 0.5})

    @pytest.mark.parametrize("contenders", [2, 3, 4])
    def test_equals_enumeration(self, contenders):
        rng = np.random.default_rng(contenders)
        values = {label: rng.integers(0, 4, (2, 4)) for label in "abcd"[:contenders]}  # integers, for many ties
        expected = dict.fromkeys(values, 0.0)
        for study in range(2):
            bests = [[max(s) for s in itertools.combinations(array[study], 2)] for array in values.values()]
            outcomes = list(itertools.product(*bests))
            for outcome in outcomes:
                winners = [label for label, best in zip(values, outcome, strict=True) if best == max(outcome)]
                for label in winners:
                    expected[label] += 1 / len(winners) / len(outcomes) / 2
        found = probability_best(values, "max", 2)
        assert found == pytest.approx(expected)
        assert sum(found.values()) == pytest.approx(1)

    def test_failures_lose_to_anything_finite_and_tie_with_each_other(self):
        assert probability_best({"a": [[NAN]], "b": [[1e9]]}, "min", 1) == pytest.approx({"a": 0, "b": 1})
        found = probability_best({"a": [[NAN]], "b": [[math.inf]], "c": [[NAN]]}, "max", 1)
        assert found == pytest.approx(dict.fromkeys("abc", 1 / 3))

    def test_numbers_of_trials_may_differ(self):
        # a draws its only trial, 2; b draws one of {1, 2, 3}: loses, ties, wins.
        assert probability_best({"a": [[2]], "b": [[1, 2, 3]]}, "max", 1) == pytest.approx({"a": 0.5, "b": 0.5})
        assert probability_best({"a": [[1]]}, "max", 1) == pytest.approx({"a": 1.0})
        assert probability_best({}, "max", 1) == {}

    def test_misuse(self):
        with pytest.raises(ValueError, match="n is 2"):
            probability_best({"a": [[2]], "b": [[1, 2, 3]]}, "max", 2)
        with pytest.raises(ValueError, match="as many studies"):
            probability_best({"a": [[2]], "b": [[1], [2]]}, "max", 1)


class TestStepsToTarget:
    steps = (10, 20, 30)

    def test_median_by_hand(self):
        curves = [
            (self.steps, [0.1, 0.5, 0.4]),  # 20: reaching it once is enough, and equality reaches
            (self.steps, [None, NAN, 0.6]),  # 30
            (self.steps, [0.1, 0.2, math.inf]),  # never
        ]
        found = steps_to_target(curves, 0.5, "max")
        assert found == (30, 2, 3)
        assert (found.median, found.reached, found.total) == (30, 2, 3)
        assert steps_to_target(curves, 0.1, "min") == (10, 2, 3)

    def test_half_is_enough_and_less_is_not(self):
        reaches, never = ([5], [1.0]), ([5], [None])
        assert steps_to_target([reaches, never], 1.0, "max") == (5, 1, 2)
        assert steps_to_target([reaches, never, never], 1.0, "max") == (None, 1, 3)
        assert steps_to_target([], 1.0, "max") == (None, 0, 0)


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
    first, second = inclusion_flags(pairs, special_cases)
    assert first.startswith("sgd detectably beats momentum")
    assert second.startswith("rmsprop detectably beats adam")
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
