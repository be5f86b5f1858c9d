"""sparse: one of the two gradients is there at one step in twelve only, as that of a rare word is."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``x² + y²/2, the slope in y seen at 1 step in 12``."""
    return x.square() + y.square() / 2


surface = Surface(
    name="sparse",
    title="Sparse gradients",
    look="The gradient of y is there at one step in twelve only, like that of a rare word. SGD and "
    "Momentum hardly move in y; AdaGrad, RMSprop and Adam remember how little they have seen there "
    "and make much of each sight.",
    formula="x² + y²/2, the slope in y seen at 1 step in 12",
    value=value,
    minima=((0.0, 0.0),),
    start=(-3.0, 2.6),
    view=(-4.2, -1.8, 7.2),
    steps=240,
    seen=(1.0, 1 / 12),
    place=80,
)
