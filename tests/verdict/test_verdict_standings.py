"""The order of contenders and their ties."""

import dataclasses

import numpy as np
import pytest

from gradrace.verdict import Decision, Pair, compare, standings


def pair(a, b, decision):
    return Pair(a, b, 0.0, None, None, None, decision, None, None, None)


def test_order_places_ties_and_summaries():
    # c is far ahead; a and b cross each other.
    scores = {
        "a": np.array([[1.0, 3.0], [4.0, 4.0], [1.0, 2.0]]),  # study means 2, 4, 1.5; mean 2.5
        "b": np.array([[3.0, 3.0], [1.0, 1.0], [2.0, 3.0]]),  # 3, 1, 2.5; mean 13/6
        "c": np.array([[90.0, 92.0], [93.0, 93.0], [91.0, 91.0]]),
    }
    c, a, b = standings(scores, compare(scores, "max"), "max")
    assert [s.label for s in (c, a, b)] == ["c", "a", "b"]
    assert [s.place for s in (c, a, b)] == [1, 2, 2]
    assert [s.tied_with for s in (c, a, b)] == [(), ("b",), ("a",)]
    assert a.values == (2.0, 4.0, 1.5)
    assert a.mean == 2.5
    # sd of 2, 4, 1.5 is sqrt(1.75); half = 4.302653 * sqrt(1.75 / 3)
    assert a.interval == pytest.approx((2.5 - 3.286205, 2.5 + 3.286205), abs=1e-5)


def test_smaller_is_better_and_equal_means_go_by_label():
    scores = {label: np.full((3, 1), value) for label, value in (("z", 1.0), ("m", 0.5), ("a", 1.0))}
    assert [s.label for s in standings(scores, compare(scores, "min"), "min")] == ["m", "a", "z"]
    assert [s.label for s in standings(scores, compare(scores, "max"), "max")] == ["a", "z", "m"]


def test_a_place_counts_those_detectably_better_and_ties_need_not_be_transitive():
    scores = {"a": np.full((3, 1), 3.0), "b": np.full((3, 1), 2.0), "c": np.full((3, 1), 1.0)}
    pairs = [
        pair("a", "b", Decision.A_BETTER),
        pair("c", "b", Decision.UNDECIDED),
        pair("c", "a", Decision.UNDECIDED),
    ]
    found = standings(scores, pairs, "max")
    assert [(s.label, s.place, s.tied_with) for s in found] == [
        ("a", 1, ("c",)),
        ("b", 2, ("c",)),
        ("c", 1, ("a", "b")),
    ]
    pairs[1] = pair("c", "b", Decision.B_BETTER)
    pairs[2] = pair("c", "a", Decision.B_BETTER)
    assert [(s.place, s.tied_with) for s in standings(scores, pairs, "max")] == [(1, ()), (2, ()), (3, ())]


def test_one_contender_and_few_studies():
    (alone,) = standings({"a": np.array([[1.0, 2.0]])}, [], "max")
    assert dataclasses.astuple(alone) == ("a", 1, (), 1.5, None, (1.5,))
    (alone,) = standings({"a": np.array([[1.0, 2.0], [2.0, 3.0]])}, [], "max")
    assert (alone.mean, alone.interval) == (2.0, None)  # as a pair has none with fewer than 3 studies
    assert standings({}, [], "max") == []


def test_pairs_of_other_contenders_are_refused():
    scores = {"a": np.ones((3, 1)), "b": np.ones((3, 1))}
    with pytest.raises(ValueError, match="One pair for every two of the contenders a, b"):
        standings(scores, [pair("a", "x", Decision.UNDECIDED)], "max")
    with pytest.raises(ValueError, match="One pair for every two"):
        standings(scores, [], "max")
