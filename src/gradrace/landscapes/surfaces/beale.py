"""beale: a plateau with steep walls far off and a minimum at the end of a narrow valley."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``(1.5 − x + x y)² + (2.25 − x + x y²)² + (2.625 − x + x y³)²``."""
    return (1.5 - x + x * y).square() + (2.25 - x + x * y.square()).square() + (2.625 - x + x * y**3).square()


surface = Surface(
    name="beale",
    title="Beale's function",
    look="The valley that leads to the minimum is nearly flat, and the wall above it steep. A rate that bears "
    "the wall is too small for the valley: SGD crawls, AdaGrad even more, as it never forgets the wall. "
    "Momentum and Adam gather speed.",
    formula="(1.5 − x + x y)² + (2.25 − x + x y²)² + (2.625 − x + x y³)²",
    value=value,
    minima=((3.0, 0.5),),
    start=(-0.6, -1.2),
    view=(-1.4, -2.2, 5.6),
    steps=300,
    place=30,
)
