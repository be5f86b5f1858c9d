"""The fast engine: all trials of a block in one batch of small matrix products, one row of memory for each trial.

Rules, losses and metrics are written for one trial; ``torch.func.vmap`` adds the trial axis. What comes out is traced
once for each number of trials (``make_fx``) and then run as a list of plain tensor operations, because ``vmap``'s own
bookkeeping would otherwise cost as much as small models do. See docs/decisions/0003-traced-blocks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_map

from gradrace.engine.around import Around
from gradrace.engine.batches import Batches, on_device
from gradrace.engine.trial import Evaluation, Training, TrialSetup, fresh_model, rule_of
from gradrace.randomness import seed_of
from gradrace.workloads import Batch, Workload

EVALUATION_CHUNK = 1024
"""Examples that are evaluated at a time."""


class Layout:
    """Where each parameter of a model lies in a trial's row."""

    def __init__(self, model: nn.Module) -> None:
        self.shapes = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
        self.frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        self.sizes = [shape.numel() for shape in self.shapes.values()]

    def tree(self, row: Tensor) -> dict[str, Tensor]:
        """A row [P] as named parameters: views of the same memory."""
        pieces = torch.split(row, self.sizes)
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}

    def row(self, tree: dict[str, Tensor]) -> Tensor:
        """Named parameters, gradients or updates as one row [P]."""
        return torch.cat([tree[name].reshape(-1) for name in self.shapes])


class Programs:
    """The traced programs of one workload in one process: a program serves every block of the shapes in its key."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self._traced: dict[Any, Callable[..., Any]] = {}
        self.untraceable: set[Any] = set()

    def run(self, key: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)``, traced at the first call with this key.

        Whatever ``function`` depends on besides its arguments' values must be in the key, shapes above all.
        """
        if key not in self._traced:
            # Tracing runs the function once. The masks that it draws there must not move the generator on.
            with torch.random.fork_rng(devices=[arguments[0].device] if arguments[0].is_cuda else []):
                self._traced[key] = make_fx(function)(*arguments)
        return self._traced[key](*arguments)


class _Group:
    """Neighbouring rows of a block that one optimizer updates, with their state."""

    def __init__(self, setups: Sequence[TrialSetup], start: int, layout: Layout) -> None:
        self.optimizer, self.options, self.layout = rule_of(setups[0]), dict(setups[0].options), layout
        self.setups, self.start, self.state = list(setups), start, None

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self.setups))

    def tree(self, row: Tensor) -> dict[str, Tensor]:
        """Elementwise rules see all parameters as one vector: a handful of operations whatever the model."""
        return {"": row} if self.optimizer.elementwise else self.layout.tree(row)

    def row(self, tree: dict[str, Tensor]) -> Tensor:
        return tree[""] if self.optimizer.elementwise else self.layout.row(tree)

    def initial_state(self, params: Tensor) -> Any:
        """The state of all rows, [trials, ...] each. ``vmap`` may expand one tensor over all rows: copied out."""
        state = vmap(lambda row: self.optimizer.rule.init(self.tree(row), self.options))(params)
        return tree_map(lambda tensor: tensor.clone(memory_format=torch.contiguous_format), state)

    def hyper(self, device: str) -> Any:
        """Hyperparameters, [trials] each, None where absent in all."""
        return self.optimizer.hyper_tensors([dict(setup.hyper) for setup in self.setups], device)

    def updates(
        self, programs: Programs, params: Tensor, grads: Tensor, hyper: Any, step: Tensor, factor: Tensor
    ) -> Tensor:
        """What the rule adds to these rows' parameters [trials, P]; moves the state on."""
        names, values = _present(hyper)

        def one(row: Tensor, grad: Tensor, state: Any, values: list[Tensor], step: Tensor, factor: Tensor) -> Any:
            full = _full(hyper, names, values)
            full = full._replace(lr=full.lr * factor)
            updates, state = self.optimizer.rule.update(
                self.tree(grad), state, self.tree(row), full, step, self.options
            )
            return self.row(updates), state

        key = ("update", self.optimizer, tuple(self.options.items()), tuple(names), params.shape, params.dtype)
        function = vmap(one, in_dims=(0, 0, 0, 0, None, 0))
        updates, self.state = programs.run(key, function, params, grads, self.state, values, step, factor)
        return updates

    def evaluated(self, params: Tensor, device: str) -> Tensor:
        """The parameters [trials, P] that these rows are evaluated with; those that are trained stay as they are."""
        evaluated = self.optimizer.evaluated
        if evaluated is None:
            return params
        hyper = self.hyper(device)
        names, values = _present(hyper)

        def one(row: Tensor, state: Any, values: list[Tensor]) -> Tensor:
            return self.row(evaluated(self.tree(row), state, _full(hyper, names, values), self.options))

        return vmap(one)(params, self.state, values)


