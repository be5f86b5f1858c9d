"""Smaller budgets: the best of n trials and the chance that it is best, by hand and by enumeration."""

import itertools
import math

import numpy as np
import pytest

from gradrace.verdict import (
    best_of_n,
    best_of_n_by_study,
    bootstrap_interval,
    probability_best,
    probability_best_by_study,
)

NAN = math.nan


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

    def test_each_study_and_each_n(self):
        # Study 1: one draw each from {1, 3} and {2, 3}: a 3/8; both draws: a tie. Study 2: b always wins.
        found = probability_best_by_study({"a": [[1, 3], [0, 0]], "b": [[2, 3], [1, 1]]}, "max")
        assert found["a"] == pytest.approx(np.array([[3 / 8, 1 / 2], [0, 0]]))
        assert found["b"] == pytest.approx(1 - found["a"])
        assert probability_best({"a": [[1, 3], [0, 0]], "b": [[2, 3], [1, 1]]}, "max", 1)["a"] == pytest.approx(3 / 16)


def test_a_curve_for_each_study_does_not_lose_precision_with_many_trials():
    # All 400 values equal but the best: the best of n holds it with probability n / 400.
    values = np.zeros((2, 400))
    values[1, 7] = 1.0
    curves = best_of_n_by_study(values, "max")
    assert curves.shape == (2, 400)
    assert curves[0].tolist() == [0.0] * 400
    assert curves[1] == pytest.approx(np.arange(1, 401) / 400, rel=1e-11)
    # And the worst: only one in so many is not as good.
    assert best_of_n_by_study(-values, "max")[1] == pytest.approx(-np.append(1 / 400, np.zeros(399)), abs=1e-12)


class TestBootstrapInterval:
    def test_of_three_studies_it_is_their_span(self):
        # sqrt(3/2) * t(0.975; 2) = 5.27: the quantile 7e-8 of draws, of which one in 27 is three times the same study.
        found = bootstrap_interval([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]], seed=0)
        assert found is not None
        assert found[0].tolist() == pytest.approx([1.0, 5.0])
        assert found[1].tolist() == pytest.approx([4.0, 5.0])

    def test_of_many_normal_studies_it_is_the_t_interval(self):
        values = np.random.default_rng(1).normal(size=40)
        found = bootstrap_interval(values, seed=3)
        assert found is not None
        half = 2.0227 * values.std(ddof=1) / math.sqrt(40)  # t(0.975; 39) = 2.0227
        assert [float(end) for end in found] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.03)

    def test_the_seed_decides_and_two_studies_are_too_few(self):
        values = np.random.default_rng(0).random((8, 2))
        first, again, other = (bootstrap_interval(values, seed) for seed in (5, 5, 6))
        assert first is not None
        assert again is not None
        assert other is not None
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
        assert bootstrap_interval(values[:2], 5) is None
