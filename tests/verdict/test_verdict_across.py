"""Verdicts across workloads, each on a case worked by hand."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, mannwhitneyu

from gradrace.verdict.across import (
    Scale,
    interquartile_means,
    levels_of,
    normalized,
    performance_profiles,
    probability_of_improvement,
)
from gradrace.verdict.ranks import mean_ranks


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def bad_direction() -> Any:
    return "up"


class TestNormalized:
    # Study means: a 0.8, 1.0 (mean 0.9), b 0.5, 0.6 (mean 0.55).
    accuracies: ClassVar[dict[str, Any]] = {"a": [[0.7, 0.9], [1.0, 1.0]], "b": [[0.5, 0.5], [0.5, 0.7]]}

    def test_untrained_is_0_and_the_best_mean_is_1(self):
        # (y - 0.1) / 0.8
        found = normalized(self.accuracies, "max", 0.1)
        assert found.studies["a"].tolist() == pytest.approx([0.7 / 0.8, 0.9 / 0.8])
        assert found.studies["b"].tolist() == pytest.approx([0.5, 0.5 / 0.8])
        assert found.means() == pytest.approx({"a": 1.0, "b": 0.45 / 0.8})
        assert (found.zero, found.one, found.scale) == (0.1, pytest.approx(0.9), Scale.UNTRAINED)

    def test_less_is_better(self):
        # From 2.1 down to 1.1 is the same way as from -2.1 up to -1.1: (2.1 - y) / 1.
        found = normalized({"a": [[1.0], [1.2]], "b": [[3.1], [1.6]]}, "min", 2.1)
        assert found.studies["a"].tolist() == pytest.approx([1.1, 0.9])
        assert found.studies["b"].tolist() == pytest.approx([-1.0, 0.5])
        assert (found.zero, found.one) == pytest.approx((2.1, 1.1))

    @pytest.mark.parametrize("untrained", [None, math.nan, 0.95, 0.9])
    def test_without_an_untrained_value_that_is_worse_the_worst_contender_is_0(self, untrained):
        # (y - 0.55) / 0.35
        found = normalized(self.accuracies, "max", untrained)
        assert found.scale is Scale.CONTENDERS
        assert found.means() == pytest.approx({"a": 1.0, "b": 0.0})
        assert found.studies["b"].tolist() == pytest.approx([-0.05 / 0.35, 0.05 / 0.35])

    def test_all_equal(self):
        found = normalized({"a": [[0.5], [0.5]], "b": [[0.5], [0.5]]}, "max", None)
        assert found.scale is Scale.EQUAL
        assert found.means() == {"a": 1.0, "b": 1.0}
        # They differ by less than float32 can tell: 1 would be divided by rounding.
        assert normalized({"a": [[0.5]], "b": [[0.5 + 1e-9]]}, "max", None).scale is Scale.EQUAL
        assert normalized({"a": [[0.5], [0.5]], "b": [[0.5], [0.5]]}, "max", 0.1).means() == {"a": 1.0, "b": 1.0}
        assert normalized({"a": [[0.5]]}, "max", None).means() == {"a": 1.0}

    def test_misuse(self):
        with pytest.raises(ValueError, match="direction is 'up'; it must be 'min' or 'max'"):
            normalized({"a": [[1.0]]}, bad_direction(), None)
        with pytest.raises(ValueError, match="not finite"):
            normalized({"a": [[math.nan]]}, "max", None)


class TestPerformanceProfiles:
    # Ratios to the fastest: w a 1, b 2, c never; x a 3, b 1, c 1; y b 1 alone; z nobody.
    times: ClassVar[dict[str, Any]] = {
        "a": {"w": 10, "x": 60, "y": None, "z": None},
        "b": {"w": 20, "x": 20, "y": 5, "z": None},
        "c": {"w": None, "x": 20, "y": None, "z": None},
    }

    def test_by_hand(self):
        found = performance_profiles(self.times, [1, 2, 3, 100])
        assert found.workloads == ("w", "x", "y")
        assert found.left_out == ("z",)
        assert found.shares["a"] == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))
        assert found.shares["b"] == pytest.approx((2 / 3, 1, 1, 1))
        assert found.shares["c"] == pytest.approx((1 / 3, 1 / 3, 1 / 3, 1 / 3))
        # Area from 1 to 4: a (3 + 1 + 0) / 3 of 3, b (2 + 3 + 3) / 3 of 3, c (0 + 3 + 0) / 3 of 3.
        assert found.scores == pytest.approx({"a": 4 / 9, "b": 8 / 9, "c": 3 / 9})

    def test_the_score_is_the_area_under_the_profile(self):
        taus = np.linspace(1, 4, 3001)
        found = performance_profiles(self.times, taus.tolist())
        for label, shares in found.shares.items():
            assert np.trapezoid(shares, taus) / 3 == pytest.approx(found.scores[label], abs=1e-3)

    def test_the_unit_of_time_does_not_matter(self):
        seconds = {c: {w: t and t * 0.37 for w, t in of.items()} for c, of in self.times.items()}
        assert performance_profiles(seconds, [2]).scores == pytest.approx(performance_profiles(self.times, [2]).scores)

    def test_nothing_reached(self):
        found = performance_profiles({"a": {"w": None}, "b": {"w": None}}, [1])
        assert (found.shares, found.scores, found.workloads, found.left_out) == ({}, {}, (), ("w",))
        assert performance_profiles({}, [1]).workloads == ()

    def test_one_contender_is_always_the_fastest_where_it_arrives(self):
        assert performance_profiles({"a": {"w": 7, "x": None}}, [1]).scores == {"a": 1.0}

    def test_misuse(self):
        with pytest.raises(ValueError, match=r"tau is 0\.5"):
            performance_profiles(self.times, [0.5])
        with pytest.raises(ValueError, match="not positive"):
            performance_profiles({"a": {"w": 0}}, [1])
        with pytest.raises(ValueError, match="'b' has x"):
            performance_profiles({"a": {"w": 1}, "b": {"x": 1}}, [1])


def on_unit_scale(**studies: list[float]) -> Any:
    """A workload whose untrained value is 0 and whose best mean is 1, so that scores stay what they are."""
    return normalized({label: [[value] for value in values] for label, values in studies.items()}, "max", 0.0)


class TestInterquartileMeans:
    # a's studies on both: 0, 1, 2 and 0.4, 1.6; b's 0.1, 0.2, 0.3 and 0.5, 0.7. a's mean is 1: the scale is as given.
    first, second = on_unit_scale(a=[0, 1, 2], b=[0.1, 0.2, 0.3]), on_unit_scale(a=[0.4, 1.6], b=[0.5, 0.7])

    def test_by_hand(self):
        # Of five values one is left out at each end: a 0.4, 1, 1.6; b 0.2, 0.3, 0.5.
        found = interquartile_means({"v": self.first, "w": self.second}, rng())
        assert found["a"].value == pytest.approx(1.0)
        assert found["b"].value == pytest.approx(1 / 3)

    def test_one_disaster_does_not_move_it(self):
        better = on_unit_scale(a=[1, 1, 1], b=[0.5, 0.5, 0.5])
        worse = on_unit_scale(a=[1, 1, 1], b=[0.5, 0.5, -1e6])
        both = [interquartile_means({"v": better, "w": last}, rng())["b"].value for last in (better, worse)]
        assert both == pytest.approx([0.5, 0.5])

    def test_the_interval_holds_what_resampling_within_workloads_gives(self):
        found = interquartile_means({"v": self.first, "w": self.second}, rng(), resamples=4000)
        # Enumerated: 3^3 draws of the first and 2^2 of the second, each as likely.
        values = np.array(
            [
                np.sort([*(self.first.studies["b"][list(d)]), *(self.second.studies["b"][list(e)])])[1:4].mean()
                for d in np.ndindex(3, 3, 3)
                for e in np.ndindex(2, 2)
            ]
        )
        assert found["b"].interval is not None
        low, high = found["b"].interval
        # So few different values jump over 2.5 %: what is beyond an end has less, together with the end it has more.
        for beyond, with_end in (
            (values < low - 1e-9, values < low + 1e-9),
            (values > high + 1e-9, values > high - 1e-9),
        ):
            assert beyond.mean() < 0.03
            assert with_end.mean() > 0.02

    def test_contenders_are_resampled_together(self):
        # b is a less a constant in every study: if both draw the same studies, so are the ends of its interval.
        found = interquartile_means({"v": on_unit_scale(a=[0, 1, 2], b=[-0.5, 0.5, 1.5])}, rng())
        assert found["a"].interval is not None
        assert found["b"].interval == pytest.approx([end - 0.5 for end in found["a"].interval])

    def test_the_same_generator_gives_the_same_interval(self):
        first, again = (interquartile_means({"v": self.first}, rng()) for _ in range(2))
        assert first == again

    def test_too_little_to_resample(self):
        alone = on_unit_scale(a=[1.0], b=[0.5])
        found = interquartile_means({"v": self.first, "w": alone}, rng())
        assert found["a"].interval is None
        assert interquartile_means({}, rng()) == {}

    def test_equal_values_have_an_interval_without_width(self):
        equal = on_unit_scale(a=[1, 1, 1], b=[1, 1, 1])
        found = interquartile_means({"v": equal}, rng())
        assert found["a"] == found["b"]
        assert (found["a"].value, found["a"].interval) == (1.0, (1.0, 1.0))

    def test_misuse(self):
        with pytest.raises(ValueError, match=r"Every workload needs the same contenders, a, b; 'w' has a\."):
            interquartile_means({"v": self.first, "w": on_unit_scale(a=[1, 1])}, rng())


class TestProbabilityOfImprovement:
    # First workload: a 3, 5 against b 2, 3: of four pairs three won, one tied: 3.5 / 4. Second, less is better:
    # a 1 (mean of 0 and 2), 9 against b 4, 4: half won: 1 / 2. Mean 11 / 16.
    scores: ClassVar[dict[str, Any]] = {
        "v": {"a": [[3], [5]], "b": [[2], [3]]},
        "w": {"a": [[0, 2], [9, 9]], "b": [[4, 4], [3, 5]]},
    }
    directions: ClassVar[dict[str, Any]] = {"v": "max", "w": "min"}

    def test_by_hand(self):
        (found,) = probability_of_improvement(self.scores, self.directions, rng())
        assert (found.a, found.b) == ("a", "b")
        assert found.probability == pytest.approx(11 / 16)

    def test_the_other_way_round_is_the_complement(self):
        turned = {name: {"b": of["b"], "a": of["a"]} for name, of in self.scores.items()}
        (found,) = probability_of_improvement(self.scores, self.directions, rng())
        (other,) = probability_of_improvement(turned, self.directions, rng())
        assert other.probability == pytest.approx(1 - found.probability)
        assert found.interval is not None
        assert other.interval == pytest.approx((1 - found.interval[1], 1 - found.interval[0]))

    def test_the_interval_is_that_of_drawing_the_same_studies_for_both(self):
        (found,) = probability_of_improvement({"v": self.scores["v"]}, {"v": "max"}, rng())
        # Studies 0 0: 3 against 2: 1. Studies 1 1: 5 against 3: 1. Studies 0 1, half of the draws: 3.5 / 4.
        assert found.interval == (0.875, 1.0)

    def test_agrees_with_mann_and_whitney(self):
        numbers = np.random.default_rng(3)
        a, b = numbers.integers(0, 6, (2, 8))
        expected = mannwhitneyu(a, b).statistic / 64
        (found,) = probability_of_improvement({"v": {"a": a[:, None], "b": b[:, None]}}, {"v": "max"}, rng())
        assert found.probability == pytest.approx(expected)

    def test_what_rounding_parts_is_equal(self):
        # The means over seeds are the same three numbers in another order; their sums differ in the last bit.
        scores = {"v": {"a": [[0.1, 0.2, 0.3]] * 2, "b": [[0.3, 0.2, 0.1]] * 2}}
        (found,) = probability_of_improvement(scores, {"v": "max"}, rng())
        assert (found.probability, found.interval) == (0.5, (0.5, 0.5))
        assert levels_of(np.array([[0.6, 2.0], [0.6 + 1e-12, 0.0]])).tolist() == [[1, 2], [1, 0]]

    def test_one_contender_and_one_study(self):
        assert probability_of_improvement({"v": {"a": [[1.0]]}}, {"v": "max"}, rng()) == []
        (found,) = probability_of_improvement({"v": {"a": [[1.0]], "b": [[2.0]]}}, {"v": "max"}, rng())
        assert (found.probability, found.interval) == (0.0, None)

    def test_misuse(self):
        with pytest.raises(ValueError, match="direction is 'up'"):
            probability_of_improvement({"v": self.scores["v"]}, {"v": bad_direction()}, rng())


def ranked(*rows: tuple[float, ...]) -> tuple[Any, Any]:
    """A workload for each row of mean scores of contenders a, b, c, ..., more of which is better."""
    scores = {
        f"w{n}": {label: [[value], [value]] for label, value in zip("abcdef", row, strict=False)}
        for n, row in enumerate(rows)
    }
    return scores, dict.fromkeys(scores, "max")


class TestMeanRanks:
    def test_by_hand(self):
        # Ranks: 1 2 3; 1 2.5 2.5; 2 1 3; 1 2 3: means 1.25, 1.875, 2.875.
        rows = [(9, 8, 7), (0.9, 0.5, 0.5), (2, 3, 1), (5, 4, 3)]
        scores, directions = ranked(*rows)
        found = mean_ranks(scores, directions)
        assert found.mean == pytest.approx({"a": 1.25, "b": 1.875, "c": 2.875})
        assert found.p == pytest.approx(friedmanchisquare(*np.array(rows).T).pvalue)
        # Demšar's table has 2.343 for three contenders: 2.343 * sqrt(3 * 4 / (6 * 4)) = 1.657.
        assert found.critical_difference == pytest.approx(1.657, abs=1e-3)
        # The first and last differ by 1.625, which is less.
        assert found.p is not None
        assert not found.apart("a", "c")

    def test_order_decides_and_less_may_be_better(self):
        scores, directions = ranked(*[(1.0, 2.0, 3.0)] * 8)
        found = mean_ranks(scores, dict.fromkeys(directions, "min"))
        assert list(found.mean.items()) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
        # 2.343 * sqrt(12 / 48) = 1.17; Friedman's statistic is 12 * 8 / 12 * (14 - 12) = 16, p = exp(-8).
        assert found.p == pytest.approx(math.exp(-8))
        assert found.apart("a", "c")
        assert not found.apart("a", "b")
        assert list(mean_ranks(scores, directions).mean) == ["c", "b", "a"]

    @pytest.mark.parametrize(("contenders", "quantile"), [(2, 1.960), (4, 2.569), (5, 2.728)])
    def test_critical_differences_are_those_of_the_table(self, contenders, quantile):
        scores, directions = ranked(*[tuple(range(contenders))] * 10)
        expected = quantile * math.sqrt(contenders * (contenders + 1) / 60)
        assert mean_ranks(scores, directions).critical_difference == pytest.approx(expected, abs=1e-3)

    def test_two_contenders_by_the_sign_test(self):
        # Five won and one tie, which says nothing: p = 2 / 2^5, though the ranks differ by more than 0.80.
        scores, directions = ranked(*[(2.0, 1.0)] * 5, (1.0, 1.0))
        found = mean_ranks(scores, directions)
        assert found.mean == pytest.approx({"a": 6.5 / 6, "b": 11.5 / 6})
        assert found.p == pytest.approx(1 / 16)
        assert not found.apart("a", "b")

    def test_all_values_equal(self):
        scores, directions = ranked(*[(1.0, 1.0, 1.0)] * 4)
        found = mean_ranks(scores, directions)
        assert found.mean == {"a": 2.0, "b": 2.0, "c": 2.0}
        assert found.p == 1.0
        assert not found.apart("a", "b")

    def test_withheld_with_a_reason(self):
        found = mean_ranks(*ranked((2.0, 1.0), (2.0, 1.0)))
        assert found.mean == {"a": 1.0, "b": 2.0}
        assert (found.p, found.critical_difference) == (None, None)
        assert found.reason == "Too few workloads for a test of ranks: 2 given, at least 3 needed."
        assert not found.apart("a", "b")
        alone = mean_ranks(*ranked((2.0,), (1.0,), (3.0,)))
        assert alone.mean == {"a": 1.0}
        assert alone.reason == "Ranks compare contenders, and there is only one."
        assert mean_ranks({}, {}).mean == {}

    def test_misuse(self):
        scores, directions = ranked((2.0, 1.0))
        with pytest.raises(ValueError, match="alpha is 1"):
            mean_ranks(scores, directions, 1)
        with pytest.raises(ValueError, match="direction is 'up'"):
            mean_ranks(scores, {"w0": bad_direction()})
