"""noisy: a plain bowl seen through gradients of small batches."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``x²/2 + y²``."""
    return x.square() / 2 + y.square()


surface = Surface(
    name="noisy",
    title="Noisy bowl",
    look="Every gradient carries noise, as those of small batches do, and the same noise for all. AdaGrad adds "
    "the noise up forever, and its effective step goes on falling; RMSprop forgets, and its levels off. "
    "With a constant rate nobody comes to rest.",
    formula="x²/2 + y²",
    value=value,
    minima=((0.0, 0.0),),
    start=(-3.2, 1.6),
    view=(-4.2, -2.7, 7.2),
    steps=320,
    noise=0.6,
    place=70,
)
