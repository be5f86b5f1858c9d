"""The range of learning rates that work, on cases worked by hand."""

import math

import pytest

from gradrace.verdict import decades, lr_range, robustness

NAN = math.nan


def width(*args):
    """Decades of the range, 0 if there is none."""
    return decades(lr_range(*args))


class TestLrRange:
    def test_width_of_the_run_around_the_best(self):
        # Within 0.05 of 0.90: 1e-3, 1e-2 and 1e-1 pass, 1e-4 and 1 do not: two decades, without any extension.
        lrs, values = [1e-1, 1e-4, 1e-2, 1, 1e-3], [0.86, 0.5, 0.90, 0.1, 0.85]
        assert width(lrs, values, "max", 0.05) == pytest.approx(2.0)
        assert width(lrs, values, "max", 0.04) == pytest.approx(1.0)
        assert width(lrs, values, "max", 0.0) == 0.0
        assert width(lrs, [-v for v in values], "min", 0.05) == pytest.approx(2.0)

    def test_a_failure_breaks_the_run_and_only_the_part_with_the_best_counts(self):
        lrs = [1e-6, 1e-4, 1e-3, 1e-2, 1e-1]  # the run without the best is the wider
        assert width(lrs, [0.9, 0.9, NAN, 0.91, 0.9], "max", 0.1) == pytest.approx(1.0)
        assert width(lrs, [0.9, 0.9, 0.2, 0.91, 0.9], "max", 0.1) == pytest.approx(1.0)
        # Not ok though its value looks fine, or even like the best.
        assert width(lrs, [0.9, 0.9, 0.99, 0.91, 0.9], "max", 0.1, [1, 1, 0, 1, 1]) == pytest.approx(1.0)
        # Two best trials: the wider of their runs.
        assert width(lrs, [0.9, 0.9, 0.9, NAN, 0.9], "max", 0.1) == pytest.approx(3.0)

    def test_trials_of_one_rate_pass_together_or_not_at_all(self):
        lrs = [1e-3, 1e-2, 1e-2, 1e-1]
        assert width(lrs, [0.9, 0.9, 0.9, 0.9], "max", 0.1) == pytest.approx(2.0)
        assert width(lrs, [0.91, 0.9, NAN, 0.9], "max", 0.1) == 0.0
        assert width(lrs, [0.9, 0.91, NAN, 0.9], "max", 0.1) == 0.0

    def test_nothing_worked(self):
        assert width([1e-3, 1e-2], [NAN, math.inf], "min", 0.1) == 0.0
        assert width([], [], "min", 0.1) == 0.0

    def test_misuse(self):
        with pytest.raises(ValueError, match="not positive"):
            width([0.0, 1.0], [1, 1], "max", 0.1)
        with pytest.raises(ValueError, match="want one"):
            width([0.1], [1, 1], "max", 0.1)
        with pytest.raises(ValueError, match="tolerance is nan"):
            width([0.1], [1], "max", NAN)

    def test_its_ends(self):
        lrs, values = [1e-1, 1e-4, 1e-2, 1, 1e-3], [0.86, 0.5, 0.90, 0.1, 0.85]
        assert lr_range(lrs, values, "max", 0.05) == (1e-3, 1e-1)
        assert lr_range(lrs, values, "max", 0.0) == (1e-2, 1e-2)
        assert lr_range(lrs, [NAN] * 5, "max", 0.05) is None
        # Two runs of one decade each with a best trial: the lower.
        assert lr_range([1e-4, 1e-3, 1e-2, 1e-1, 1], [1, 1, 0, 1, 1], "max", 0.1) == (1e-4, 1e-3)


class TestRobustness:
    def test_by_hand(self):
        # Widths 2, 1 and 0: mean 1, sd 1, t(0.975; 2) = 4.3027: 1 +- 2.4841, and no width is below 0.
        # Ends: (1e-4 * 1e-3 * 1e-2)^(1/3) = 1e-3; (1e-2 * 1e-2 * 1e-2)^(1/3) = 1e-2.
        found = robustness([(1e-4, 1e-2), (1e-3, 1e-2), (1e-2, 1e-2)])
        assert found.decades == pytest.approx(1.0)
        assert found.interval == pytest.approx((0.0, 3.484138), abs=1e-6)
        assert found.safe == pytest.approx((1e-3, 1e-2))

    def test_the_safe_range_is_as_wide_as_the_mean_width(self):
        found = robustness([(3e-4, 2e-2), (1e-3, 7e-2), (2e-5, 1e-2)])
        assert decades(found.safe) == pytest.approx(found.decades)

    def test_a_study_without_a_range_narrows_the_width_and_leaves_the_ends(self):
        found = robustness([(1e-3, 1e-1), None, (1e-3, 1e-1)])
        assert found.decades == pytest.approx(4 / 3)
        assert found.safe == pytest.approx((1e-3, 1e-1))
        assert robustness([None] * 3) == (0.0, (0.0, 0.0), None)

    def test_two_studies_have_no_interval(self):
        assert robustness([(1e-3, 1e-1), (1e-3, 1e-2)]).interval is None
