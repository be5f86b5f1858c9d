"""Traced programs of a workload, compiled where that is wanted, and where in memory a model's parts lie for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_map, tree_unflatten

from gradrace.engine import native
from gradrace.engine.clock import Clock
from gradrace.engine.native import Program
from gradrace.engine.plain import plain_functions
from gradrace.engine.trial import Training, fresh_model
from gradrace.workloads import Batch, Workload

MOST_PROGRAMS = 40
"""Programs of one kind, traced or compiled. Where batches come in ever new shapes, they would never pay back."""
MOST_OPERATIONS = 600
"""A program that evaluates a model is compiled if it has no more: to compile a greedy decoding takes too long."""
MOST_TRACED = 1000
"""And is traced if it has no more, for the same reason."""
EVALUATED_TRIALS = 8
"""Trials that are evaluated at a time: the least number of trials of a study in any preset."""
COMPILED_KINDS = ("gradients", "judged")

Compiling = Literal["never", "if cached", "always"]


class NotCompiledYet(Exception):
    """A program is not among those that were compiled; ``size`` in statements, which compiling takes time for."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


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
class _Traced:
    """A function of tensors, flat in and flat out; whether it draws random numbers; the form of its result."""

    run: Callable[..., list[Tensor]]
    draws: bool
    form: TreeSpec


