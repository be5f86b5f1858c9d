"""Functions of a point as workloads: the model holds the point, an example is the number of a split.

There is nothing to generalise to: every split asks for the value of the same function. What a confirmation varies is
the point that a seed starts from. An example is the number of its split (0, 1, 2), so that the splits are apart as
every workload's must be, with what the function is to be compared with as its target.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradrace.workloads._batch import Batch
from gradrace.workloads._metrics import Metric

LEAST_EXCESS = 1e-12
"""What is closer to the minimum than this is rounding of float32, and counts as this."""


def numbered(target: Tensor) -> tuple[Batch, Batch, Batch]:
    """Three splits of one example each: the split's number, int64 [1], and the target, [1, ...]."""
    return (
        (torch.tensor([0]), target.unsqueeze(0)),
        (torch.tensor([1]), target.unsqueeze(0)),
        (torch.tensor([2]), target.unsqueeze(0)),
    )


class Point(nn.Module):
    """A point [d] as the only parameter; given a batch of n numbers it returns itself, [n, d]."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.point = nn.Parameter(start)

    def forward(self, number: Tensor) -> Tensor:
        """The point, once for each example."""
        return self.point.expand(len(number), -1)


def distance(output: Tensor, target: Tensor) -> Tensor:
    """Mean Euclidean distance of points [n, d] from the targets [n, d]."""
    return (output - target).square().sum(-1).sqrt().mean()


def log10_excess(minimum: float = 0.0) -> Metric:
    """How many powers of ten the loss lies above its minimum: ``log10(max(loss - minimum, 1e-12))``, float64.

    A loss that falls by a factor at every step falls by many powers of ten; means of the loss itself would show the
    unluckiest seed alone. -12 is the floor.
    """

    def of_loss(loss: Tensor) -> Tensor:
        return (loss.to(torch.float64) - minimum).clamp(min=LEAST_EXCESS).log10()

    return Metric("log10_excess", of_loss=of_loss)
