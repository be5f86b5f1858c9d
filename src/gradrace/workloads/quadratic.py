"""quadratic: an ill-conditioned quadratic, of which everything is known: minimum, curvature, the best rates."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from gradrace.errors import SpecError
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch
from gradrace.workloads._points import Point, distance, log10_excess, numbered


def curvatures(kappa: float, dimensions: int) -> Tensor:
    """Eigenvalues of the Hessian, float64 [d]: evenly spaced on a log scale from ``kappa**-0.5`` to ``kappa**0.5``."""
    half = math.log10(kappa) / 2
    return torch.logspace(-half, half, dimensions, dtype=torch.float64)


def hessian(kappa: float, dimensions: int, rotated: bool) -> Tensor:
    """The Hessian, float32 [d, d]: diagonal, or turned by a fixed random rotation so that no axis is special."""
    diagonal = torch.diag(curvatures(kappa, dimensions))
    if rotated:
        generator = torch.Generator().manual_seed(seed_of("quadratic", "rotation", dimensions))
        basis, _ = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64))
        diagonal = basis @ diagonal @ basis.T
    return diagonal.to(torch.float32)


class Loss:
    """``(x - x*)^T H (x - x*) / 2``, the mean over the points of a batch; its minimum is 0, at ``x*``."""

    def __init__(self, curved: Tensor) -> None:
        self.hessian = curved

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Points [n, d], minima [n, d]."""
        apart = output - target
        return (apart @ self.hessian.to(apart) * apart).sum(-1).mean() / 2


def load(dimensions: int) -> tuple[Batch, Batch, Batch]:
    """The minimum, a fixed point drawn from N(0, 1), as the target of each numbered split (see ``_points``)."""
    generator = torch.Generator().manual_seed(seed_of("quadratic", "minimum", dimensions))
    return numbered(torch.randn(dimensions, generator=generator, dtype=torch.float32))


def make_model(dimensions: int) -> nn.Module:
    """A point that starts from N(0, 1) in every coordinate."""
    return Point(torch.randn(dimensions))


def minimum() -> float:
    """The least value: 0."""
    return 0.0


def make(kappa: float = 100.0, dimensions: int = 20, rotated: bool = True) -> Workload:
    """A quadratic of a condition number of one's choice; its gradient is exact, so only the start is left to luck.

    With the eigenvalues known, so are the best constant rates. Gradient descent: ``lr = 2 / (L + l)`` shrinks the
    distance from the minimum by ``(kappa - 1) / (kappa + 1)`` at each step. Momentum (Polyak 1964): by about
    ``(sqrt(kappa) - 1) / (sqrt(kappa) + 1)``, the square of which is its best momentum.

    The metric is ``log10`` of the loss, as the minimum is 0. Validation and test measure the same function: choices
    are confirmed on fresh starting points.

    Args:
        kappa: the condition number, largest over smallest curvature; at least 1.
        dimensions: of the point, at least 2.
        rotated: whether the axes of the ellipsoid are turned away from the coordinates. Where they are not, an
            optimizer with a step size for each coordinate can undo the ill condition.

    Raises:
        SpecError: a value that is not allowed.

    Source: Y. Nesterov, Introductory Lectures on Convex Optimization (2004), section 2.1; B. T. Polyak, Some methods
    of speeding up the convergence of iteration methods (1964).
    """
    if not 1 <= kappa < math.inf:
        raise SpecError(f"The condition number kappa is {kappa!r}; it must be at least 1.")
    if not isinstance(dimensions, int) or dimensions < 2:
        raise SpecError(f"dimensions is {dimensions!r}; it must be a whole number, at least 2.")
    plain = (kappa, dimensions, rotated) == (100.0, 20, True)
    return Workload(
        name="quadratic" if plain else f"quadratic-{kappa:g}-{dimensions}{'' if rotated else '-aligned'}",
        model=partial(make_model, dimensions),
        data=partial(load, dimensions),
        loss=Loss(hessian(kappa, dimensions, rotated)),
        metric=log10_excess(),
        others={"distance": distance},
        batch_size=1,
        steps=300,
        target=-4.0,
        title=f"a quadratic of condition number {kappa:g}",
        stands_for="ill-conditioned problems, with exact gradients",
        source="made by a formula",
        licence="none needed",
        minimum=minimum,
    )


workload = make()
