"""What the engine must know to train one trial, and what both engines can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from gradrace.errors import WorkloadError
from gradrace.optim import drop_in
from gradrace.optimizers import AnyOptimizer, Optimizer, TorchOptimizer
from gradrace.randomness import Stream, seed_of
from gradrace.workloads import Workload

Schedule = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class Surroundings:
    """What belongs to the race and not to the rule. Each is off at 0.

    Attributes:
        warmup: share of the steps over which the learning rate rises from 0 in a straight line; then the schedule.
        clip_norm: greatest length of the whole gradient; a longer one is scaled down to it.
        decoupled_weight_decay: before each step ``w <- w - lr * decay * w``, for matrices and larger; see
            ``Training.decay_biases`` for the rest.
        ema: ``e <- ema * e + (1 - ema) * w`` after each step, from the first step's weights on; a model is evaluated
            with these averages.
    """

    warmup: float = 0.0
    clip_norm: float = 0.0
    decoupled_weight_decay: float = 0.0
    ema: float = 0.0


@dataclass(frozen=True)
class TrialSetup:
    """One trial: its optimizer, hyperparameters' values, structural options, stream of randomness and surroundings.

    Neighbours with one optimizer and different ``group`` are updated apart all the same.
    """

    optimizer: AnyOptimizer
    hyper: Mapping[str, float]
    options: Mapping[str, bool]
    stream: Stream
    surroundings: Surroundings = Surroundings()
    group: int = 0


@dataclass(frozen=True)
class Training:
    """What all trials of a block have in common. ``steps`` is the length over which the schedule runs its course.

    ``decay_biases`` lets decoupled weight decay act on vectors too: biases and the scales of norms. ``chunk`` trials of
    a vectorized block have their gradients computed at a time, by one program; 0 for all at once. ``apart``: each trial
    has a batch of its own even where all are of one stream, as in a block of several streams.
    """

    steps: int
    batch_size: int
    schedule: Schedule = "constant"
    decay_biases: bool = False
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    chunk: int = 0
    apart: bool = False


@dataclass(frozen=True)
class Score:
    """Metric, loss and further metrics of one trial on one split."""

    metric: float
    loss: float
    others: Mapping[str, float] = field(default_factory=dict)


NO_SCORE = Score(math.nan, math.nan)


@dataclass
class Evaluation:
    """Metric, loss and further metrics of each trial on one split; NaN where the model has diverged."""

    metric: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    others: list[Mapping[str, float]] = field(default_factory=list)

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Evaluation:
        """The scores of all trials."""
        return cls([s.metric for s in scores], [s.loss for s in scores], [s.others for s in scores])


class Trials(Protocol):
    """Trials under way. Rows are counted among those still kept, in the order they were given."""

    def train(self, until: int) -> list[float]:
        """Train every kept trial to step ``until``; return each one's mean training loss over these steps."""
        self.advance(until)
        return self.losses()

    def advance(self, until: int) -> None:
        """Train every kept trial to step ``until``, in the midst of what ``losses`` will tell of.

        However many of these calls lead to a step, they lead to the same bits.
        """
        ...

    def losses(self) -> list[float]:
        """Every kept trial's mean training loss over the steps since this was asked last; sources rest."""
        ...

    def state(self) -> dict[str, Any] | None:
        """All that goes on changing, as plain values and tensors that ``load`` takes; None if it cannot be had.

        Tensors may be those at work: they change with the next step.
        """
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Be where other trials were when they gave this state: same workload, setups and conditions, same rows kept.

        Going on from there leads to the same bits.
        """
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
        """Go on with these rows alone, given in rising order."""
        ...


def rule_of(setup: TrialSetup) -> Optimizer:
    """The update rule of a trial.

    Raises:
        WorkloadError: its optimizer is none, and can only be stepped itself.
    """
    if not isinstance(setup.optimizer, Optimizer):
        raise WorkloadError(f"{setup.optimizer.name} is no update rule, so only the loop engine can train with it.")
    return setup.optimizer


def optimizer_of(setup: TrialSetup, params: Any) -> torch.optim.Optimizer:
    """The optimizer of a trial, as a ``torch.optim.Optimizer``."""
    params = list(params)
    if isinstance(setup.optimizer, TorchOptimizer):
        return setup.optimizer.build(params, setup.hyper)
    made = drop_in(setup.optimizer, **setup.options)
    return made(params, **made.arguments.keywords(setup.hyper, setup.options))


def multiplier(schedule: Schedule, step: int, steps: int, warmup: float = 0.0) -> float:
    """The share of the learning rate in force at ``step`` (1 to ``steps``).

    It rises in a straight line to 1 over the first ``warmup * steps`` steps; the schedule runs over the others, from 1
    towards 0. A trial that goes on after its last step keeps that step's share.

    >>> [multiplier("linear", step, 4) for step in (1, 2, 3, 4)]
    [1.0, 0.75, 0.5, 0.25]
    >>> [multiplier("linear", step, 4, warmup=0.5) for step in (1, 2, 3, 4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    step, rising = min(step, steps), round(warmup * steps)
    if step <= rising:
        return step / rising
    done = (step - 1 - rising) / (steps - rising)
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - done
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))


def clipping(length: Tensor, limit: Tensor | float) -> Tensor:
    """What a gradient of this length is multiplied by, as ``torch.nn.utils.clip_grad_norm_`` does."""
    return (limit / (length + 1e-6)).clamp(max=1.0)


def fresh_model(workload: Workload, stream: Stream, training: Training) -> nn.Module:
    """The model with the initial weights of a stream. The caller's random generators are left as they were."""
    devices = [torch.device(training.device)] if training.device != "cpu" else []
    assert workload.model is not None
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
