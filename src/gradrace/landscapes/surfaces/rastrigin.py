"""rastrigin: a bowl full of dents, each of which holds what rolls into it too slowly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``20 + x² + y² − 10 cos(2πx) − 10 cos(2πy)``."""
    return 20 + x.square() + y.square() - 10 * torch.cos(2 * math.pi * x) - 10 * torch.cos(2 * math.pi * y)


surface = Surface(
    name="rastrigin",
    title="Rastrigin's egg box",
    look="Every dent is a local minimum, and none of these methods looks for the deepest one. Most stay in the "
    "first; Momentum's speed carries it over some rims. Drag the start, or try more momentum, a larger "
    "rate, or noise.",
    formula="20 + x² + y² − 10 cos(2πx) − 10 cos(2πy)",
    value=value,
    minima=((0.0, 0.0),),
    start=(-3.4, 2.45),
    view=(-4.0, -3.0, 8.0),
    steps=160,
    place=60,
)
