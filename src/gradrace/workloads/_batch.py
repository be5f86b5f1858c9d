"""Batches: a tuple of tensors (inputs, then target) or a dict of them (inputs by keyword, and ``target``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Batch = tuple[Tensor, ...] | dict[str, Tensor]
"""The first axis of every tensor counts examples."""

TARGET = "target"
"""The key of a dict that holds what the model is to give; all others are keyword arguments of the model."""


def mapped(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """The batch with a function applied to each of its tensors."""
    if isinstance(batch, dict):
        return {name: function(tensor) for name, tensor in batch.items()}
    return tuple(function(tensor) for tensor in batch)


def taken(batch: Batch, rows: Tensor | slice) -> Batch:
    """These examples of a batch."""
    return mapped(lambda tensor: tensor[rows], batch)


def tensors_of(batch: Batch) -> list[Tensor]:
    """The tensors of a batch."""
    return list(batch.values()) if isinstance(batch, dict) else list(batch)


def count(batch: Batch) -> int:
    """How many examples a batch has."""
    return len(tensors_of(batch)[0])


def shapes(batch: Batch) -> tuple[Any, ...]:
    """What tells batches apart that one traced program cannot serve: names, shapes and types."""
    names = tuple(batch) if isinstance(batch, dict) else ()
    return (names, *((tensor.shape, tensor.dtype) for tensor in tensors_of(batch)))


def target_of(batch: Batch) -> Any:
    """The last tensor of a tuple, or ``target`` of a dict; None where there is none."""
    if isinstance(batch, dict):
        return batch.get(TARGET)
    return batch[-1] if len(batch) > 1 else None


def inputs_of(batch: Batch) -> tuple[Sequence[Tensor], Mapping[str, Tensor]]:
    """Positional and keyword arguments of the model."""
    if isinstance(batch, dict):
        return (), {name: tensor for name, tensor in batch.items() if name != TARGET}
    return (batch[:-1] if len(batch) > 1 else batch), {}


def on_device(batch: Batch, device: str, dtype: torch.dtype) -> Batch:
    """A batch on a device, its floating-point tensors in a dtype."""
    return mapped(lambda tensor: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype), batch)
