"""Choices and edges on small studies, each worked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gradrace.outcomes import Outcome, Stage, Status
from gradrace.race.choose import best, by_study, choices, edges_left, find_extensions
from gradrace.race.plan import Choice as Chosen
from gradrace.race.plan import Extension
from gradrace.race.spec import Contender, RaceSpec
from gradrace.space import Choice, Dimension, LogUniform, Uniform

LR = LogUniform(1e-4, 1.0)


def spec(trials: int = 8, studies: int = 1) -> RaceSpec:
    return RaceSpec(studies=studies, trials=trials, seeds=1, steps=80, batch_size=8, halving=False)


def contender(space: Mapping[str, Dimension] | None = None, label: str = "a") -> Contender:
    return Contender("momentum", label, {"lr": LR} if space is None else space)


def outcome(point: int, lr: float, accuracy: float | None, **changes: Any) -> Outcome:
    loss = None if accuracy is None else 1 - accuracy
    status = Status.DIVERGED if accuracy is None else Status.FINISHED
    values = {
        "status": status,
        "steps": 80,
        "validation": accuracy,
        "validation_loss": loss,
        "study": 0,
        "contender": "a",
    }
    configuration = {"lr": lr, **changes.pop("configuration", {})}
    values |= {"stage": Stage.TUNING, "seed": 0, "point": point, "configuration": configuration, **changes}
    return Outcome(trial=f"{values['stage']}/{values['contender']}/{values['study']}/0/{point}", **values)


def study(coordinates: Sequence[float], accuracies: Sequence[float | None], **changes: Any) -> list[Outcome]:
    """A study's outcomes at these coordinates of the learning rate's range."""
    pairs = zip(coordinates, accuracies, strict=True)
    return [outcome(point, LR.value(u), accuracy, **changes) for point, (u, accuracy) in enumerate(pairs)]


# One point in each eighth, as Sobol points have it. The last two of the eight are what an extension may take.
POINTS = [0.55, 0.05, 0.80, 0.30, 0.95, 0.20, 0.45, 0.70]


def extensions(accuracies: Sequence[float | None], coordinates: Sequence[float] = POINTS) -> list[Extension]:
    return find_extensions(spec(), [contender()], study(coordinates, accuracies), maximize=True)


def test_edge_at_the_high_end() -> None:
    assert extensions([0.5, 0.1, 0.6, 0.3, 0.9, 0.2, 0.4, 0.7]) == [
        Extension("a", 0, "lr", "high", LogUniform(1.0, 10.0))
    ]


def test_edge_at_the_low_end() -> None:
    assert extensions([0.5, 0.9, 0.6, 0.3, 0.1, 0.2, 0.4, 0.7]) == [
        Extension("a", 0, "lr", "low", LogUniform(1e-5, 1e-4))
    ]


def test_no_edge_in_the_middle() -> None:
    assert extensions([0.9, 0.1, 0.6, 0.3, 0.2, 0.2, 0.4, 0.7]) == []


def test_an_outermost_point_away_from_the_end_is_no_edge() -> None:
    # 0.87 is the highest of the first six, but not in the highest eighth, [0.875, 1).
    coordinates = [0.55, 0.05, 0.80, 0.30, 0.87, 0.20, 0.95, 0.70]
    values = [0.5, 0.1, 0.6, 0.3, 0.9, 0.2, 0.4, 0.7]
    assert extensions(values, coordinates) == []
    coordinates[4] = 0.88
    assert [e.side for e in extensions(values, coordinates)] == ["high"]
    # And 0.13 is not in the lowest eighth.
    low = [1 - u for u in coordinates]
    assert [e.side for e in extensions(values, low)] == ["low"]
    low[4] = 0.13
    assert extensions(values, low) == []


def test_a_point_in_the_last_eighth_is_no_edge_if_another_lies_beyond_it() -> None:
    # 0.90 was best, but 0.97 was tried as well, and diverged: what lies beyond is known.
    values, coordinates = [0.5, 0.1, 0.6, 0.3, 0.9, None, 0.4, 0.7], [0.55, 0.05, 0.80, 0.30, 0.90, 0.97, 0.4, 0.7]
    assert extensions(values, coordinates) == []
    assert extensions(values, [1 - u for u in coordinates]) == []


def test_the_last_quarter_has_no_say() -> None:
    # Points 6 and 7 would be replaced by an extension, so neither makes an edge (point 6 is best, at the low end) nor
    # prevents one (point 7 lies beyond point 4).
    coordinates = [0.55, 0.15, 0.80, 0.30, 0.95, 0.20, 0.05, 0.99]
    assert extensions([0.9, 0.1, 0.6, 0.3, 0.2, 0.2, 0.99, 0.7], coordinates) == []
    assert [e.side for e in extensions([0.5, 0.1, 0.6, 0.3, 0.9, 0.2, 0.99, 0.95], coordinates)] == ["high"]


def test_too_few_trials_have_no_quarter_to_spend() -> None:
    few = study([0.5, 0.3, 0.99], [0.1, 0.1, 0.9])
    assert find_extensions(spec(trials=3), [contender()], few, maximize=True) == []
    four = study([0.5, 0.3, 0.99, 0.1], [0.1, 0.1, 0.9, 0.1])
    assert len(find_extensions(spec(trials=4), [contender()], four, maximize=True)) == 1


def test_a_study_of_which_nothing_is_left_has_no_edge() -> None:
    assert extensions([None] * 8) == []
    assert find_extensions(spec(), [contender()], [], maximize=True) == []


def test_the_edge_for_a_metric_to_minimize() -> None:
    values = [0.5, 0.4, 0.6, 0.3, 0.1, 0.2, 0.0, 0.7]
    (found,) = find_extensions(spec(), [contender()], study(POINTS, values), maximize=False)
    assert found.side == "high"


DECAY = LogUniform(5e-3, 0.3, one_minus=True, limit=1.0)


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        # Momentum 0.995 is coordinate 0 of a range of 1 - momentum: the low edge, and beyond it lies 0.9995.
        (DECAY, 0.9949, ("low", LogUniform(5e-4, 5e-3, one_minus=True, limit=1.0))),
        (DECAY, 0.705, ("high", LogUniform(0.3, 1.0, one_minus=True, limit=1.0))),
        (DECAY, 0.95, None),
        (LogUniform(5e-3, 0.3, one_minus=True, limit=0.3), 0.705, None),  # the limit leaves no room
        (LogUniform(5e-3, 0.3, one_minus=True, limit=0.3), 0.9949, ("low", LogUniform(5e-4, 5e-3, True, limit=0.3))),
        (Uniform(0.0, 0.9), 0.899, None),  # no decade beyond a linear range
        (Choice((0.9,)), 0.9, None),  # the only value is no edge
        (Choice((0.0, 0.5, 0.9)), 0.9, None),
    ],
)
def test_edges_of_other_dimensions(space: Dimension, value: float, expected: tuple[str, Dimension] | None) -> None:
    tried = [0.9] * 6 if isinstance(space, Choice) else [0.9, 0.97, 0.99, 0.9, 0.98, 0.8]
    if isinstance(space, Uniform):
        tried = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    found = [
        outcome(point, LR.value(0.5), 0.5, configuration={"momentum": momentum}) for point, momentum in enumerate(tried)
    ]
    found[2] = outcome(2, LR.value(0.5), 0.9, configuration={"momentum": value})
    entered = contender({"lr": LR, "momentum": space})
    extended = find_extensions(spec(), [entered], found, maximize=True)
    assert extended == ([] if expected is None else [Extension("a", 0, "momentum", *expected)])


def test_one_dimension_is_extended_the_first_at_an_edge() -> None:
    # Both the learning rate and the momentum of point 4 lie at an edge.
    momenta = [0.9, 0.97, 0.99, 0.9, 0.9949, 0.8]
    pairs = zip(POINTS[:6], momenta, [0.1, 0.1, 0.1, 0.1, 0.9, 0.1], strict=True)
    found = [outcome(n, LR.value(u), a, configuration={"momentum": m}) for n, (u, m, a) in enumerate(pairs)]
    entered = contender({"lr": LR, "momentum": DECAY})
    assert [e.dimension for e in find_extensions(spec(), [entered], found, maximize=True)] == ["lr"]
    # Where the learning rate has no room, the momentum is extended.
    narrow = contender({"lr": LogUniform(1e-4, 1.0, limit=1.0), "momentum": DECAY})
    assert [e.dimension for e in find_extensions(spec(), [narrow], found, maximize=True)] == ["momentum"]


def test_every_study_of_every_contender_is_looked_at() -> None:
    high, low, middle = ([0.9 if n == best else 0.1 for n in range(8)] for best in (4, 1, 0))
    found = [
        *study(POINTS, high, contender="a", study=0),
        *study(POINTS, middle, contender="a", study=1),
        *study(POINTS, low, contender="b", study=0),
        *study(POINTS, high, contender="b", study=1),
    ]
    entered = [contender(label="a"), contender(label="b")]
    extended = find_extensions(spec(studies=2), entered, reversed(found), maximize=True)
    assert [(e.contender, e.study, e.side) for e in extended] == [("a", 0, "high"), ("b", 0, "low"), ("b", 1, "high")]


# --- choices ---


def edge(point: int, lr: float, accuracy: float | None, **changes: Any) -> Outcome:
    return outcome(point, lr, accuracy, stage=Stage.EDGE, **changes)


def test_without_an_extension_all_trials_count() -> None:
    found = study(POINTS, [0.5, 0.1, 0.6, 0.3, 0.8, 0.2, 0.9, 0.7])
    assert choices(spec(), [contender()], found, [], maximize=True) == [Chosen("a", 0, 6, {"lr": LR.value(0.45)})]
    assert choices(spec(), [contender()], found, [], maximize=False) == [Chosen("a", 0, 1, {"lr": LR.value(0.05)})]


def test_an_extension_takes_the_place_of_the_last_quarter() -> None:
    # Point 6 is the best, but its place was spent on points 8 and 9; they are worse than point 4.
    found = study(POINTS, [0.5, 0.1, 0.6, 0.3, 0.8, 0.2, 0.9, 0.7])
    beyond = [edge(8, 2.0, 0.6), edge(9, 5.0, None)]
    assert [c.point for c in choices(spec(), [contender()], found, beyond, maximize=True)] == [4]
    beyond[0] = edge(8, 2.0, 0.81)
    assert choices(spec(), [contender()], found, beyond, maximize=True) == [Chosen("a", 0, 8, {"lr": 2.0})]


def test_an_extension_of_one_study_concerns_no_other() -> None:
    values = [0.5, 0.1, 0.6, 0.3, 0.8, 0.2, 0.9, 0.7]
    found = [*study(POINTS, values), *study(POINTS, values, study=1), *study(POINTS, values, contender="b")]
    beyond = [edge(8, 2.0, 0.85), edge(9, 5.0, None)]
    entered = [contender(label="a"), contender(label="b")]
    chosen = choices(spec(studies=2), entered, found, beyond, maximize=True)
    assert [(c.contender, c.study, c.point) for c in chosen] == [("a", 0, 8), ("a", 1, 6), ("b", 0, 6)]


def test_values_of_different_lengths_are_never_compared() -> None:
    # The trial dropped at step 40 was better there than any at the end.
    found = [
        outcome(0, 0.1, 0.99, status=Status.DROPPED, steps=20),
        outcome(1, 0.2, 0.97, status=Status.DROPPED, steps=40),
        outcome(2, 0.3, 0.60),
        outcome(3, 0.4, 0.70),
    ]
    chosen = best(found, maximize=True)
    assert chosen is not None
    assert chosen.point == 3
    # If those that went on diverged later, the best among the longest of the others is chosen.
    found[2:] = [outcome(2, 0.3, None, steps=60), outcome(3, 0.4, None, steps=79)]
    chosen = best(found, maximize=True)
    assert chosen is not None
    assert chosen.point == 1


def test_ties_go_to_the_lower_loss_then_to_the_earlier_point() -> None:
    found = [outcome(n, 0.1, 0.9, validation_loss=loss) for n, loss in enumerate([0.3, 0.2, 0.2])]
    chosen = best(found, maximize=True)
    assert chosen is not None
    assert chosen.point == 1


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED, Status.INTERRUPTED])
def test_what_did_not_end_is_not_chosen(status: Status) -> None:
    found = [outcome(0, 0.1, 0.9, status=status), outcome(1, 0.2, 0.1)]
    chosen = best(found, maximize=True)
    assert chosen is not None
    assert chosen.point == 1
    assert best(found[:1], maximize=True) is None


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_what_is_not_finite_is_not_chosen(bad: float | None) -> None:
    found = [outcome(0, 0.1, 0.9, validation=bad), outcome(1, 0.2, 0.9, validation_loss=bad), outcome(2, 0.3, 0.1)]
    chosen = best(found, maximize=True)
    assert chosen is not None
    assert chosen.point == 2
    assert best(found[:2], maximize=True) is None


def test_a_study_in_which_everything_diverged_has_no_choice() -> None:
    found = [*study(POINTS, [None] * 8), *study(POINTS, [0.5] * 8, study=1)]
    assert [c.study for c in choices(spec(studies=2), [contender()], found, [], maximize=True)] == [1]
    assert best([], maximize=True) is None


def test_by_study_orders_by_point() -> None:
    found = [*study(POINTS, [0.5] * 8), *study(POINTS, [0.5] * 8, contender="b", study=1)]
    grouped = by_study(reversed(found))
    assert set(grouped) == {("a", 0), ("b", 1)}
    assert all([o.point for o in members] == list(range(8)) for members in grouped.values())


# --- edges that are left ---

HIGH = Extension("a", 0, "lr", "high", LogUniform(1.0, 10.0))
LOW = Extension("a", 0, "lr", "low", LogUniform(1e-5, 1e-4))


def left(choice: Chosen, *extensions: Extension, space: Mapping[str, Dimension] | None = None) -> list[Any]:
    found = study(POINTS, [0.5] * 8)
    return edges_left(spec(), [contender(space)], found, extensions, [choice])


def chosen(point: int, lr: float) -> Chosen:
    return Chosen("a", 0, point, {"lr": lr})


def test_a_choice_among_the_last_quarter_may_be_left_at_an_edge() -> None:
    assert left(chosen(1, LR.value(0.05))) == [("a", 0, "lr", "low")]
    assert left(chosen(4, LR.value(0.95))) == [("a", 0, "lr", "high")]
    assert left(chosen(2, LR.value(0.80))) == []


def test_an_edge_without_room_beyond_it_is_not_left() -> None:
    full = {"lr": replace(LR, limit=1.0)}
    assert left(chosen(4, LR.value(0.95)), space=full) == []
    assert left(chosen(1, LR.value(0.05)), space=full) == [("a", 0, "lr", "low")]


@pytest.mark.parametrize(
    ("extension", "point", "coordinate", "expected"),
    [
        (HIGH, 8, 0.9, True),
        (HIGH, 8, 0.8, False),
        (HIGH, 8, 0.1, False),  # at the end that was the old edge
        (LOW, 9, 0.1, True),
        (LOW, 9, 0.2, False),
        (LOW, 9, 0.9, False),
    ],
)
def test_a_decade_may_not_have_been_enough(extension: Extension, point: int, coordinate: float, expected: bool) -> None:
    found = left(chosen(point, extension.space.value(coordinate)), extension)
    assert found == ([("a", 0, "lr", extension.side)] if expected else [])


def test_a_choice_that_an_extension_did_not_beat_is_not_left_at_an_edge() -> None:
    assert left(chosen(4, LR.value(0.95)), HIGH) == []


def test_a_decade_that_ends_at_the_limit_was_enough() -> None:
    limited = LogUniform(1.0, 5.0, limit=5.0)
    assert left(chosen(8, 4.9), replace(HIGH, space=limited), space={"lr": replace(LR, limit=5.0)}) == []


def test_edges_left_are_those_of_every_choice() -> None:
    found = [*study(POINTS, [0.5] * 8), *study(POINTS, [0.5] * 8, contender="b", study=1)]
    made = [
        chosen(1, LR.value(0.05)),
        Chosen("b", 1, 4, {"lr": LR.value(0.95)}),
        Chosen("b", 0, 0, {"lr": LR.value(0.55)}),
    ]
    found += study(POINTS, [0.5] * 8, contender="b", study=0)
    entered = [contender(label="a"), contender(label="b")]
    assert edges_left(spec(studies=2), entered, found, [], made) == [("a", 0, "lr", "low"), ("b", 1, "lr", "high")]
