"""drift: a stream whose truth keeps turning, learnt as it comes; what was learnt long ago is wrong by now."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.errors import SpecError
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch

FEATURES, NOISE = 20, 0.1
BATCH, STEPS, TESTED = 8, 1000, 500


def truths(events: int, turns: float) -> Tensor:
    """The weights of each event, float32 [events, features]: pairs of coordinates that turn, each at a pace of its own.

    Coordinates 2i and 2i + 1 go round a circle of radius 1. The slowest pair makes ``turns`` turns over the training
    part of the stream, the fastest three times as many, so that the truth never comes back.
    """
    generator = torch.Generator().manual_seed(seed_of("drift", "phases"))
    phases = torch.rand(FEATURES // 2, generator=generator, dtype=torch.float64) * 2 * math.pi
    paces = torch.linspace(1, 3, FEATURES // 2, dtype=torch.float64) * turns * 2 * math.pi / (STEPS * BATCH)
    angles = torch.arange(events, dtype=torch.float64)[:, None] * paces + phases
    return torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1).to(torch.float32)


def load(turns: float) -> tuple[Batch, Batch]:
    """``y = x . w(t) + noise``: 8,000 events to train and select on, 4,000 later ones to confirm on."""
    events = (STEPS + TESTED) * BATCH
    generator = torch.Generator().manual_seed(seed_of("drift", "events"))
    inputs = torch.randn(events, FEATURES, generator=generator, dtype=torch.float32)
    noise = NOISE * torch.randn(events, generator=generator, dtype=torch.float32)
    target = ((inputs * truths(events, turns)).sum(1) + noise).unsqueeze(1)
    place = STEPS * BATCH
    return (inputs[:place], target[:place]), (inputs[place:], target[place:])


def make_model() -> nn.Module:
    """Twenty weights and a bias."""
    return nn.Linear(FEATURES, 1)


def make(turns: float = 2.0) -> Workload:
    """A linear model that has to follow weights which turn; each batch is scored before it is learnt.

    An optimizer whose steps only ever get shorter falls behind in the end; one whose steps keep their length does not.
    A model that says nothing has a squared error of about 10, one that knows the truth of 0.01.

    Args:
        turns: of the slowest pair of weights over the training part of the stream; at least 0 (nothing drifts).

    Raises:
        SpecError: a number of turns that is not allowed.
    """
    if not 0 <= turns < math.inf:
        raise SpecError(f"turns is {turns!r}; it must be a number, at least 0.")
    return Workload(
        name="drift" if turns == 2.0 else f"drift-{turns:g}",
        model=make_model,
        data=partial(load, turns),
        loss=functional.mse_loss,
        metric="mse",
        online=True,
        order="time",
        batch_size=BATCH,
        steps=STEPS,
        target=0.5 if turns == 2.0 else None,
        title="a linear model after a truth that turns",
        stands_for="time series that drift",
        source="made by a formula",
        licence="none needed",
    )


workload = make()
