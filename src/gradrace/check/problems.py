"""Four small problems whose minimum is known, for one trial: what an optimizer has to make headway on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Tree = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """A function of a few parameters, in the dtype of ``start``.

    Within ``steps`` steps, at the best of a few learning rates, an optimizer has to bring the distance between ``loss``
    and its ``minimum`` down to one part in ``factor`` of what it is at the start.
    """

    title: str
    start: Tree
    loss: Callable[[Tree], Tensor]
    minimum: float
    steps: int
    factor: float


def normal(*shape: int, seed: int) -> Tensor:
    """Fixed standard normal numbers, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quadratic(dtype: torch.dtype) -> Problem:
    """``(x - x*)' A (x - x*) / 2`` of a 4 x 4 matrix; curvatures from 1 to 20 along skew axes."""
    axes = torch.linalg.qr(normal(16, 16, seed=1)).Q
    curvature = (axes * torch.logspace(0, 1.3, 16, dtype=torch.float64)) @ axes.T
    curvature, target = curvature.to(dtype), normal(16, seed=2).to(dtype)
    start = {"weight": normal(4, 4, seed=3).to(dtype)}

    def loss(params: Tree) -> Tensor:
        away = params["weight"].reshape(-1) - target
        return 0.5 * away @ (curvature @ away)

    return Problem("a convex quadratic", start, loss, 0.0, steps=150, factor=20.0)


def rosenbrock(dtype: torch.dtype) -> Problem:
    """``(1 - x)^2 + 100 (y - x^2)^2`` from (-1.2, 1): a bent valley, steep across and nearly flat along."""
    start = {"point": torch.tensor([-1.2, 1.0], dtype=dtype)}

    def loss(params: Tree) -> Tensor:
        x, y = params["point"].unbind()
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2

    return Problem("Rosenbrock's valley", start, loss, 0.0, steps=300, factor=10.0)


def rare(dtype: torch.dtype) -> Problem:
    """Logistic regression in which feature i occurs in one example of 2^i, alone: weights with rare gradients.

    An example with feature i is positive with probability p_i, so that the best weight is ``log(p_i / (1 - p_i))`` and
    the least loss the mean entropy of p.
    """
    share = 0.5 ** torch.arange(1.0, 7.0, dtype=torch.float64)
    positive = torch.tensor([0.7, 0.2, 0.9, 0.1, 0.95, 0.05], dtype=torch.float64)
    best = torch.logit(positive)
    minimum = float(share @ functional.binary_cross_entropy_with_logits(best, positive, reduction="none"))
    share, positive = share.to(dtype), positive.to(dtype)
    start = {"weight": torch.full((1, 6), 0.1, dtype=dtype)}

    def loss(params: Tree) -> Tensor:
        losses = functional.softplus(params["weight"][0]) - positive * params["weight"][0]
        return share @ losses

    return Problem("logistic regression with rare features", start, loss, minimum, steps=150, factor=20.0)


def factorisation(dtype: torch.dtype) -> Problem:
    """``|U V' - M|^2 / 2`` for a 5 x 4 matrix M of rank 2: two matrices, with a saddle at zero."""
    product = (normal(5, 2, seed=5) @ normal(2, 4, seed=6)).to(dtype)
    start = {"left": 0.3 * normal(5, 2, seed=7).to(dtype), "right": 0.3 * normal(4, 2, seed=8).to(dtype)}

    def loss(params: Tree) -> Tensor:
        return 0.5 * (params["left"] @ params["right"].T - product).square().sum()

    return Problem("a matrix factorisation", start, loss, 0.0, steps=150, factor=20.0)


PROBLEMS: dict[str, Callable[[torch.dtype], Problem]] = {
    "quadratic": quadratic,
    "rosenbrock": rosenbrock,
    "rare features": rare,
    "factorisation": factorisation,
}
