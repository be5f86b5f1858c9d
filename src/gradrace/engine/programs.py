"""Traced programs of a workload, compiled where that is wanted, and where in memory a model's parts lie for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from gradrace.engine import compiled
from gradrace.engine.clock import Clock
from gradrace.engine.trial import Training, fresh_model
from gradrace.workloads import Batch, Workload

MOST_TRACES = 40
"""Programs of one kind that are traced. Where batches come in ever new shapes, tracing would never pay back."""
COMPILED_KINDS = ("gradients",)

Compiling = Literal["never", "if cached", "always"]


class NotCompiledYet(Exception):
    """A program is not among those that were compiled; ``nodes`` is its size, which compiling takes time for."""

    def __init__(self, nodes: int) -> None:
        super().__init__(nodes)
        self.nodes = nodes


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


@dataclass(frozen=True)
class _Program:
    """A function of tensors, flat in and flat out; whether it draws random numbers; the form of its result."""

    run: compiled.Flat
    draws: bool
    form: TreeSpec


class Programs:
    """The traced programs of one workload in one process: a program serves every block of the shapes in its key.

    Args:
        workload: the workload.
        compiling: whether programs that compute gradients are compiled; ``"if cached"`` takes those that were compiled
            earlier, and raises ``NotCompiledYet`` for others.
        clock: counts the seconds of tracing and compiling.
    """

    def __init__(self, workload: Workload, compiling: Compiling = "never", clock: Clock | None = None) -> None:
        self.workload, self.compiling, self._clock = workload, compiling, clock or Clock()
        self._known: dict[Any, _Program] = {}
        self._kinds: dict[str, int] = {}
        self.untraceable: set[Any] = set()
        self.own: list[str] | None = None
        self.obstacle: str | None = None
        """Why a program could not be compiled and runs as it was traced."""

    def run(
        self, key: Any, function: Callable[..., Any], *arguments: Any, seed: Callable[[], object] = lambda: None
    ) -> Any:
        """``function(*arguments)``, traced at the first call with this key.

        Whatever ``function`` depends on besides its arguments' values must be in the key, shapes above all. ``seed()``
        sets the generator for a program that draws random numbers.
        """
        program = self._known.get(key)
        if program is None:
            if self._kinds.get(key[0], 0) >= MOST_TRACES:
                seed()
                # Attention in its math form: its fused kernels know no trial axis, and would run trial after trial.
                with sdpa_kernel(SDPBackend.MATH):
                    return function(*arguments)
            program = self._known[key] = self._made(key, function, arguments)
            self._kinds[key[0]] = self._kinds.get(key[0], 0) + 1
        if program.draws:
            seed()
        return tree_unflatten(program.run(tree_leaves(arguments)), program.form)

    def _made(self, key: Any, function: Callable[..., Any], arguments: Any) -> _Program:
        leaves, form = tree_flatten(arguments)
        results: list[TreeSpec] = []

        def flat(*tensors: Tensor) -> list[Tensor]:
            found, result = tree_flatten(function(*tree_unflatten(list(tensors), form)))
            results.append(result)
            return found

        # Tracing runs the function once. The masks that it draws there must not move the generator on.
        devices = [leaf.device for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_cuda]
        forked = torch.random.fork_rng(devices=list(dict.fromkeys(devices)))
        with self._clock.spending("trace"), forked, sdpa_kernel(SDPBackend.MATH):
            # Without numbers: the intermediate tensors of a large program would fill gigabytes.
            graph = make_fx(flat, tracing_mode="fake", _allow_non_fake_inputs=True)(*leaves)
        draws = any(torch.Tag.nondeterministic_seeded in getattr(n.target, "tags", ()) for n in graph.graph.nodes)
        run = None
        if self.compiling != "never" and key[0] in COMPILED_KINDS and not any(leaf.is_cuda for leaf in leaves):
            run = self._compiled(graph, leaves)
        return _Program(run or (lambda tensors: graph(*tensors)), draws, results[0])

    def _compiled(self, graph: fx.GraphModule, leaves: list[Tensor]) -> compiled.Flat | None:
        path = compiled.path_of(graph, leaves)
        if path is None:
            self.obstacle = "no C compiler works on this machine"
            return None
        known = compiled.loaded(path)
        if known is None and self.compiling == "if cached":
            raise NotCompiledYet(len(graph.graph.nodes))
        if known is None:
            try:
                with self._clock.spending("compile"):
                    known = compiled.compiled(graph, [leaf.contiguous() for leaf in leaves], path)
            except RuntimeError as error:
                self.obstacle = str(error)
                return None
        run = known
        return lambda tensors: run([tensor.contiguous() for tensor in tensors])

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