def _present(hyper: Any) -> tuple[list[str], list[Tensor]]:
    """Names and values of the hyperparameters that are not absent: ``vmap`` takes no None."""
    names = [name for name, value in zip(hyper._fields, hyper, strict=True) if value is not None]
    return names, [getattr(hyper, name) for name in names]


def _full(hyper: Any, names: list[str], values: list[Tensor]) -> Any:
    """A record like ``hyper`` with these values, and None for the absent."""
    return type(hyper)(**{**dict.fromkeys(hyper._fields), **dict(zip(names, values, strict=True))})


class VectorizedTrials:
    """Trials of a block, trained together in ``[trials, P]`` memory."""

    def __init__(
        self, workload: Workload, setups: Sequence[TrialSetup], training: Training, programs: Programs
    ) -> None:
        self.workload, self.training, self._programs = workload, training, programs
        self._data = {name: on_device(data, training) for name, data in workload.splits.items()}
        models = {setup.stream: fresh_model(workload, setup.stream, training) for setup in setups}
        self._model = models[setups[0].stream]
        self._layout = Layout(self._model)
        rows = {stream: self._layout.row(dict(model.named_parameters())).detach() for stream, model in models.items()}
        self._flat = torch.stack([rows[setup.stream] for setup in setups])
        self._batches = {stream: Batches(workload, stream, training) for stream in models}
        self._diverged_at = torch.zeros(len(setups), dtype=torch.int64, device=training.device)
        self._step = 0
        self._around = Around(setups, self._layout, training)
        self._groups = _grouped(setups, self._layout)
        for group in self._groups:
            group.state = group.initial_state(self._flat[group.rows])

    @property
    def _setups(self) -> list[TrialSetup]:
        return [setup for group in self._groups for setup in group.setups]

    def train(self, until: int) -> list[float]:
        """See ``Trials``."""
        first, setups = self._step, self._setups
        hypers, around = [group.hyper(self.training.device) for group in self._groups], self._around
        rates = torch.cat([hyper.lr for hyper in hypers])
        total = torch.zeros(len(setups), dtype=torch.float64, device=self.training.device)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for step in range(first + 1, until + 1):
                losses, grads = self._gradients(setups, step)
                diverging = (self._diverged_at == 0) & ~torch.isfinite(losses)
                self._diverged_at = torch.where(diverging, step, self._diverged_at)
                total += losses
                clock = torch.tensor(float(step), dtype=torch.float64, device=self.training.device)
                factors = around.factors(step)
                grads = around.clipped(grads)
                around.decay(self._flat, rates * factors)
                for group, hyper in zip(self._groups, hypers, strict=True):
                    params, rows = self._flat[group.rows], group.rows
                    params += group.updates(self._programs, params, grads[rows], hyper, clock, factors[rows])
                around.average(self._flat)
                self._step = step
        return (total / max(1, until - first)).tolist()

    def _batch(self, setups: list[TrialSetup], step: int) -> tuple[Batch, int | None]:
        """The batch of a step and its trial axis: None where all trials share it."""
        indices = {stream: batches.indices(step) for stream, batches in self._batches.items()}
        if len(indices) == 1:
            (rows,) = indices.values()
            return tuple(tensor[rows] for tensor in self._data["train"]), None
        rows = torch.stack([indices[setup.stream] for setup in setups])
        return tuple(tensor[rows] for tensor in self._data["train"]), 0

    def _call(self, tree: dict[str, Tensor]) -> Callable[..., Any]:
        """The model as a function of its inputs, with these parameters."""
        return lambda *inputs: functional_call(self._model, tree, inputs)

    def _gradients(self, setups: list[TrialSetup], step: int) -> tuple[Tensor, Tensor]:
        """Loss [trials] and gradient [trials, P] of every trial."""

        def one(row: Tensor, *batch: Tensor) -> tuple[Tensor, Tensor]:
            def loss_of(tree: dict[str, Tensor]) -> Tensor:
                return self.workload.loss_of(self._call(tree), batch)

            grads, loss = grad_and_value(loss_of)(self._layout.tree(row))
            return loss, self._layout.row(grads)

        batch, axis = self._batch(setups, step)
        self._model.train()
        torch.manual_seed(seed_of(*setups[0].stream, "masks", step))
        function = vmap(one, in_dims=(0, *(axis for _ in batch)), randomness="same")
        key = ("gradients", self._flat.shape, self._flat.dtype, axis, *(tensor.shape for tensor in batch))
        return self._programs.run(key, function, self._flat, *batch)

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """See ``Trials``."""
        data = self._data[split]
        self._model.eval()
        flat = self._flat
        if any(group.optimizer.evaluated for group in self._groups):
            flat = torch.cat([group.evaluated(flat[group.rows], self.training.device) for group in self._groups])
        flat = self._around.averaged(flat)
        outputs = [
            self._predict(flat, tuple(tensor[start : start + EVALUATION_CHUNK] for tensor in data))
            for start in range(0, len(data[0]), EVALUATION_CHUNK)
        ]
        output = torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]
        metric = self._score("metric", self.workload.scored_by.of, output, data[-1])
        return Evaluation(metric, self._score("loss", self.workload.loss, output, data[-1]))

    def _predict(self, flat: Tensor, batch: Batch) -> Tensor:
        """Outputs of every trial for one batch, [trials, n, ...], with parameters ``flat`` [trials, P]."""

        def one(row: Tensor, *batch: Tensor) -> Tensor:
            return self.workload.output(self._call(self._layout.tree(row)), batch)

        key = ("outputs", flat.shape, flat.dtype, *(tensor.shape for tensor in batch))
        return self._programs.run(key, vmap(one, in_dims=(0, *(None for _ in batch))), flat, *batch)

    def _score(self, what: str, function: Callable[..., Tensor], output: Tensor, target: Tensor) -> list[float]:
        """A score of every trial; one by one where the function cannot be traced (it looks at values)."""
        key = (what, output.shape, output.dtype, target.shape)
        if key not in self._programs.untraceable:
            try:
                return self._programs.run(key, vmap(function, in_dims=(0, None)), output, target).tolist()
            except RuntimeError:
                self._programs.untraceable.add(key)
        return [float(function(row, target)) for row in output]

    def diverged_at(self) -> list[int | None]:
        """See ``Trials``."""
        return [step or None for step in self._diverged_at.tolist()]

    def failures(self) -> list[str | None]:
        """See ``Trials``: an error in a vectorized block is an error of the whole block, and is raised."""
        return [None] * len(self._diverged_at)

    def keep(self, rows: Sequence[int]) -> None:
        """See ``Trials``: one copy of the memory of the rows kept."""
        index = torch.tensor(list(rows), dtype=torch.int64, device=self.training.device)
        kept: list[_Group] = []
        for old in self._groups:
            members = [row - old.start for row in rows if old.start <= row < old.rows.stop]
            if members:
                start = kept[-1].rows.stop if kept else 0
                group = _Group([old.setups[member] for member in members], start, self._layout)
                group.state = tree_map(lambda tensor, members=members: tensor[members], old.state)
                kept.append(group)
        self._flat, self._diverged_at, self._groups = self._flat[index], self._diverged_at[index], kept
        self._around.keep(self._setups, index)
        streams = {setup.stream for setup in self._setups}
        self._batches = {stream: batches for stream, batches in self._batches.items() if stream in streams}


def _grouped(setups: Sequence[TrialSetup], layout: Layout) -> list[_Group]:
    """Runs of neighbours with the same optimizer and options."""
    groups: list[_Group] = []
    for start, setup in enumerate(setups):
        last = groups[-1].setups[-1] if groups else None
        if last is not None and last.optimizer is setup.optimizer and last.options == setup.options:
            groups[-1].setups.append(setup)
        else:
            groups.append(_Group([setup], start, layout))
    return groups


class Vectorized:
    """The engine that starts such trials and keeps their programs."""

    name = "vectorized"

    def __init__(self, workload: Workload) -> None:
        self.workload, self._programs = workload, Programs(workload)

    def start(self, setups: Sequence[TrialSetup], training: Training) -> VectorizedTrials:
        """Trials at step 0. Rows of one optimizer should be neighbours; each run of neighbours is one update."""
        return VectorizedTrials(self.workload, setups, training, self._programs)
