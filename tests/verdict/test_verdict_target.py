"""Steps to a target: medians, intervals and the race's own target, by hand."""

import math

import numpy as np
import pytest

from gradrace.verdict import race_target, steps_to_target, steps_to_target_interval

NAN = math.nan


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


def runs(*arrivals):
    """Curves that reach 1 at these steps; None never does."""
    return [([10, 20, 30, 40], [float(at is not None and step >= at) for step in (10, 20, 30, 40)]) for at in arrivals]


class TestStepsToTargetInterval:
    def test_with_few_studies_it_is_their_span_and_says_how_sure_that_is(self):
        # Medians of the studies: 20 (the second of three), 10, 40. P(all on one side of the median) = 2 / 2^3.
        studies = [runs(10, 20, 40), runs(10, 10, None), runs(40, 30, 40)]
        assert steps_to_target_interval(studies, 1.0, "max") == (10, 40, 0.75)

    def test_a_study_that_never_arrives_leaves_the_high_end_open(self):
        assert steps_to_target_interval([runs(10), runs(20), runs(None)], 1.0, "max") == (10, None, 0.75)
        assert steps_to_target_interval([runs(None)] * 3, 1.0, "max") is None
        # A study none of whose runs was trained counts as one that never arrives.
        assert steps_to_target_interval([runs(10), runs(20), [([], [])]], 1.0, "max") == (10, None, 0.75)

    def test_the_narrowest_that_is_sure_enough(self):
        # Of 9 studies the second to the eighth: 1 - 2 (1 + 9) / 2^9 = 0.9609; the third to the seventh has 0.82.
        studies = [runs(at) for at in (10, 20, 20, 20, 30, 30, 30, 30, 40)]
        low, high, level = steps_to_target_interval(studies, 1.0, "max") or (0, 0, 0)
        assert (low, high, level) == (20, 30, pytest.approx(1 - 20 / 512))
        # Of 6 the span is enough: 1 - 2 / 2^6.
        assert steps_to_target_interval(studies[:6], 1.0, "max") == (10, 30, pytest.approx(1 - 2 / 64))

    def test_two_studies_have_none(self):
        assert steps_to_target_interval([runs(10), runs(20)], 1.0, "max") is None

    def test_it_holds_the_median_as_often_as_it_says(self):
        rng, held = np.random.default_rng(0), 0
        grid = list(range(1, 401))
        for _ in range(400):  # medians of five studies, whose true median is 200
            arrivals = 200 * np.exp(rng.normal(size=5))
            studies = [[(grid, [float(step >= at) for step in grid])] for at in arrivals]
            found = steps_to_target_interval(studies, 1.0, "max")
            held += found is not None and found.low <= 200 and (found.high is None or found.high >= 200)
        assert held / 400 == pytest.approx(0.9375, abs=0.03)


class TestRaceTarget:
    def test_by_hand(self):
        assert race_target(0.9, 0.1, "max") == pytest.approx(0.86)  # 0.9 - 0.05 * 0.8
        assert race_target(0.2, 2.2, "min") == pytest.approx(0.3)
        assert race_target(0.8, None, "max") == pytest.approx(0.76)
        assert race_target(-0.8, None, "max") == pytest.approx(-0.84)
        assert race_target(0.8, None, "min") == pytest.approx(0.84)

    def test_nothing_was_gained(self):
        assert race_target(0.1, 0.1, "max") is None
        assert race_target(0.5, 0.1, "min") is None
        assert race_target(0.0, None, "min") is None
