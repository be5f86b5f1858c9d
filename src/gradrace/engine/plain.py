"""Functions of PyTorch in plain operations, for tracing: their own ones do what a trace does not see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` in plain operations: its own one changes averages behind a trace's back."""
    mean, var, shape = running_mean, running_var, [1, -1, *[1] * (x.dim() - 2)]
    if training or mean is None or var is None:
        count = x.numel() // x.shape[1]
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        var, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
        if running_mean is not None and running_var is not None:
            running_mean.mul_(1 - momentum).add_(mean.detach(), alpha=momentum)
            running_var.mul_(1 - momentum).add_(var.detach(), alpha=momentum * count / (count - 1))
    result = (x - mean.view(shape)) * (var.view(shape) + eps).rsqrt()
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """``torch.nn.functional.dropout``, its mask drawn in the order in which the tensor lies in memory.

    PyTorch does so, but a trace forgets that order, and would draw other masks for a tensor that was transposed.
    """
    if not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0) if inplace else input * 0
    order = sorted(range(input.dim()), key=lambda dim: -input.stride(dim))
    drawn = input.new_empty([input.shape[dim] for dim in order]).bernoulli_(1 - p)
    mask = drawn.permute([order.index(dim) for dim in range(input.dim())])
    return input.mul_(mask / (1 - p)) if inplace else input * (mask / (1 - p))


_PLAIN = {"batch_norm": _batch_norm, "dropout": _dropout}


@contextmanager
def plain_functions() -> Iterator[None]:
    """Have these in the places of PyTorch's own for a while, in this process."""
    original = {name: getattr(functional, name) for name in _PLAIN}
    for name, function in _PLAIN.items():
        setattr(functional, name, function)
    try:
        yield
    finally:
        for name, function in original.items():
            setattr(functional, name, function)
