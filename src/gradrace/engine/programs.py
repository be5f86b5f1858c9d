"""Traced programs of a workload, and where in memory a model's parts lie for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves

from gradrace.engine.trial import Training, fresh_model
from gradrace.workloads import Batch, Workload

MOST_TRACES = 40
"""Programs of one kind that are traced. Where batches come in ever new shapes, tracing would never pay back."""


class Layout:
    """Where each trainable parameter of a model lies in a trial's row."""

    def __init__(self, model: nn.Module) -> None:
        self.shapes = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
        self.sizes = [shape.numel() for shape in self.shapes.values()]

    def tree(self, row: Tensor) -> dict[str, Tensor]:
        """A row [P] as named parameters: views of the same memory."""
        pieces = torch.split(row, self.sizes)
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}

    def row(self, tree: dict[str, Tensor]) -> Tensor:
        """Named parameters, gradients or updates as one row [P]."""
        return torch.cat([tree[name].reshape(-1) for name in self.shapes])


class Within(nn.Module):
    """A model, to do whatever is done with it with other parameters: see ``VectorizedTrials._with``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """``act(model, *arguments)``."""
        return act(self.model, *arguments)


class Programs:
    """The traced programs of one workload in one process: a program serves every block of the shapes in its key."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self._traced: dict[Any, Callable[..., Any]] = {}
        self._kinds: dict[str, int] = {}
        self.untraceable: set[Any] = set()
        self.own: list[str] | None = None

    def run(self, key: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)``, traced at the first call with this key.

        Whatever ``function`` depends on besides its arguments' values must be in the key, shapes above all.
        """
        if key not in self._traced:
            # Attention in its math form: its fused kernels know no trial axis, and would run trial after trial.
            if self._kinds.get(key[0], 0) >= MOST_TRACES:
                with sdpa_kernel(SDPBackend.MATH):
                    return function(*arguments)
            # Tracing runs the function once. The masks that it draws there must not move the generator on.
            devices = [leaf.device for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor) and leaf.is_cuda]
            with torch.random.fork_rng(devices=list(dict.fromkeys(devices))), sdpa_kernel(SDPBackend.MATH):
                # Without numbers: the intermediate tensors of a large program would fill gigabytes.
                traced = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)
                self._traced[key] = traced
            self._kinds[key[0]] = self._kinds.get(key[0], 0) + 1
        return self._traced[key](*arguments)

    def owned(self, model: nn.Module, training: Training, batch: Batch) -> list[str]:
        """Names of buffers and frozen parameters that every trial must have its own of.

        Those that a training step changes, as the averages of a BatchNorm, and those that differ from seed to seed.
        All others are the same for every trial of the workload.
        """
        if self.own is None:
            others = [fresh_model(self.workload, (0, 0, seed), training) for seed in (-1, -2)]
            one, other = (fixed(model) for model in others)
            differ = [name for name in one if not torch.equal(one[name], other[name])]
            before = {name: tensor.clone() for name, tensor in one.items()}
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                others[0].train()
                self.workload.loss_of(others[0], batch)
            after = fixed(others[0])
            changed = [name for name in before if not torch.equal(before[name], after[name])]
            self.own = [name for name in fixed(model) if name in differ or name in changed]
        return self.own


def fixed(model: nn.Module) -> dict[str, Tensor]:
    """What a model has besides trainable parameters."""
    frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(model.named_buffers())}
