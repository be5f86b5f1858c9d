"""The fast engine: all trials of a block in one batch of small matrix products, one row of memory for each trial.

Rules, losses and metrics are written for one trial; ``torch.func.vmap`` adds the trial axis. What comes out is traced
once for each number of trials (``make_fx``) and then run as a list of plain tensor operations, because ``vmap``'s own
bookkeeping would otherwise cost as much as small models do. See docs/decisions/0003-traced-blocks.md.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vjp, vmap
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import Dataset

from gradrace.engine.around import Around
from gradrace.engine.batches import Batches, Feed
from gradrace.engine.programs import Layout, Programs, Within, fixed
from gradrace.engine.scores import Scores, as_evaluation
from gradrace.engine.trial import Evaluation, Training, TrialSetup, fresh_model, rule_of
from gradrace.randomness import seed_of
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import shapes, taken

EVALUATED_TRIALS = 8
"""Trials that are evaluated at a time: the least number of trials of a study in any preset."""


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
        self._feed = Feed(workload, training)
        models = {setup.stream: fresh_model(workload, setup.stream, training) for setup in setups}
        self._model = models[setups[0].stream]
        self._within = Within(self._model)
        self._layout = Layout(self._model)
        rows = {stream: self._layout.row(dict(model.named_parameters())).detach() for stream, model in models.items()}
        self._flat = torch.stack([rows[setup.stream] for setup in setups])
        self._batches = {stream: self._feed.batches(stream) for stream in models}
        self._own = self._owned(models, setups)
        self._diverged_at = torch.zeros(len(setups), dtype=torch.int64, device=training.device)
        self._step = 0
        self._seen, self._testing = self._scores(), False
        self._around = Around(setups, self._layout, training)
        self._groups = _grouped(setups, self._layout)
        for group in self._groups:
            group.state = group.initial_state(self._flat[group.rows])

    @property
    def _setups(self) -> list[TrialSetup]:
        return [setup for group in self._groups for setup in group.setups]

    def _owned(self, models: dict[Any, nn.Module], setups: Sequence[TrialSetup]) -> dict[str, Tensor]:
        """Buffers and frozen parameters that each trial has its own of, [trials, ...]."""
        if not fixed(self._model):
            return {}
        with torch.random.fork_rng(devices=[]):
            batches = self._batches[setups[0].stream]
            names = self._programs.owned(self._model, self.training, batches.batch(1))
            batches.rest()
        known = {stream: fixed(model) for stream, model in models.items()}
        return {name: torch.stack([known[setup.stream][name] for setup in setups]) for name in names}

    def train(self, until: int) -> list[float]:
        """See ``Trials``."""
        first = self._step
        with torch.random.fork_rng(devices=[]):
            total = self._advance(until - first, lambda step: self._batch(self._batches, step))
        for batches in self._batches.values():
            batches.rest()
        return (total / max(1, until - first)).tolist()

    @torch.no_grad()
    def _advance(self, steps: int, batch_of: Callable[[int], tuple[Batch, int | None]]) -> Tensor:
        """So many steps more, on the batches of ``batch_of(step)``; the sum of the losses of each trial."""
        setups, around = self._setups, self._around
        hypers = [group.hyper(self.training.device) for group in self._groups]
        rates = torch.cat([hyper.lr for hyper in hypers])
        total = torch.zeros(len(setups), dtype=torch.float64, device=self.training.device)
        self._model.train()
        for step in range(self._step + 1, self._step + steps + 1):
            losses, grads = self._gradients(setups, step, *batch_of(step))
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
        return total

    def _batch(self, sources: dict[Any, Batches], step: int) -> tuple[Batch, int | None]:
        """The batch of a step and its trial axis: None where all trials share it."""
        if len(sources) == 1 or self.workload.order == "time" or self.workload.online:
            return next(iter(sources.values())).batch(step), None
        indices = {stream: batches.indices(step) for stream, batches in sources.items()}
        rows = torch.stack([indices[setup.stream] for setup in self._setups])
        data = self._feed.splits["train"]
        assert not isinstance(data, Dataset)
        return taken(data, rows), 0

    def _with(self, tree: dict[str, Tensor], own: dict[str, Tensor], act: Callable[..., Any], *arguments: Any) -> Any:
        """``act(model, *arguments)`` with a trial's parameters and what else it has its own of.

        What ``act`` changes of the latter is changed in ``own``.
        """
        tensors = {f"model.{name}": tensor for name, tensor in {**tree, **own}.items()}
        result = functional_call(self._within, tensors, (act, *arguments))
        own.update({name: tensors[f"model.{name}"] for name in own})
        return result

    def _gradients(self, setups: list[TrialSetup], step: int, batch: Batch, axis: int | None) -> tuple[Tensor, Tensor]:
        """Loss [trials] and gradient [trials, P] of every trial."""
        online, testing = self.workload.online, self._testing

        def one(row: Tensor, own: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor, Any, Any]:
            def loss_of(tree: dict[str, Tensor], own: dict[str, Tensor]) -> tuple[Tensor, Any]:
                own = {name: tensor.clone() for name, tensor in own.items()}
                if not online:
                    return self._with(tree, own, self.workload.loss_of, batch), (own, ())
                seen, loss = self._with(tree, own, self.workload.judged, batch, testing)
                return loss, (own, _without_none(seen))

            grads, (loss, (own, seen)) = grad_and_value(loss_of, has_aux=True)(self._layout.tree(row), own)
            return loss, self._layout.row(grads), own, seen

        torch.manual_seed(seed_of(*setups[0].stream, "masks", step))
        function = vmap(one, in_dims=(0, 0, axis), randomness="same")
        key = ("gradients", self._flat.shape, self._flat.dtype, axis, testing, shapes(batch))
        losses, grads, self._own, seen = self._programs.run(key, function, self._flat, self._own, batch)
        if online:
            self._seen.add(seen[0] if seen else None, losses, batch)
        return losses, grads

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """See ``Trials``."""
        if self.workload.online and split == "test":
            return self._streamed(split)
        if self.workload.online and self._step:
            return as_evaluation(self._seen)
        self._model.eval()
        flat = self._flat
        if any(group.optimizer.evaluated for group in self._groups):
            flat = torch.cat([group.evaluated(flat[group.rows], self.training.device) for group in self._groups])
        flat = self._around.averaged(flat)
        scores = self._scores()
        for batch in self._feed.chunks("train" if self.workload.online else split):
            seen, losses = self._judged(flat, batch, split == "test")
            scores.add(seen[0] if seen else None, losses, batch)
        return as_evaluation(scores, others=split == "test")

    def _streamed(self, split: str) -> Evaluation:
        """Go on through a later part of the stream, each batch scored before it is learnt; then be as before."""
        other = copy.copy(self)
        other._seen, other._testing = self._scores(), True
        other._flat, other._around = self._flat.clone(), copy.copy(self._around)
        other._groups = [copy.copy(group) for group in self._groups]
        later = self._feed.batches(self._setups[0].stream, split)
        with torch.random.fork_rng(devices=[]):
            other._advance(later.per_epoch, lambda step: (later.batch(step - self._step), None))
        return as_evaluation(other._seen, others=True)

    def _judged(self, flat: Tensor, batch: Batch, others: bool) -> tuple[Any, Tensor]:
        """What metrics see, [trials, n, ...], and loss [trials] of one batch, with parameters ``flat`` [trials, P]."""

        def one(row: Tensor, own: dict[str, Tensor], batch: Batch) -> tuple[Any, Tensor]:
            def judged(tree: dict[str, Tensor]) -> tuple[Tensor, Any]:
                seen, loss = self._with(tree, dict(own), self.workload.judged, batch, others)
                return loss, _without_none(seen)

            # Some layers, recurrent ones among them, are taken apart for vmap only where gradients may be asked for.
            loss, *_, seen = vjp(judged, self._layout.tree(row), has_aux=True)
            return seen, loss

        seen = self.workload.scored_by.of is not None or (others and bool(self.workload.others))
        key = ("judged", flat.shape[1], flat.dtype, seen, shapes(batch))
        return self._few_at_a_time(key, vmap(one, in_dims=(0, 0, None)), (flat, self._own), batch)

    def _few_at_a_time(self, key: Any, function: Callable[..., Any], rows: Any, shared: Any) -> Any:
        """``function(*rows, shared)`` for so many trials at a time that one program serves blocks of every size.

        To trace what evaluates a model, a greedy decoding for instance, may take longer than to run it. The last few
        are filled up with copies of the first trial, whose results are dropped.
        """
        trials = tree_leaves(rows)[0].shape[0]
        places = torch.arange(trials, device=self.training.device)
        parts = []
        for few in places.split(EVALUATED_TRIALS):
            index = torch.cat([few, few.new_zeros(EVALUATED_TRIALS - len(few))])
            taken = tree_map(lambda leaf, index=index: leaf[index], rows)
            found = self._programs.run(key, function, *taken, shared)
            parts.append(tree_map(lambda leaf, few=few: leaf[: len(few)], found))
        return parts[0] if len(parts) == 1 else tree_map(lambda *leaves: torch.cat(leaves), *parts)

    def _scores(self) -> Scores:
        return Scores(self.workload, axis=1, each=self._score)

    def _score(self, function: Callable[..., Tensor], output: Any, target: Any) -> Tensor:
        """A score of every trial; one by one where the function cannot be traced (it looks at values)."""
        leaves = tree_leaves(output)
        key = ("score", function, *((leaf.shape[1:], leaf.dtype) for leaf in leaves), *map(_kind, tree_leaves(target)))
        if key not in self._programs.untraceable:
            try:
                return self._few_at_a_time(key, vmap(function, in_dims=(0, None)), (output,), target)
            except RuntimeError:
                self._programs.untraceable.add(key)
        trials = leaves[0].shape[0]
        rows = (tree_map(lambda leaf, n=n: leaf[n], output) for n in range(trials))
        return torch.tensor([float(function(row, target)) for row in rows], dtype=torch.float64)

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
        self._own = {name: tensor[index] for name, tensor in self._own.items()}
        self._seen.keep(index)
        self._around.keep(self._setups, index)
        streams = {setup.stream for setup in self._setups}
        self._batches = {stream: batches for stream, batches in self._batches.items() if stream in streams}


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _without_none(seen: Any) -> tuple[Any, ...]:
    """A prediction, or its absence, as ``vmap`` returns it."""
    return () if seen is None else (seen,)


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
