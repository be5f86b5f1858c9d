"""What the engine must know to train one trial, and what both engines can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import nn

from gradrace.errors import WorkloadError
from gradrace.optimizers import AnyOptimizer, Optimizer
from gradrace.randomness import Stream, seed_of
from gradrace.workloads import Workload

Schedule = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class TrialSetup:
    """One trial: its optimizer, every hyperparameter's value, structural options and stream of randomness."""

    optimizer: AnyOptimizer
    hyper: Mapping[str, float]
    options: Mapping[str, bool]
    stream: Stream


@dataclass(frozen=True)
class Training:
    """What all trials of a block have in common. ``steps`` is the length over which the schedule runs its course."""

    steps: int
    batch_size: int
    schedule: Schedule = "constant"
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


@dataclass
class Evaluation:
    """Metric and loss of each trial on one split; NaN where the model has diverged."""

    metric: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)


class Trials(Protocol):
    """Trials under way. Rows are counted among those still kept, in the order they were given."""

    def train(self, until: int) -> list[float]:
        """Train every kept trial to step ``until``; return each one's mean training loss over these steps."""
        ...

    def evaluate(self, split: str) -> Evaluation:
        """Metric and loss of every kept trial on a split."""
        ...

    def diverged_at(self) -> list[int | None]:
        """For every kept trial, the first step whose loss was not finite, or None."""
        ...

    def failures(self) -> list[str | None]:
        """For every kept trial, the sentence of the error that ended it, or None."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        ...


def rule_of(setup: TrialSetup) -> Optimizer:
    """The update rule of a trial.

    Raises:
        WorkloadError: its optimizer is none, and can only be stepped itself.
    """
    if not isinstance(setup.optimizer, Optimizer):
        raise WorkloadError(f"{setup.optimizer.name} is no update rule, so only the loop engine can train with it.")
    return setup.optimizer


def multiplier(schedule: Schedule, step: int, steps: int) -> float:
    """The share of the learning rate in force at ``step`` (1 to ``steps``): 1 at the first, towards 0 at the last.

    >>> [multiplier("linear", step, 4) for step in (1, 2, 3, 4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    done = (step - 1) / steps
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - done
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))


def fresh_model(workload: Workload, stream: Stream, training: Training) -> nn.Module:
    """The model with the initial weights of a stream. The caller's random generators are left as they were."""
    devices = [torch.device(training.device)] if training.device != "cpu" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_of(*stream, "weights"))
        model = workload.model()
    if not isinstance(model, nn.Module):
        raise WorkloadError(
            f"The model function of workload '{workload.name}' must return an nn.Module, but returned "
            f"{type(model).__name__}."
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise WorkloadError(
            f"The model of workload '{workload.name}' has no trainable parameters, so nothing can be raced."
        )
    return model.to(device=training.device, dtype=training.dtype)