class Programs:
    """The programs of one workload in one process, each for all blocks of the shapes in its key.

    A function is written for one trial. Its program is either traced (``vmap`` adds the trial axis, and what comes out
    is a list of plain tensor operations) or compiled (``native``: machine code for one trial after another).

    Args:
        workload: the workload.
        compiling: whether programs are compiled; ``"if cached"`` takes those that were compiled earlier, and raises
            ``NotCompiledYet`` for gradients that were not.
        clock: counts the seconds of tracing and compiling.
    """

    def __init__(self, workload: Workload, compiling: Compiling = "never", clock: Clock | None = None) -> None:
        self.workload, self.compiling, self._clock = workload, compiling, clock or Clock()
        self._traced: dict[Any, _Traced] = {}
        self._drafts: dict[Any, native.Draft] = {}
        self._compiled: dict[Any, Program | None] = {}
        self._kinds: Counter[tuple[str, bool]] = Counter()
        self.untraceable: set[Any] = set()
        self.own: list[str] | None = None
        self.tracing = 0.0
        """Seconds in which the program of a training step was traced last."""
        self._many: set[Any] = set()
        self.obstacle: str | None = None
        """Why a program could not be compiled and runs as it was traced."""

    def run(
        self,
        key: Any,
        function: Callable[..., Any],
        axes: Sequence[int | None],
        *arguments: Any,
        seed: Callable[[], object] = lambda: None,
        few: int = 0,
    ) -> Any:
        """``function(*arguments)`` for every trial, traced or compiled at the first call with this key.

        Args:
            key: its first part is the kind of program. Whatever ``function`` depends on besides its arguments' values,
                shapes and dtypes must be in it.
            function: for one trial.
            axes: of each argument, 0 where its tensors have a first dimension of trials, None where trials share them.
            arguments: trees of tensors.
            seed: sets the generator for a program that draws random numbers; all trials see the same ones.
            few: so many trials are computed at a time, so that one program serves blocks of every size; and traced only
                if it has no more than ``MOST_TRACED`` operations.
        """
        leaves, form = tree_flatten(arguments)
        each = [axis == 0 for axis, argument in zip(axes, arguments, strict=True) for _ in tree_leaves(argument)]
        trials = next(leaf.shape[0] for leaf, own in zip(leaves, each, strict=True) if own)
        one = [leaf[0] if own else leaf for leaf, own in zip(leaves, each, strict=True)]
        program = self.compiled(key, function, one, form)
        if program is not None:
            if program.draws:
                seed()
            drawn = [draw() for draw in program.draws]
            return program.result(program.run([*leaves, *drawn], [*each, *(False for _ in drawn)], trials))
        if not few:
            return self._vectorized(key, function, axes, each, leaves, form, seed)
        # The last few are filled up with copies of the first trial, whose results are dropped.
        parts = []
        for places in torch.arange(trials, device=leaves[0].device).split(few):
            index = torch.cat([places, places.new_zeros(few - len(places))])
            some = [leaf[index] if own else leaf for leaf, own in zip(leaves, each, strict=True)]
            found = self._vectorized(key, function, axes, each, some, form, seed, MOST_TRACED)
            parts.append(tree_map(lambda leaf, places=places: leaf[: len(places)], found))
        return parts[0] if len(parts) == 1 else tree_map(lambda *pieces: torch.cat(pieces), *parts)

    def _vectorized(
        self,
        key: Any,
        function: Callable[..., Any],
        axes: Sequence[int | None],
        each: Sequence[bool],
        leaves: list[Tensor],
        form: TreeSpec,
        seed: Callable[[], object],
        most: int | None = None,
    ) -> Any:
        """``function`` of all trials at once; not traced where it comes to more than ``most`` operations."""
        whole = (key, tuple(each), *((leaf.shape, leaf.dtype) for leaf in leaves))
        program = self._traced.get(whole)
        if program is None:
            many = vmap(function, in_dims=tuple(axes), randomness="same")
            if self._kinds[key[0], False] >= MOST_PROGRAMS or whole in self._many:
                return _as_it_is(many, tree_unflatten(leaves, form), seed)
            if most is not None:
                # Counted by running it. What comes out is used only where the count says that it always will be.
                with Counted() as counted:
                    found = _as_it_is(many, tree_unflatten(leaves, form), seed)
                if counted.operations > most:
                    self._many.add(whole)
                    return found
            began = time.perf_counter()
            program = self._traced[whole] = self._trace(many, leaves, form)
            self._kinds[key[0], False] += 1
            if key[0] == "gradients":
                self.tracing = time.perf_counter() - began
        if program.draws:
            seed()
        return tree_unflatten(program.run(*leaves), program.form)

    def _trace(self, function: Callable[..., Any], leaves: list[Tensor], form: TreeSpec) -> _Traced:
        results: list[TreeSpec] = []

        def flat(*tensors: Tensor) -> list[Tensor]:
            found, result = tree_flatten(function(*tree_unflatten(list(tensors), form)))
            results.append(result)
            return found

        # Tracing runs the function once. The masks that it draws there must not move the generator on.
        devices = [leaf.device for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_cuda]
        forked = torch.random.fork_rng(devices=list(dict.fromkeys(devices)))
        with self._clock.spending("trace"), forked, sdpa_kernel(SDPBackend.MATH), plain_functions():
            # Without numbers: the intermediate tensors of a large program would fill gigabytes.
            graph = make_fx(flat, tracing_mode="fake", _allow_non_fake_inputs=True)(*leaves)
        draws = any(torch.Tag.nondeterministic_seeded in getattr(n.target, "tags", ()) for n in graph.graph.nodes)
        return _Traced(graph, draws, results[0])

    def compiled(
        self, key: Any, function: Callable[..., Any], leaves: Sequence[Tensor], form: TreeSpec
    ) -> Program | None:
        """The compiled program of a function for one trial, or None where there is none.

        Args:
            key: see ``run``.
            function: see ``run``.
            leaves: tensors of the shapes of one trial's arguments.
            form: of the arguments.

        Raises:
            NotCompiledYet: it is not among those that were compiled, and must be.
        """
        if self.compiling == "never" or key[0] not in COMPILED_KINDS or any(leaf.is_cuda for leaf in leaves):
            return None
        whole = (key, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if whole in self._compiled:
            return self._compiled[whole]
        if self._kinds[key[0], True] >= MOST_PROGRAMS:
            return None
        trained, found = key[0] == "gradients", None
        try:
            made = self._draft(whole, function, leaves, form, None if trained else MOST_OPERATIONS)
            found = native.known(made)
            if found is None and self.compiling == "if cached":
                if trained:
                    raise NotCompiledYet(made.size)
                return None  # for now
            if found is None:
                with self._clock.spending("compile"):
                    found = native.compiled(made)
        except (native.Unsupported, RuntimeError) as error:
            if trained:
                self.obstacle = native.reason(error)
        self._kinds[key[0], True] += 1
        self._compiled[whole] = found
        return found

    def _draft(
        self, whole: Any, function: Callable[..., Any], leaves: Sequence[Tensor], form: TreeSpec, most: int | None
    ) -> native.Draft:
        if whole not in self._drafts:
            with self._clock.spending("trace"):
                self._drafts[whole] = native.draft(function, leaves, form, most)
        return self._drafts[whole]

    def score(self, function: Callable[..., Tensor], output: Any, target: Any) -> Tensor:
        """A score of every trial; one by one where the function cannot be traced (it looks at values)."""
        key = ("score", function)
        if key not in self.untraceable:
            try:
                return self.run(key, function, (0, None), output, target, few=EVALUATED_TRIALS)
            except RuntimeError:
                self.untraceable.add(key)
        rows = (tree_map(lambda leaf, n=n: leaf[n], output) for n in range(len(tree_leaves(output)[0])))
        return torch.tensor([float(function(row, target)) for row in rows], dtype=torch.float64)

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


class Counted(TorchDispatchMode):
    """Counts the operations that are run."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def _as_it_is(many: Callable[..., Any], arguments: Any, seed: Callable[[], object]) -> Any:
    """A function of all trials, run without a program."""
    seed()
    # Attention in its math form: its fused kernels know no trial axis, and would run trial after trial.
    with sdpa_kernel(SDPBackend.MATH), plain_functions():
        return many(*arguments)


def fixed(model: nn.Module) -> dict[str, Tensor]:
    """What a model has besides trainable parameters."""
    frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(model.named_buffers())}
