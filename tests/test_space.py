"""Search spaces: coordinates and values are each other's inverse, edges extend by a decade, and misuse is told."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradrace.errors import SpecError
from gradrace.space import Choice, Dimension, LogUniform, Uniform, space_from_dict

COORDINATES = st.floats(0, 1)


@st.composite
def log_ranges(draw: st.DrawFn) -> LogUniform:
    low = 10 ** draw(st.floats(-10, 3))
    return LogUniform(low, low * 10 ** draw(st.floats(0.1, 6)))


@st.composite
def decay_ranges(draw: st.DrawFn) -> LogUniform:
    high = 10 ** draw(st.floats(-4, -0.01))
    return LogUniform(high / 10 ** draw(st.floats(0.1, 2)), high, one_minus=True, limit=1.0)


@st.composite
def linear_ranges(draw: st.DrawFn) -> Uniform:
    low = draw(st.floats(-100, 100))
    return Uniform(low, low + draw(st.floats(0.1, 100)))


RANGES = st.one_of(log_ranges(), decay_ranges(), linear_ranges())
CHOICES = st.lists(st.floats(-5, 5), min_size=1, max_size=9, unique=True).map(lambda values: Choice(tuple(values)))


@given(RANGES, COORDINATES)
def test_value_and_coordinate_are_inverse(space: LogUniform | Uniform, u: float) -> None:
    assert space.coordinate(space.value(u)) == pytest.approx(u, abs=1e-9)


@given(RANGES, COORDINATES, COORDINATES)
def test_values_fill_the_range_in_order(space: LogUniform | Uniform, one: float, other: float) -> None:
    ends = sorted((space.value(0), space.value(1)))
    backwards = isinstance(space, LogUniform) and space.one_minus
    bounds = [1 - space.high, 1 - space.low] if backwards else [space.low, space.high]
    assert ends == pytest.approx(bounds, rel=1e-9)
    lower, upper = (space.value(u) for u in sorted((one, other)))
    assert lower >= upper if backwards else lower <= upper


def test_a_log_scale_by_hand() -> None:
    space = LogUniform(1e-5, 1e-1)
    assert [space.value(u) for u in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    assert space.coordinate(1e-2) == pytest.approx(0.75)
    assert space.coordinate(1) == pytest.approx(1.25)  # beyond the range it goes on


def test_one_minus_puts_decays_as_far_apart_as_they_act() -> None:
    space = LogUniform(1e-3, 1e-1, one_minus=True)
    assert [space.value(u) for u in (0, 0.5, 1)] == pytest.approx([0.999, 0.99, 0.9])
    assert space.coordinate(0.99) == pytest.approx(0.5)


@given(CHOICES, COORDINATES)
def test_a_choice_is_one_of_its_values(space: Choice, u: float) -> None:
    value = space.value(u)
    assert value in space.values
    assert space.value(space.coordinate(value)) == value
    assert abs(space.coordinate(value) - u) <= 0.5 / len(space.values) + 1e-12


def test_choices_have_equal_shares() -> None:
    space = Choice((3, 1, 2))
    assert [space.value(Fraction(n, 12)) for n in range(13)] == [3] * 4 + [1] * 4 + [2] * 5  # pyright: ignore[reportArgumentType]


@given(log_ranges(), st.sampled_from(["low", "high"]))
def test_an_extension_is_the_decade_beyond_the_edge(space: LogUniform, side: str) -> None:
    beyond = space.extended(side)
    assert beyond is not None
    assert beyond.high / beyond.low == pytest.approx(10)
    assert (beyond.high == space.low) if side == "low" else (beyond.low == space.high)


def test_extensions_by_hand() -> None:
    space = LogUniform(1e-3, 0.5, one_minus=True, from_trials=10, limit=1.0)
    assert space.extended("low") == LogUniform(1e-4, 1e-3, one_minus=True, from_trials=10, limit=1.0)
    assert space.extended("high") == LogUniform(0.5, 1.0, one_minus=True, from_trials=10, limit=1.0)
    assert LogUniform(0.1, 1.0, limit=1.0).extended("high") is None
    assert LogUniform(0.1, 1.0, limit=1.0).extended("low") == LogUniform(0.01, 0.1, limit=1.0)
    assert LogUniform(0.1, 1.0, limit=4.0).extended("high") == LogUniform(1.0, 4.0, limit=4.0)
    assert [Uniform(0, 1).extended("high"), Uniform(0, 1).extended("low")] == [None, None]
    assert [Choice((1, 2)).extended("high"), Choice((1, 2)).extended("low")] == [None, None]


def test_an_extended_decay_stays_between_0_and_1() -> None:
    # 1 - value cannot exceed 1, also where nobody thought of a limit.
    beyond = LogUniform(0.1, 0.9, one_minus=True).extended("high")
    assert beyond is not None
    assert (beyond.low, beyond.high) == (0.9, 1.0)
    assert LogUniform(0.1, 1.0, one_minus=True).extended("high") is None


@given(st.one_of(RANGES, CHOICES), st.integers(1, 99))
def test_a_space_is_known_by_its_dict(space: Dimension, from_trials: int) -> None:
    space = type(space)(**{**space.__dict__, "from_trials": from_trials})
    assert space_from_dict(json.loads(json.dumps(space.to_dict()))) == space


@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_bad_ranges_are_told(make: type[LogUniform] | type[Uniform]) -> None:
    with pytest.raises(SpecError, match=r"must be finite numbers, but are 1 and inf\.$"):
        make(1, math.inf)
    with pytest.raises(SpecError, match=r"must be finite numbers, but are nan and 2\.$"):
        make(math.nan, 2)
    for low in (2, 3):
        with pytest.raises(SpecError, match=rf"must be below the upper one, but they are {low} and 2\.$"):
            make(low, 2)


@pytest.mark.parametrize("low", [0, -1e-3])
def test_a_log_scale_cannot_touch_zero(low: float) -> None:
    with pytest.raises(SpecError, match=f"A log scale cannot touch zero: low is {low}, and must be above 0."):
        LogUniform(low, 1)
    assert Uniform(low, 1).value(0) == low


def test_a_choice_needs_a_value() -> None:
    with pytest.raises(SpecError, match=r"A Choice needs at least one value, and got none\."):
        Choice(())
