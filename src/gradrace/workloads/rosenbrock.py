"""rosenbrock: the curved valley that descent reaches in a moment and then hardly moves along."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from gradrace.errors import SpecError
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch
from gradrace.workloads._points import Point, distance, log10_excess, numbered

SPREAD = 0.1
"""Standard deviation of the start around the classical one, in every coordinate."""


def rosenbrock(output: Tensor, target: Tensor) -> Tensor:
    """``sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2``, the mean over points [n, d]; 0 at (1, ..., 1), the target."""
    ahead, behind = output[:, 1:], output[:, :-1]
    return (100 * (ahead - behind.square()).square() + (1 - behind).square()).sum(-1).mean()


def load(dimensions: int) -> tuple[Batch, Batch, Batch]:
    """The minimum, (1, ..., 1), as the target of each numbered split (see ``_points``)."""
    return numbered(torch.ones(dimensions))


def make_model(dimensions: int) -> nn.Module:
    """A point near the classical start (-1.2, 1, -1.2, 1, ...): each seed its own, N(0, 0.1^2) beside it."""
    classical = torch.ones(dimensions)
    classical[::2] = -1.2
    return Point(classical + SPREAD * torch.randn(dimensions))


def minimum() -> float:
    """The least value: 0."""
    return 0.0


def make(dimensions: int = 2) -> Workload:
    """Rosenbrock's function of some variables; its gradient is exact, so only the start is left to luck.

    In two dimensions the Hessian at the minimum has a condition number of 2,508. The metric is ``log10`` of the loss,
    as the minimum is 0. Validation and test measure the same function: choices are confirmed on fresh starting points.

    Args:
        dimensions: of the point, at least 2. From 4 on there is a second, local minimum near (-1, 1, ..., 1).

    Raises:
        SpecError: a number of dimensions that is not allowed.

    Source: H. H. Rosenbrock, An automatic method for finding the greatest or least value of a function (1960).
    """
    if not isinstance(dimensions, int) or dimensions < 2:
        raise SpecError(f"dimensions is {dimensions!r}; it must be a whole number, at least 2.")
    return Workload(
        name="rosenbrock" if dimensions == 2 else f"rosenbrock-{dimensions}",
        model=partial(make_model, dimensions),
        data=partial(load, dimensions),
        loss=rosenbrock,
        metric=log10_excess(),
        others={"distance": distance},
        batch_size=1,
        steps=2000,
        target=-3.0,
        title="Rosenbrock's curved valley",
        stands_for="non-convex problems with a long way to go",
        source="made by a formula",
        licence="none needed",
        minimum=minimum,
    )


workload = make()
