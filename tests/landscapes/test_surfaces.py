"""Every surface: its gradient, its minima, its formula, and what it says of itself."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from walked import gradient, run

from gradrace.errors import SpecError
from gradrace.landscapes import Landscapes
from gradrace.landscapes.surfaces import RATIO, Surface, surface, surfaces

GRID = [(x, y) for x in range(-9, 10, 3) for y in range(-9, 10, 3)]


@pytest.fixture(scope="module")
def computed() -> dict[str, list[list[float]]]:
    """From the page's script: value and gradient at each point of a grid over the view."""
    code = """
    const found = {};
    for (const { name } of page.surfaces) {
      found[name] = asked.points[name].map(([x, y]) => {
        const slope = [0, 0];
        const value = SURFACES[name].gradient(x, y, slope);
        return [value, SURFACES[name].value(x, y), ...slope];
      });
    }
    answer(found);
    """
    return run(Landscapes(), code, points={name: points(known) for name, known in surfaces().items()})


def points(known: Surface) -> list[tuple[float, float]]:
    left, bottom, width = known.view
    return [(left + width * (x + 9) / 18, bottom + width / RATIO * (y + 9) / 18) for x, y in GRID]


def value(known: Surface, x: float, y: float) -> float:
    return float(known.value(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)))


@pytest.mark.parametrize("name", surfaces())
def test_the_pages_gradient_is_that_of_autograd(name: str, computed: dict[str, list[list[float]]]) -> None:
    known = surfaces()[name]
    for (x, y), (given, again, *slope) in zip(points(known), computed[name], strict=True):
        assert given == again == pytest.approx(value(known, x, y), rel=1e-12, abs=1e-12)
        assert slope == pytest.approx(gradient(known, x, y), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", surfaces())
def test_autograds_is_that_of_differences(name: str) -> None:
    known = surfaces()[name]
    for x, y in points(known)[::5]:
        small = 1e-6
        differences = (
            (value(known, x + small, y) - value(known, x - small, y)) / (2 * small),
            (value(known, x, y + small) - value(known, x, y - small)) / (2 * small),
        )
        assert gradient(known, x, y) == pytest.approx(differences, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("name", surfaces())
def test_minima_are_minima(name: str) -> None:
    known = surfaces()[name]
    depths = [value(known, *minimum) for minimum in known.minima]
    assert depths == pytest.approx([depths[0]] * len(depths), abs=1e-12)
    for minimum in known.minima:
        assert gradient(known, *minimum) == pytest.approx((0, 0), abs=1e-6)
    assert min(value(known, x, y) for x, y in points(known)) >= depths[0]


@pytest.mark.parametrize("name", surfaces())
def test_the_formula_says_what_is_computed(name: str) -> None:
    known = surfaces()[name]
    formula = known.formula.partition(",")[0].translate(str.maketrans("−", "-"))
    for power, digit in zip("²³⁴", "234", strict=True):
        formula = formula.replace(power, f"**{digit}")
    formula = formula.replace("2πx", "2*pi*x").replace("2πy", "2*pi*y")
    formula = re.sub(r"(?<=[\dxy)]) (?=[xy(c])", " * ", formula)
    for x, y in points(known)[::7]:
        told = eval(formula, {"x": x, "y": y, "cos": math.cos, "pi": math.pi})
        assert told == pytest.approx(value(known, x, y), rel=1e-9, abs=1e-9)


def test_the_first_is_the_valley_and_all_that_are_owed_are_there() -> None:
    assert list(surfaces()) == ["valley", "rosenbrock", "beale", "himmelblau", "saddle", "rastrigin", "noisy", "sparse"]


def test_an_unknown_surface_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="valley"):
        surface("valey")
    with pytest.raises(SpecError, match="rosenbrock"):
        Landscapes(first="rosenbrok")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"start": (9.0, 0.0)}, r"has the point \(9.0, 0.0\), which is outside its view"),
        ({"minima": ((0.0, math.nan),)}, "outside its view"),
        ({"seen": (1.0, 0.0)}, "shares are above 0 and at most 1"),
        ({"noise": -1.0}, "noise is at least 0"),
        ({"steps": 0}, "steps at least 1"),
    ],
)
def test_a_surface_that_cannot_be_walked_on_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        replace(surfaces()["valley"], **changes)
