"""rare-features: logistic regression on features of which most are seldom there, and those that are tell the class."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.errors import SpecError
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch, tensors_of
from gradrace.workloads._metrics import accuracy

FEATURES, MOST_OFTEN = 300, 2.0
SILENT = FEATURES // 10
"""So many of the most common features have weight 0 in the truth."""
TRAIN, VALIDATION, TEST = 20_000, 2_000, 4_000
NEWTON_STEPS = 25


def rates(alpha: float) -> Tensor:
    """How often each feature is there, float32 [features]: ``min(1, 2 j^-alpha)``, j from 1."""
    return (MOST_OFTEN * torch.arange(1, FEATURES + 1, dtype=torch.float32) ** -alpha).clamp(max=1)


def truth() -> Tensor:
    """The weights that the classes were drawn by, [features]: 0 of the common features, else 1 or -1."""
    generator = torch.Generator().manual_seed(seed_of("rare-features", "truth"))
    weights = torch.randint(0, 2, (FEATURES,), generator=generator).float() * 2 - 1
    weights[:SILENT] = 0
    return weights


def load(sparse: bool, alpha: float) -> tuple[Batch, Batch, Batch]:
    """20,000 examples to train on, 2,000 to select by, 4,000 to confirm by; each split a draw of its own.

    A feature that is there is 1 or -1 with equal chance, else 0. The class is 1 with probability ``sigmoid(x . w)``,
    ``w`` being the truth. Where not sparse, every feature is always there, as ``s`` or ``-s``, ``s`` such that
    ``x . w`` varies as much as that of the sparse ones.
    """
    weights, chance = truth(), rates(alpha)
    generator = torch.Generator().manual_seed(seed_of("rare-features", "examples"))
    uniform = torch.rand(TRAIN + VALIDATION + TEST, FEATURES, generator=generator)
    if sparse:
        inputs = (uniform < chance).float() - 2 * (uniform < chance / 2).float()
    else:
        spread = chance[SILENT:].mean().sqrt()
        inputs = torch.where(uniform < 0.5, spread, -spread)
    classes = (torch.rand(len(inputs), generator=generator) < (inputs @ weights).sigmoid()).float().unsqueeze(1)

    def take(start: int, stop: int) -> Batch:
        return inputs[start:stop], classes[start:stop]

    return take(0, TRAIN), take(TRAIN, TRAIN + VALIDATION), take(TRAIN + VALIDATION, len(inputs))


def make_model() -> nn.Module:
    """300 weights and a bias."""
    return nn.Linear(FEATURES, 1)


def minimum(sparse: bool, alpha: float) -> float:
    """The least training loss, by Newton's method in float64."""
    inputs, classes = (tensor.double() for tensor in tensors_of(load(sparse, alpha)[0]))
    columns = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], dim=1)
    weights = torch.zeros(FEATURES + 1, 1, dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        chance = (columns @ weights).sigmoid()
        slope = columns.T @ (chance - classes)
        if slope.abs().max() < 1e-9 * len(columns):
            break
        curved = columns.T @ (chance * (1 - chance) * columns)
        weights -= torch.linalg.solve(curved, slope)
    return functional.binary_cross_entropy_with_logits(columns @ weights, classes).item()


def make(sparse: bool = True, alpha: float = 1.0) -> Workload:
    """Features that are there with probability ``min(1, 2 j^-alpha)``, the rarer nine tenths of which matter.

    Where most features are rare, one learning rate is too large for the common ones or too small for the rare ones;
    AdaGrad gives each its own. With ``sparse=False`` every feature is always there, on one scale: the control.

    Args:
        sparse: whether features are rare.
        alpha: how fast they get rarer; more than 0.

    Raises:
        SpecError: an alpha that is not allowed.

    Source: the setting of J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization (2011), section 1.3; the numbers are this package's.
    """
    if not 0 < alpha < 10:
        raise SpecError(f"alpha is {alpha!r}; it must be more than 0 and less than 10.")
    plain = sparse and alpha == 1.0
    exponent = "" if alpha == 1.0 else f"-{alpha:g}"
    return Workload(
        name=f"rare-features{exponent}" if sparse else f"rare-features{exponent}-dense",
        model=make_model,
        data=partial(load, sparse, alpha),
        loss=functional.binary_cross_entropy_with_logits,
        metric="log_loss",
        others={"accuracy": accuracy},
        batch_size=32,
        steps=625,
        target=0.47 if plain else None,
        title="logistic regression on rare features" if sparse else "logistic regression on dense features",
        stands_for="sparse data: clicks, words" if sparse else "the control of rare-features",
        source="made by a formula, after Duchi et al. 2011",
        licence="none needed",
        minimum=partial(minimum, sparse, alpha),
    )


workload = make()
