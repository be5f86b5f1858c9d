"""Whether a race was long enough, on cases worked by hand."""

import numpy as np
import pytest

from gradrace.verdict import late_gain, order_changes


def table(*studies):
    """Values of K studies with one seed each."""
    return np.array(studies, dtype=float)[:, None]


class TestOrderChanges:
    def test_a_change_that_is_detectable_at_the_end(self):
        # Half-way b is ahead by 0.03 in the mean, by luck; at the end a is ahead by 0.10, 0.10 and 0.11.
        earlier = {"a": table(0.50, 0.60, 0.55), "b": table(0.60, 0.55, 0.59)}
        end = {"a": table(0.90, 0.91, 0.93), "b": table(0.80, 0.81, 0.82)}
        (change,) = order_changes(earlier, end, "max")
        assert change == (
            "b",
            "a",
            (pytest.approx(0.58), pytest.approx(0.55)),
            (pytest.approx(2.43 / 3), pytest.approx(2.74 / 3)),
        )
        # The same numbers as losses: now the one that was ahead is behind.
        (change,) = order_changes(earlier, end, "min")
        assert (change.first, change.last) == ("a", "b")
        # Detectable earlier only, and in whichever order the labels come.
        (change,) = order_changes(end, dict(reversed(earlier.items())), "max")
        assert (change.first, change.last) == ("a", "b")

    def test_luck_and_a_lead_that_only_grows_are_no_change(self):
        luck = {"a": table(0.50, 0.60, 0.55), "b": table(0.60, 0.55, 0.59)}
        other = {"a": table(0.60, 0.55, 0.59), "b": table(0.50, 0.60, 0.55)}
        assert order_changes(luck, other, "max") == []
        end = {"a": table(0.80, 0.81, 0.82), "b": table(0.90, 0.91, 0.93)}
        assert order_changes(luck, end, "max") == []
        assert order_changes({"a": table(1, 1, 1), "b": table(1, 1, 1)}, end, "max") == []

    def test_two_studies_detect_nothing(self):
        assert order_changes({"a": table(0, 0), "b": table(1, 1)}, {"a": table(1, 1), "b": table(0, 0)}, "max") == []


class TestLateGain:
    start, later = table(0.1, 0.1, 0.1), table(0.70, 0.71, 0.72)

    def test_by_hand(self):
        # Gains after the later moment: 0.19, 0.20 and 0.21, mean 0.2 with sd 0.01; the whole: 0.91 - 0.1.
        end = table(0.89, 0.91, 0.93)
        found = late_gain(self.start, self.later, end, "max")
        assert found == (pytest.approx(0.2 / 0.81), True)
        assert late_gain(-self.start, -self.later, -end, "min") == found

    def test_a_gain_of_one_study_is_luck(self):
        found = late_gain(self.start, self.later, table(0.70, 0.71, 0.92), "max")
        assert found == (pytest.approx((0.2 / 3) / (2.33 / 3 - 0.1)), False)

    def test_getting_worse_again_is_no_gain(self):
        found = late_gain(self.start, self.later, table(0.60, 0.61, 0.62), "max")
        assert found == (pytest.approx(-0.1 / 0.51), False)

    def test_without_any_improvement_there_is_no_share(self):
        assert late_gain(self.start, self.later, self.start, "max") is None
        assert late_gain(self.start, self.later, table(0.9, 0.9, 0.9), "min") is None
