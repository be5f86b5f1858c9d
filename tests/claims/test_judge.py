"""Parts of claims on numbers worked out by hand, with each of the three answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_races import around, made
from scipy.stats import ttest_1samp

from gradrace.claims import Check, Decided, decide
from gradrace.claims._judge import above, below, better, less, not_worse, slopes, within
from gradrace.verdict import Direction

YES, NO, OPEN = Check("p", True, "e"), Check("p", False, "e"), Check("p", None, "e", "m")


def one_seed(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


# --- better ---


# Differences a - b of -2, -3, -4: mean -3, sd 1, se 1 / sqrt(3), t = -5.196 with two degrees of freedom, p = 0.0351;
# 95 % interval -3 +- 4.303 / sqrt(3).
A, B = one_seed(1, 1, 1), one_seed(3, 4, 5)


def test_better_by_hand() -> None:
    check = better(made({"a": A, "b": B}, name="w"), "a", "b")
    assert check.so is True
    assert check.part == "a is better than b on w"
    assert check.evidence == "score 1 against 4, difference -3 [-5.484, -0.5159]"
    assert check.numbers["difference"] == pytest.approx(-3)
    assert check.numbers["interval"] == pytest.approx([-3 - 2.4841, -3 + 2.4841], abs=1e-4)
    assert check.numbers["p"] == pytest.approx(ttest_1samp([-2, -3, -4], 0)[1])


@pytest.mark.parametrize(("direction", "first", "second"), [("min", True, False), ("max", False, True)])
def test_better_knows_which_way_is_better(direction: Direction, first: bool, second: bool) -> None:
    raced = made({"a": A, "b": B}, direction=direction)
    assert better(raced, "a", "b").so is first
    assert better(raced, "b", "a").so is second


def test_parts_make_it_stricter() -> None:
    raced = made({"a": A, "b": B})
    assert better(raced, "a", "b", parts=1).so is True
    check = better(raced, "a", "b", parts=2)  # p = 0.0351 is more than 0.025
    assert check.so is None
    assert check.more is not None
    assert check.more.startswith("About 4 studies")
    low, high = check.numbers["interval"]
    assert low == pytest.approx(-3 - 6.2053 / math.sqrt(3), abs=1e-3)  # t of 97.5 % two-sided
    assert high > 0


def test_two_studies_are_too_few() -> None:
    check = better(made({"a": A[:2], "b": B[:2]}), "a", "b")
    assert check.so is None
    assert check.evidence == "score 1 against 3.5, difference -2.5"
    assert check.more == "Too few studies for a test: 2 given, at least 3 needed."
    assert check.numbers["interval"] is None


def test_equal_scores_are_open_and_say_so() -> None:
    check = better(made({"a": A, "b": A}), "a", "b")
    assert check.so is None
    assert check.more == "Both have the same value on every seed of every study."


def test_what_no_number_of_studies_would_tell_apart() -> None:
    check = better(made({"a": one_seed(1, -1, 0.001), "b": one_seed(-1, 1, 0)}), "a", "b")
    assert check.more == "Too near to the line: no number of studies up to 1,000 would settle it."


# --- not worse ---

# Less is better. Untrained 10, the best contender's mean 0: it gained 10, 5 % of which is 0.5.
BEST = around(0.0, 0.02)


@pytest.mark.parametrize(
    ("behind", "so"),
    [(0.4, True), (-1.0, True), (0.6, False), (0.5, None)],
    ids=["within the margin", "ahead", "beyond the margin", "at the margin"],
)
@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_margin_counts_in_favour_whichever_way_is_better(
    behind: float, so: bool | None, direction: Direction
) -> None:
    # A third contender is best, so that the gain is the same whether "a" is ahead of "b" or behind.
    sign = 1 if direction == "min" else -1
    scores = {"a": sign * around(behind, 0.02, luck=1), "b": sign * BEST, "c": sign * around(-2.0)}
    raced = made(scores, direction=direction, untrained=sign * 8.0)
    assert raced.gain() == pytest.approx(10)
    check = not_worse(raced, "a", "b")
    assert check.so is so
    # What is told is the difference itself, without the margin.
    assert check.numbers["margin"] == pytest.approx(0.5)
    assert check.numbers["difference"] == pytest.approx(sign * behind)
    low, high = check.numbers["interval"]
    assert (low + high) / 2 == pytest.approx(sign * behind)
    assert f"difference {sign * behind:.4g} [{low:.4g}, {high:.4g}]" in check.evidence
    assert "margin 0.5" in check.part
    assert (low < sign * 0.5 < high) == (so is None)


def test_as_good_is_not_better() -> None:
    raced = made({"a": around(0.4, luck=1), "b": BEST}, untrained=10.0)
    assert not_worse(raced, "a", "b").so is True
    assert better(raced, "a", "b").so is False


def test_without_an_untrained_value_the_best_ones_size_is_the_gain() -> None:
    raced = made({"a": around(-20.5), "b": around(-20.0)})
    assert raced.gain() == pytest.approx(20.5)
    assert not_worse(raced, "b", "a").numbers["margin"] == pytest.approx(1.025)


def test_where_nothing_was_gained_there_is_no_margin() -> None:
    raced = made({"a": around(12.0, luck=1), "b": around(11.0)}, untrained=10.0)
    assert raced.gain() == 0
    assert not_worse(raced, "a", "b").so is False
    assert not_worse(raced, "b", "a").so is True
    assert not_worse(raced, "b", "b").so is None


def test_a_contender_that_diverged_everywhere_is_worse() -> None:
    nowhere = np.full((5, 2), np.nan)
    raced = made({"a": nowhere, "b": BEST}, untrained=10.0)
    assert raced.scores("a").tolist() == [[10.0, 10.0]] * 5
    assert not_worse(raced, "a", "b").so is False
    assert better(raced, "b", "a").so is True


# --- arrays ---

LOW, HIGH = np.array([1.0, 1.0, 1.0]), np.array([3.0, 4.0, 5.0])


@pytest.mark.parametrize(
    ("first", "second", "so"), [(LOW, HIGH, True), (HIGH, LOW, False), (HIGH, HIGH[::-1], None), (LOW, LOW, None)]
)
def test_less(first: np.ndarray, second: np.ndarray, so: bool | None) -> None:
    assert less("part", first, second, "what").so is so


def test_less_by_hand() -> None:
    check = less("part", LOW, HIGH, "steps")
    assert (check.part, check.evidence) == ("part", "steps 1 against 4, difference -3 [-5.484, -0.5159]")
    assert less("part", LOW, HIGH, "steps", parts=2).so is None


def test_less_leaves_out_studies_without_a_value_and_says_so() -> None:
    first, second = np.array([1.0, np.nan, 1.0, 1.0, 9.0]), np.array([3.0, 9.0, 4.0, 5.0, np.inf])
    check = less("part", first, second, "steps")
    assert check.numbers == less("part", LOW, HIGH, "steps").numbers
    assert check.evidence.endswith("[-5.484, -0.5159], over the 3 of 5 studies that have a value")


# Mean 4, sd 1: 4 +- 4.303 / sqrt(3), that is 1.516 to 6.484.
@pytest.mark.parametrize(
    ("low", "high", "so"),
    [
        (1.5, 6.5, True),
        (1.6, 6.5, None),
        (1.5, 6.4, None),
        (6.4, 8.0, None),
        (6.5, 8.0, False),
        (0.0, 1.5, False),
        (0.0, 1.6, None),
        (3.9, 4.1, None),
    ],
)
def test_within_by_hand(low: float, high: float, so: bool | None) -> None:
    check = within("part", HIGH, low, high, "power")
    assert check.so is so
    assert check.evidence == "power 4 [1.516, 6.484]"
    assert check.numbers["bounds"] == [low, high]
    assert (check.more is None) == (so is not None)


def test_an_open_range_names_the_end_that_is_in_doubt() -> None:
    assert within("part", HIGH, 1.6, 9.0, "power").more == (
        "The interval reaches over 1.6; more studies would narrow it."
    )
    assert within("part", HIGH, 0.0, 6.0, "power").more == "The interval reaches over 6; more studies would narrow it."


@pytest.mark.parametrize(("bound", "is_below", "is_above"), [(6.5, True, False), (4.0, None, None), (1.5, False, True)])
def test_below_and_above_are_each_others_mirror(bound: float, is_below: bool | None, is_above: bool | None) -> None:
    assert below("part", HIGH, bound, "power").so is is_below
    assert above("part", HIGH, bound, "power").so is is_above
    assert above("part", -HIGH, -bound, "power").so is is_below
    assert below("part", HIGH, bound, "power").numbers["bounds"] == [None, bound]


def test_parts_widen_a_range() -> None:
    assert below("part", HIGH, 6.5, "power").so is True
    assert below("part", HIGH, 6.5, "power", parts=2).so is None  # 4 + 6.205 / sqrt(3) = 7.58


def test_values_that_are_all_equal_have_an_interval_of_one_point() -> None:
    assert within("part", np.full(4, 2.0), 2.0, 3.0, "power").so is True
    assert within("part", np.full(4, 2.0), 2.1, 3.0, "power").so is False


@pytest.mark.parametrize("judge", [lambda v: less("part", v, v, "x"), lambda v: below("part", v, 1.0, "x")])
def test_fewer_than_three_studies_with_a_value_leave_it_open(judge: Any) -> None:
    check = judge(np.array([1.0, np.nan, np.inf, 2.0]))
    assert check.so is None
    assert check.evidence == "only 2 of 4 studies have a value"
    assert check.more == "At least 3 studies are needed."
    assert judge(np.full(5, np.nan)).evidence == "only 0 of 5 studies have a value"


def test_slopes_by_hand() -> None:
    x = [0.0, 1.0, 3.0]
    # x less its mean is -4/3, -1/3, 5/3, whose squares add up to 42/9; the third row: (-1/3 * 3 + 5/3 * 3) / (42/9).
    y = np.array([[5.0, 7.0, 11.0], [1.0, 1.0, 1.0], [0.0, 3.0, 3.0], [np.nan, 1.0, 2.0]])
    found = slopes(x, y)
    assert found[:3].tolist() == pytest.approx([2.0, 0.0, 4 / (14 / 3)])
    assert np.isnan(found[3])
    assert found[:3].tolist() == pytest.approx([np.polyfit(x, row, 1)[0] for row in y[:3]])


# --- the whole from its parts ---


@pytest.mark.parametrize(
    ("checks", "decision"),
    [
        ([YES, YES], Decided.HOLDS),
        ([YES, OPEN], Decided.UNDECIDED),
        ([OPEN], Decided.UNDECIDED),
        ([YES, NO], Decided.FAILS),
        ([OPEN, NO, YES], Decided.FAILS),
    ],
)
def test_decide(checks: list[Check], decision: Decided) -> None:
    assert decide(checks) is decision
    assert decide(checks[::-1]) is decision


def test_a_claim_without_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="without a part"):
        decide([])


@pytest.mark.parametrize(("so", "more"), [(None, None), (True, "more studies"), (False, "more studies")])
def test_a_check_refuses_a_contradiction(so: bool | None, more: str | None) -> None:
    with pytest.raises(ValueError, match="exactly if it is open"):
        Check("part", so, "evidence", more)


# --- not_worse by a margin of one's own ---


def test_not_worse_takes_a_margin_in_the_units_of_the_metric() -> None:
    """Of B - A = 2, 3, 4, less being better: 95 % interval 3 +- 2.4841."""
    raced = made({"a": A, "b": B})
    assert not_worse(raced, "b", "a", margin=5.5).so is True
    assert not_worse(raced, "b", "a", margin=5.4).so is None
    assert not_worse(raced, "b", "a", margin=0.6).so is None
    assert not_worse(raced, "b", "a", margin=0.5).so is False
    assert not_worse(raced, "b", "a", margin=0.5).numbers["margin"] == 0.5


def test_the_same_values_everywhere_are_as_good() -> None:
    assert not_worse(made({"a": A, "b": A}), "a", "b", margin=1e-3).so is True
