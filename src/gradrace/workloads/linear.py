"""linear: the smallest training task there is, ``nn.Linear(10, 1)`` with ``MSELoss``, whose minimum is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch, tensors_of

EXAMPLES, FEATURES, NOISE = 1000, 10, 0.1


def load() -> tuple[Batch, Batch, Batch]:
    """``y = X w + b + noise`` with features of unequal scale (1 to 0.1), 600 / 200 / 200 examples."""
    generator = torch.Generator().manual_seed(seed_of("linear"))
    scale = torch.logspace(0, -1, FEATURES, dtype=torch.float32)
    inputs = torch.randn(EXAMPLES, FEATURES, generator=generator, dtype=torch.float32) * scale
    weight = torch.randn(FEATURES, 1, generator=generator, dtype=torch.float32) / scale.unsqueeze(1)
    noise = NOISE * torch.randn(EXAMPLES, 1, generator=generator, dtype=torch.float32)
    target = inputs @ weight + 1.0 + noise

    def take(start: int, stop: int) -> Batch:
        return inputs[start:stop], target[start:stop]

    return take(0, 600), take(600, 800), take(800, 1000)


def make_model() -> nn.Module:
    """Ten weights and a bias."""
    return nn.Linear(FEATURES, 1)


def minimum() -> float:
    """The least mean squared error on the training split, by least squares."""
    inputs, target = (tensor.double() for tensor in tensors_of(workload.in_memory("train")))
    columns = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], dim=1)
    solution: Tensor = torch.linalg.lstsq(columns, target).solution
    return functional.mse_loss(columns @ solution, target).item()


workload = Workload(
    name="linear",
    model=make_model,
    data=load,
    loss=functional.mse_loss,
    metric="mse",
    batch_size=32,
    steps=400,
    target=0.012,
    title="a linear model with a known minimum",
    stands_for="the minimal training example",
    source="made by a formula, noise of variance 0.01",
    minimum=minimum,
    suites=("primer",),
)
