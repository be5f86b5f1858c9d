"""himmelblau: four minima of equal worth; which one is found depends on start and optimizer."""

from __future__ import annotations

from torch import Tensor

from gradrace.landscapes.surfaces._base import Surface


def value(x: Tensor, y: Tensor) -> Tensor:
    """``(x² + y − 11)² + (x + y² − 7)²``."""
    return (x.square() + y - 11).square() + (x + y.square() - 7).square()


surface = Surface(
    name="himmelblau",
    title="Himmelblau's four minima",
    look="All four minima are equally deep. From a start near the hill in the middle the "
    "optimizers part. Drag it a little, and see who goes where.",
    formula="(x² + y − 11)² + (x + y² − 7)²",
    value=value,
    minima=(
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    start=(-0.4, -0.8),
    view=(-6.0, -4.5, 12.0),
    steps=160,
    place=40,
)
