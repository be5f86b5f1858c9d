"""What a workload must be before a race trains on it: each fault a sentence that names the workload."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from gradrace.engine.batches import Feed
from gradrace.engine.sources import source
from gradrace.engine.trial import Training
from gradrace.errors import SpecError, WorkloadError
from gradrace.randomness import Stream
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import target_of

OF_CLASSES = ("accuracy", "top5_accuracy", "log_loss")


def check_length(workload: Workload, steps: int, batch_size: int) -> None:
    """Raise unless one pass over the stream of an online workload is long enough."""
    examples = workload.sizes().get("train")
    if workload.online and examples is not None and steps * batch_size > examples:
        raise SpecError(
            f"Workload '{workload.name}' is online, one pass over {examples} events: {examples // batch_size} steps of "
            f"{batch_size}. The race asks for {steps} steps."
        )


def check_factory(workload: Workload) -> None:
    """Raise if two calls of the model's function give models with a parameter in common."""
    assert workload.model is not None
    with torch.random.fork_rng(devices=[]):
        one, other = workload.model(), workload.model()
    if isinstance(one, nn.Module) and isinstance(other, nn.Module):
        known = {id(parameter) for parameter in one.parameters() if parameter.requires_grad}
        if one is other or any(id(parameter) in known for parameter in other.parameters()):
            raise WorkloadError(
                f"The model function of workload '{workload.name}' gives the same model, or the same parameters, at "
                "every call; it must build a fresh one, or trials would train each other's weights."
            )


def check_first_batch(workload: Workload, model: nn.Module, stream: Stream, training: Training) -> bool:
    """Raise unless the loss of a batch is a scalar; tell whether computing it draws random numbers."""
    feed = Feed(workload, training)
    with torch.random.fork_rng(devices=[]):
        batch = source(feed, stream).batch(model, 1)
        model.train()
        _check_classes(workload, feed, model, batch)
        before = torch.random.get_rng_state()
        loss = workload.loss_of(model, batch)
        stochastic = not torch.equal(before, torch.random.get_rng_state())
    if not isinstance(loss, Tensor) or loss.shape != ():
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise WorkloadError(f"The loss of workload '{workload.name}' must be a tensor of shape (), but is {shape}.")
    return stochastic


def _check_classes(workload: Workload, feed: Feed, model: nn.Module, batch: Batch) -> None:
    """Raise if a class of the data is none of those that the model tells apart."""
    classifies = workload.metric in OF_CLASSES or workload.loss is functional.cross_entropy
    if not (classifies or isinstance(workload.loss, nn.CrossEntropyLoss | nn.NLLLoss)) or workload.loss is None:
        return
    with torch.no_grad():
        output: Any = workload.output(model, batch)
    target = target_of(batch)
    if not isinstance(output, Tensor) or target is None or target.is_floating_point() or output.dim() <= target.dim():
        return
    classes, ignored = output.shape[1], getattr(workload.loss, "ignore_index", -100)
    for name, split in feed.splits.items():
        known = None if isinstance(split, Dataset) else target_of(split)
        if known is None:
            continue
        counted = known[known != ignored]
        if len(counted) and (counted.min() < 0 or counted.max() >= classes):
            raise WorkloadError(
                f"The {name} split of workload '{workload.name}' has targets from {int(counted.min())} to "
                f"{int(counted.max())}, but the model tells {classes} classes apart, 0 to {classes - 1}."
            )
