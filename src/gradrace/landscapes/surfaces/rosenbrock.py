"""rosenbrock: a curved valley whose floor hardly falls."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``(1 − x)² + 100 (y − x²)²``."""
    return (1 - x).square() + 100 * (y - x.square()).square()


surface = Surface(
    name="rosenbrock",
    title="Rosenbrock's banana",
    look="Everybody reaches the floor of the curved valley in a moment; the way along it to the minimum at "
    "(1, 1) is what takes long, because the gradient points across and not along.",
    formula="(1 − x)² + 100 (y − x²)²",
    value=value,
    minima=((1.0, 1.0),),
    start=(-1.2, 1.0),
    view=(-2.0, -0.9, 4.0),
    steps=320,
    place=20,
)
