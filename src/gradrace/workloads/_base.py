"""What a workload is: model, data, loss, metric and a default length. A user's own is the same as a built-in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset, default_collate

from gradrace._discovery import users_lines
from gradrace.errors import SpecError, WorkloadError, refuse, unknown_name
from gradrace.randomness import seed_of
from gradrace.workloads._metrics import METRICS, Direction, Metric

Batch = tuple[Tensor, ...]
"""Inputs of the model, then the target; the first axis of each counts examples."""

Data = Tensor | Sequence[Tensor] | Dataset[Any]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Workload:
    """A task to race on.

    Args:
        name: what it is called in races and reports.
        model: a function without arguments that returns a *fresh* ``nn.Module``, initialised from torch's generator.
        loss: ``loss(output, target)``, a tensor of shape ().
        metric: a name (``accuracy``, ``mse``, ``mae``, ``log_loss``) or a function ``metric(output, target)`` of a
            whole split, which needs ``direction``.
        train, validation, test: a tuple of tensors (inputs, then target), a ``TensorDataset`` or a map-style
            ``Dataset``. ``validation`` and ``test`` may be a fraction in (0, 1): that share is split off ``train``.
        data: instead of the three, a function that returns them; called once, when a race starts.
        direction: ``"max"`` or ``"min"``; taken from the metric when it is named.
        batch_size: examples in a batch. steps: steps of a full trial.
        target: a value of the metric worth reaching; steps-to-target counts towards it.
        title, stands_for, source: what a person should know.
        minimum: the least value that the training loss can take, where it is known.

    Raises:
        SpecError: a value that is not allowed. Data are checked when they are first used (``WorkloadError``).
    """

    name: str
    model: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    metric: str | Callable[[Tensor, Tensor], Tensor]
    train: Data | None = None
    validation: Data | float | None = None
    test: Data | float | None = None
    data: Callable[[], tuple[Data, Data | float, Data | float]] | None = None
    direction: Direction | None = None
    batch_size: int = 64
    steps: int = 500
    target: float | None = None
    title: str = ""
    stands_for: str = ""
    source: str = ""
    minimum: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        name = f"Workload '{self.name}'"
        if (self.train is None) == (self.data is None):
            refuse(SpecError(f"{name} needs either train= or data=, and exactly one of them."))
        if self.train is not None and (self.validation is None or self.test is None):
            refuse(
                SpecError(
                    f"{name} needs validation= and test= beside train=. "
                    "Each is data, or a fraction such as 0.2 to split off from train."
                )
            )
        for what, value in (("batch_size", self.batch_size), ("steps", self.steps)):
            if not isinstance(value, int) or value < 1:
                refuse(SpecError(f"{name} has {what} {value!r}; it must be a whole number, at least 1."))
        if isinstance(self.metric, str) and self.metric not in METRICS:
            refuse(unknown_name("metric", self.metric, METRICS))
        if isinstance(self.metric, str) and self.direction not in ("min", "max", None):
            refuse(SpecError(f"{name} has direction {self.direction!r}; it must be 'min' or 'max'."))
        if not isinstance(self.metric, str) and self.direction not in ("min", "max"):
            refuse(
                SpecError(
                    f"{name} has a metric function, so direction= must be 'min' or 'max', but is {self.direction!r}."
                )
            )

    @cached_property
    def scored_by(self) -> Metric:
        """The metric with its direction."""
        if isinstance(self.metric, str):
            known = METRICS[self.metric]
            return known if self.direction is None else Metric(known.name, known.of, self.direction, known.worst)
        assert self.direction is not None
        return Metric(getattr(self.metric, "__name__", "metric"), self.metric, self.direction)

    @cached_property
    def splits(self) -> dict[str, Batch]:
        """The data of each split as a tuple of tensors, targets last.

        Raises:
            WorkloadError: a split is empty, is not a tuple of tensors of one length, or could not be loaded.
        """
        given = self._load() if self.data is not None else (self.train, self.validation, self.test)
        train = self._tensors("train", given[0])
        shares = [float(part) for part in given[1:] if isinstance(part, int | float)]
        if any(not 0 < share < 1 for share in shares) or sum(shares) >= 1:
            raise WorkloadError(
                f"Workload '{self.name}' splits {shares} off its training data; each fraction must lie between 0 and "
                "1, and together they must leave something to train on."
            )
        rest, parts = _split_off(train, shares)
        splits = {"train": rest}
        for name, part in zip(SPLITS[1:], given[1:], strict=True):
            splits[name] = parts.pop(0) if isinstance(part, int | float) else self._tensors(name, part)
        for name, tensors in splits.items():
            if len(tensors[0]) == 0:
                raise WorkloadError(
                    f"Workload '{self.name}' has no examples in its {name} split; it needs at least one."
                )
        return splits

    def _load(self) -> tuple[Any, Any, Any]:
        assert self.data is not None
        try:
            train, validation, test = self.data()
        except Exception as error:
            raise WorkloadError(
                f"Workload '{self.name}' could not load its data (train, validation, test):\n{users_lines(error)}"
            ) from error
        return train, validation, test

    def _tensors(self, name: str, data: Any) -> Batch:
        if isinstance(data, TensorDataset):
            data = data.tensors
        elif isinstance(data, Dataset) and hasattr(data, "__len__"):
            data = self._collated(name, data)
        tensors = (data,) if isinstance(data, Tensor) else tuple(data) if isinstance(data, list | tuple) else ()
        if len(tensors) < 2 or not all(isinstance(tensor, Tensor) and tensor.dim() for tensor in tensors):
            raise WorkloadError(
                f"The {name} split of workload '{self.name}' must be a tuple of tensors (inputs, then target) or a "
                f"Dataset of such tuples, but is {type(data).__name__}."
            )
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) > 1:
            raise WorkloadError(
                f"The tensors of the {name} split of workload '{self.name}' have {lengths} examples; they must agree."
            )
        return tensors

    def _collated(self, name: str, data: Any) -> Any:
        """The examples of a map-style Dataset as tensors."""
        try:
            items = [data[index] for index in range(len(data))]
            return default_collate(items) if items else [torch.empty(0), torch.empty(0)]
        except Exception as error:
            raise WorkloadError(
                f"The {name} split of workload '{self.name}' raised while its examples were read:\n{users_lines(error)}"
            ) from error

    def output(self, call: Callable[..., Any], batch: Batch) -> Any:
        """What the model gives for a batch. ``call`` is the module, or a function of the inputs that stands for it."""
        return call(*batch[:-1])

    def loss_of(self, call: Callable[..., Any], batch: Batch) -> Tensor:
        """The loss of a batch, shape ()."""
        return self.loss(self.output(call, batch), batch[-1])


def _split_off(train: Batch, shares: list[float]) -> tuple[Batch, list[Batch]]:
    """Shuffle once, by a fixed seed, and cut the shares from the end."""
    if not shares:
        return train, []
    count = len(train[0])
    generator = torch.Generator().manual_seed(seed_of("split"))
    order = torch.randperm(count, generator=generator)
    sizes = [round(share * count) for share in shares]
    cuts = torch.split(order, [count - sum(sizes), *sizes])
    rest, *parts = [tuple(tensor[cut] for tensor in train) for cut in cuts]
    return rest, parts
