"""saddle: down in one direction, up in the other, and a start on the ridge between the two valleys."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``x²/2 − y²/2 + y⁴/8``."""
    return x.square() / 2 - y.square() / 2 + y**4 / 8


surface = Surface(
    name="saddle",
    title="Saddle",
    look="The start is almost on the ridge, where the gradient across it is nearly nothing. SGD runs to "
    "the saddle and waits there; methods that divide by the size of the gradient leave sideways at "
    "once.",
    formula="x²/2 − y²/2 + y⁴/8",
    value=value,
    minima=((0.0, 1.4142135623730951), (0.0, -1.4142135623730951)),
    start=(-2.6, 0.001),
    view=(-3.2, -2.1, 5.6),
    steps=160,
    place=50,
)
