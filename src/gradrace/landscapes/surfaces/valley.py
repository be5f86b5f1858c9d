"""valley: fifty times as steep across as along, as a loss is whose inputs have unequal scales."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``x²/2 + 25 y²``."""
    return x.square() / 2 + 25 * y.square()


surface = Surface(
    name="valley",
    title="Elongated valley",
    look="Across the valley it is fifty times as steep as along it. SGD keeps its steps short for the steep "
    "direction and then crawls along the flat one; Momentum gathers speed there. Watch the effective "
    "steps below: AdaGrad's only fall, RMSprop's rise again as the gradient gets small.",
    formula="x²/2 + 25 y²",
    value=value,
    minima=((0.0, 0.0),),
    start=(-3.6, 0.25),
    view=(-4.4, -2.25, 6.0),
    steps=200,
    place=10,
)
