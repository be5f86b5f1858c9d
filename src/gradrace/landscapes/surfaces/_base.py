"""What a surface is: a function of two coordinates, where to start on it, and what to look at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradrace.errors import SpecError, refuse

Point = tuple[float, float]

RATIO = 4 / 3
"""Width of every view over its height: one unit is as long in x as in y, and slopes cross contours at right angles."""


@dataclass(frozen=True)
class Surface:
    """A loss of two parameters that can be looked at. One file in ``gradrace/landscapes/surfaces`` holds one of these.

    Args:
        name: how it is called on the command line.
        title: how it is called on the page.
        look: one sentence on what to look at.
        formula: its value, to be read.
        value: the same in torch: from x and y, float64 of one shape, to their losses. Arithmetic alone.
        minima: where it is lowest.
        start: where the optimizers start.
        view: what is shown: (left, bottom, width), 4 wide to 3 high.
        steps: how many steps a walk takes.
        noise: standard deviation of what is added to each coordinate of a gradient, over the length of the gradient
            at the start.
        seen: for each coordinate the share of steps at which its gradient is there at all, as of a rare word.
        place: where it stands among the others.
    """

    name: str
    title: str
    look: str
    formula: str
    value: Callable[[Tensor, Tensor], Tensor]
    minima: tuple[Point, ...]
    start: Point
    view: tuple[float, float, float]
    steps: int = 240
    noise: float = 0.0
    seen: Point = (1.0, 1.0)
    place: int = 100

    def __post_init__(self) -> None:
        for point in (self.start, *self.minima):
            if not self.shows(point):
                refuse(
                    SpecError(f"Surface '{self.name}' has the point {point}, which is outside its view {self.view}.")
                )
        if not all(0 < share <= 1 for share in self.seen):
            refuse(SpecError(f"Surface '{self.name}' has seen = {self.seen}; shares are above 0 and at most 1."))
        if self.noise < 0 or self.steps < 1:
            refuse(
                SpecError(
                    f"Surface '{self.name}' has noise = {self.noise} and steps = {self.steps}; "
                    "noise is at least 0, and steps at least 1."
                )
            )

    def least(self) -> float:
        """The lowest value, at the minima."""
        points = torch.tensor(self.minima, dtype=torch.float64)
        return float(self.value(points[:, 0], points[:, 1]).min())

    def shows(self, point: Point) -> bool:
        """Whether a point is within the view."""
        left, bottom, width = self.view
        inside = left <= point[0] <= left + width and bottom <= point[1] <= bottom + width / RATIO
        return inside and all(map(math.isfinite, point))
