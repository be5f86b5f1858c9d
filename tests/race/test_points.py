"""Quasi-random points: shared by contenders, spread evenly, different where they should be."""

from __future__ import annotations

import pytest
import torch

from gradrace.race.points import MOST_DIMENSIONS, configuration, sobol
from gradrace.space import Choice, LogUniform, Uniform


def test_points_are_a_function_of_their_arguments() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = torch.get_rng_state()
        points = sobol(0, 1, 2, "points", 16)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(1)
        assert sobol(0, 1, 2, "points", 16) == points
    assert sobol(0, 1, 2, "points", 8) == points[:8]  # more points only go on


@pytest.mark.parametrize("others", [(1, 0, 0, "points"), (0, 1, 0, "points"), (0, 0, 1, "points"), (0, 0, 0, "edge")])
def test_race_study_scramble_and_purpose_scramble_anew(others: tuple[int, int, int, str]) -> None:
    points, other = sobol(0, 0, 0, "points", 8), sobol(*others, 8)
    assert not {u for point in points for u in point} & {u for point in other for u in point}


@pytest.mark.parametrize("study", range(5))
@pytest.mark.parametrize("count", [4, 16, 32])
def test_points_are_stratified(study: int, count: int) -> None:
    points = sobol(7, study, 0, "points", count)
    assert len(points) == count
    for dimension in range(MOST_DIMENSIONS):
        column = [point[dimension] for point in points]
        assert all(0 <= u < 1 for u in column)
        assert sorted(int(u * count) for u in column) == list(range(count))  # one in each share of the range


def test_points_fill_the_square() -> None:
    # Of 16 points, one lies in each of the 4 x 4 squares of the first two dimensions: tuned together, they cover both.
    points = sobol(7, 0, 0, "points", 16)
    assert sorted((int(4 * point[0]), int(4 * point[1])) for point in points) == [
        (a, b) for a in range(4) for b in range(4)
    ]


def test_a_configuration_takes_the_first_coordinates() -> None:
    space = {"lr": LogUniform(1e-4, 1), "decay": LogUniform(1e-2, 1, one_minus=True), "kind": Choice((5.0, 7.0))}
    point = [0.5, 0.25, 0.75, *[0.0] * (MOST_DIMENSIONS - 3)]
    found = configuration(point, space)
    assert list(found) == ["lr", "decay", "kind"]
    assert found == pytest.approx({"lr": 1e-2, "decay": 1 - 10**-1.5, "kind": 7.0})
    # A contender with fewer dimensions shares the coordinates of those it has, by order.
    assert configuration(point, {"lr": Uniform(0, 2)}) == {"lr": 1.0}
    assert configuration(point, {}) == {}
