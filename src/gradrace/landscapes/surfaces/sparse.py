"""sparse: one of the two gradients is there at one step in twelve only, as that of a rare word is."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``4 x² + y²/4, the slope in y seen at 1 step in 12``."""
    return 4 * x.square() + y.square() / 4


surface = Surface(
    name="sparse",
    title="Sparse gradients",
    look="The gradient of y is there at one step in twelve only, like that of a rare word. SGD hardly moves in "
    "y. AdaGrad, RMSprop and Adam remember how little they have seen there and make much of each sight; "
    "Momentum rolls on between sights.",
    formula="4 x² + y²/4, the slope in y seen at 1 step in 12",
    value=value,
    minima=((0.0, 0.0),),
    start=(-1.0, 2.6),
    view=(-3.0, -1.3, 6.0),
    steps=240,
    seen=(1.0, 1 / 12),
    place=80,
)
