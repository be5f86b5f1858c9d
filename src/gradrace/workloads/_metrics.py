"""Metrics by name: of all outputs and targets of a split, or of its mean loss; with direction and worst value.

They are written here, a few lines each, because they run under ``vmap`` for all trials of a block at once: no values
are looked at, no shapes depend on data. See docs/decisions/0010-metrics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

Direction = Literal["min", "max"]


@dataclass(frozen=True)
class Metric:
    """A number for a whole split.

    Args:
        name: what it is called in reports.
        of: ``of(output, target)`` over all examples of a split, a tensor of shape ().
        direction: ``"min"`` or ``"max"``: which is better.
        worst: no model can fall below this, where there is such a bound.
        of_loss: instead of ``of``: a function of the split's mean loss. The outputs of a split are then not kept.
    """

    name: str
    of: Callable[[Any, Any], Tensor] | None = None
    direction: Direction = "min"
    worst: float | None = None
    of_loss: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if (self.of is None) == (self.of_loss is None):
            raise ValueError(f"The metric '{self.name}' needs either of= or of_loss=, and exactly one of them.")


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of examples that are right: output [n, classes] by its largest, or logits like the target by their sign."""
    predicted = output.argmax(-1) if output.dim() > target.dim() else (output > 0).to(target.dtype)
    return (predicted == target).to(torch.float64).mean()


def top5_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of examples whose class is among the five largest outputs: output [n, classes], target [n]."""
    return (output.topk(5, dim=-1).indices == target.unsqueeze(-1)).any(-1).to(torch.float64).mean()


def area_under_curve(output: Tensor, target: Tensor) -> Tensor:
    """Area under the ROC curve: the chance that a positive example scores above a negative one, ties counting half.

    ``(mean rank of positives - (positives + 1) / 2) / negatives``, tied scores sharing their mean rank (Mann & Whitney
    1947). output [n] or [n, 1], any score that rises with the chance of a positive; target the same with 0 and 1. NaN
    where one of the two is missing.
    """
    scores, order = output.reshape(-1).sort()
    positive = (target.reshape(-1)[order] == 1).to(torch.float64)
    count = scores.shape[0]
    places = torch.arange(count, device=scores.device)
    edge = torch.ones(1, dtype=torch.bool, device=scores.device)
    changes = scores[1:] != scores[:-1]
    first = torch.where(torch.cat([edge, changes]), places, 0).cummax(0).values
    last = torch.where(torch.cat([changes, edge]), places, count).flip(0).cummin(0).values.flip(0)
    ranks = (first + last).to(torch.float64) / 2 + 1
    positives = positive.sum()
    return ((ranks * positive).sum() - positives * (positives + 1) / 2) / (positives * (count - positives))


def r2(output: Tensor, target: Tensor) -> Tensor:
    """``1 - sum (output - target)^2 / sum (target - mean target)^2``: the share of the variance that is explained."""
    rest = (output - target).square().sum()
    return 1 - rest / (target - target.mean()).square().sum()


def f1(output: Tensor, target: Tensor) -> Tensor:
    """``2 TP / (2 TP + FP + FN)`` of the positive class; logits like the target, positive above 0. 0 without any."""
    predicted, wanted = output > 0, target > 0
    right = (predicted & wanted).sum().to(torch.float64)
    return 2 * right / (predicted.sum() + wanted.sum()).clamp(min=1)


def log_loss(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in nats: output [n, classes] before softmax with target [n]; or logits like a target of 0 and 1."""
    if output.dim() > target.dim():
        return functional.cross_entropy(output.movedim(-1, 1) if output.dim() > 2 else output, target)
    return functional.binary_cross_entropy_with_logits(output, target.to(output.dtype))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, "max", worst=0.0),
        Metric("top5_accuracy", top5_accuracy, "max", worst=0.0),
        Metric("auc", area_under_curve, "max", worst=0.0),
        Metric("f1", f1, "max", worst=0.0),
        Metric("log_loss", log_loss),
        Metric("mse", functional.mse_loss),
        Metric("rmse", lambda output, target: functional.mse_loss(output, target).sqrt()),
        Metric("mae", functional.l1_loss),
        Metric("r2", r2, "max"),
        Metric("loss", of_loss=lambda loss: loss),
        Metric("perplexity", of_loss=torch.exp),
        Metric("bits_per_character", of_loss=lambda loss: loss / math.log(2)),
    )
}
