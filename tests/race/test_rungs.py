"""Successive halving, each case worked by hand."""

from __future__ import annotations

import math
from itertools import product

import pytest

from gradrace.errors import SpecError
from gradrace.race.rungs import RUNGS, check_halving, ranking, rung_steps, survivors

NAN, INF = math.nan, math.inf


def test_the_better_half_goes_on_in_its_order() -> None:
    accuracies = [(0.5, 1.0), (0.9, 1.0), (0.7, 1.0), (0.8, 1.0)]
    assert survivors(accuracies, maximize=True) == [1, 3]
    assert survivors(accuracies, maximize=False) == [0, 2]
    assert ranking(accuracies, maximize=True) == [1, 3, 2, 0]
    assert ranking(accuracies, maximize=False) == [0, 2, 3, 1]


def test_equal_metrics_are_decided_by_the_loss_then_by_the_index() -> None:
    values = [(0.9, 0.4), (0.9, 0.2), (0.9, 0.3), (0.9, 0.2)]
    assert ranking(values, maximize=True) == [1, 3, 2, 0]
    assert survivors(values, maximize=True) == [1, 3]
    # The lower loss is better whatever the metric's direction.
    assert ranking(values, maximize=False) == [1, 3, 2, 0]
    assert survivors([(0.5, 0.5)] * 4, maximize=True) == [0, 1]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("maximize", [True, False])
def test_what_is_not_finite_is_worse_than_anything(bad: float, place: int, maximize: bool) -> None:
    broken = (bad, 0.0) if place == 0 else (1.0 if maximize else 0.0, bad)
    values = [broken, (0.5, 9.0), broken, (0.4, 9.0)]
    assert survivors(values, maximize) == [1, 3]
    assert ranking(values, maximize)[2:] == [0, 2]


def test_diverged_trials_fill_the_half() -> None:
    assert survivors([(NAN, NAN), (NAN, NAN), (NAN, 1.0), (0.5, 1.0)], maximize=True) == [0, 3]
    assert survivors([(NAN, NAN)] * 4, maximize=False) == [0, 1]


@pytest.mark.parametrize(("trials", "kept"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (8, 4)])
def test_the_half_is_rounded_up_and_never_empty(trials: int, kept: int) -> None:
    assert survivors([(float(n), 0.0) for n in range(trials)], maximize=False) == list(range(kept))


def test_rungs_are_a_quarter_a_half_and_the_whole() -> None:
    assert RUNGS == 3
    assert rung_steps(400, True) == (100, 200, 400)
    assert rung_steps(400, False) == (400,)
    assert rung_steps(7, True) == (1, 3, 7)
    assert rung_steps(1, False) == (1,)


@pytest.mark.parametrize("steps", [*range(4, 30), 399, 10**8])
def test_rungs_rise_and_end_at_the_end(steps: int) -> None:
    rungs = rung_steps(steps, True)
    check_halving(4, steps)
    assert len(rungs) == 3
    assert 1 <= rungs[0] < rungs[1] < rungs[2] == steps


def test_check_halving_allows_what_can_be_halved() -> None:
    for trials, steps in product((4, 8, 16, 32, 100), (4, 5, 400)):
        check_halving(trials, steps)


@pytest.mark.parametrize(
    ("trials", "near"), [(1, 4), (2, 4), (3, 4), (5, 4), (7, 8), (9, 8), (15, 16), (18, 16), (19, 20)]
)
def test_check_halving_names_a_number_that_will_do(trials: int, near: int) -> None:
    with pytest.raises(SpecError) as caught:
        check_halving(trials, 400)
    assert str(caught.value) == (
        f"The number of trials is {trials}, but halving over 3 rungs needs a multiple of 4, such as {near}; "
        "without halving any number will do."
    )


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_check_halving_refuses_too_few_steps(steps: int) -> None:
    with pytest.raises(
        SpecError, match=f"The number of steps is {steps}, but 3 rungs at a quarter, .* need at least 4; "
    ):
        check_halving(8, steps)
