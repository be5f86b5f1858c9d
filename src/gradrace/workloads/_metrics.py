"""Metrics by name: a function of all outputs and targets of a split, with its direction and worst value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Direction = Literal["min", "max"]


@dataclass(frozen=True)
class Metric:
    """``of(output, target)`` over a whole split gives a tensor of shape (). No model can fall below ``worst``."""

    name: str
    of: Callable[[Tensor, Tensor], Tensor]
    direction: Direction
    worst: float | None = None


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of examples whose largest output is the target class: output [n, classes], target [n]."""
    return (output.argmax(-1) == target).to(torch.float64).mean()


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean of ``(output - target) ** 2``; equal shapes."""
    return functional.mse_loss(output, target)


def mean_absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean of ``|output - target|``; equal shapes."""
    return functional.l1_loss(output, target)


def log_loss(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in nats: output [n, classes] before softmax, target [n]."""
    return functional.cross_entropy(output, target)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, "max", worst=0.0),
        Metric("mse", mean_squared_error, "min"),
        Metric("mae", mean_absolute_error, "min"),
        Metric("log_loss", log_loss, "min"),
    )
}
