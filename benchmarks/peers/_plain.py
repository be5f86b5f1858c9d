"""What a plain torch loop is made of, for the contestants that have one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import count, taken

CLASSES = {"sgd": "SGD", "momentum": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam"}


def make_optimizer(name: str, parameters: Any, mode: dict[str, bool], **values: float) -> torch.optim.Optimizer:
    """An optimizer of torch's own under gradrace's name, with gradrace's names of hyperparameters."""
    given: dict[str, Any] = {"momentum": 0.9, **values} if name == "momentum" else dict(values)
    if "beta1" in given:
        given["betas"] = (given.pop("beta1"), 0.999)
    return getattr(torch.optim, CLASSES[name])(parameters, **given, **mode)


def batches(work: Workload, model: torch.nn.Module, seed: int = 0) -> Iterator[Batch]:
    """Batches without end. In memory they are views: the split is put in the epoch's order at its beginning."""
    if work.experience is not None:
        experience, step = work.experience(seed), 0
        while True:
            step += 1
            yield experience.batch(model, step)
    data = work.in_memory("train")
    examples = count(data)
    size = min(work.batch_size, examples)
    as_they_stand = work.order == "time" or work.online or size == examples == 1
    generator = torch.Generator().manual_seed(seed)
    while True:
        ordered = data if as_they_stand else taken(data, torch.randperm(examples, generator=generator))
        for start in range(0, examples - size + 1, size):
            yield taken(ordered, slice(start, start + size))
