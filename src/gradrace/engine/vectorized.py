"""The fast engine: all trials of a block in one batch of small matrix products, one row of memory for each trial.

Losses and metrics are written for one trial; ``torch.func.vmap`` adds the trial axis. What comes out is traced once for
each number of trials (``make_fx``), because ``vmap``'s own bookkeeping would otherwise cost as much as small models do,
and then run as a list of plain tensor operations, or compiled. See docs/decisions/0003-traced-blocks.md and
0012-compiled-blocks.md.
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
from gradrace.engine.clock import Clock
from gradrace.engine.groups import Group, grouped
from gradrace.engine.played import PlayedTogether, by_name
from gradrace.engine.programs import Compiling, Layout, Programs, Within, fixed
from gradrace.engine.scores import Scores, as_evaluation
from gradrace.engine.sources import source
from gradrace.engine.trial import Evaluation, Training, TrialSetup, fresh_model
from gradrace.randomness import seed_of
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import shapes, taken

EVALUATED_TRIALS = 8
"""Trials that are evaluated at a time: the least number of trials of a study in any preset."""


class VectorizedTrials:
    """Trials of a block, trained together in ``[trials, P]`` memory.

    Gradients are computed for ``Training.chunk`` trials at a time, so that one program serves a block before and after
    its rungs; the last chunk is filled up with copies of the first trial, which nothing looks at.
    """

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
        self._groups = grouped(setups, self._layout, training)
        self._place(torch.stack([rows[setup.stream] for setup in setups]))
        interactive = workload.experience is not None
        self._played = PlayedTogether(workload, [setup.stream for setup in setups], training) if interactive else None
        self._batches = {} if interactive else {stream: self._feed.batches(stream) for stream in models}
        self._own = self._chunked(self._owned(models, setups))
        self._diverged_at = torch.zeros(len(setups), dtype=torch.int64, device=training.device)
        self._step = 0
        self._seen, self._testing = self._scores(), False
        self._around = Around(setups, self._layout, training)
        for group in self._groups:
            group.begin(self._flat[group.rows])

    def _place(self, params: Tensor) -> None:
        """Lay parameters [trials, P] out in chunks."""
        chunk = self.training.chunk or max(1, len(params))
        self._memory, self._flat = params, params
        if spare := -len(params) % chunk:
            self._memory = torch.cat([params, params[:1].expand(spare, -1)])
            self._flat = self._memory[: len(params)]
        self._chunks = [slice(start, start + chunk) for start in range(0, len(self._memory), chunk)]

    def _chunked(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Tensors [trials, ...], a chunk at a time."""
        spare = len(self._memory) - len(self._flat)
        whole = {n: torch.cat([t, t[:1].expand(spare, *t.shape[1:])]) if spare else t for n, t in tensors.items()}
        return [{name: tensor[chunk] for name, tensor in whole.items()} for chunk in self._chunks]

    def _whole(self, chunks: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """What ``_chunked`` took apart, for each trial."""
        names = chunks[0] if chunks else ()
        return {name: torch.cat([chunk[name] for chunk in chunks])[: len(self._flat)] for name in names}

    @property
    def _setups(self) -> list[TrialSetup]:
        return [setup for group in self._groups for setup in group.setups]

    def _owned(self, models: dict[Any, nn.Module], setups: Sequence[TrialSetup]) -> dict[str, Tensor]:
        """Buffers and frozen parameters that each trial has its own of, [trials, ...]."""
        if not fixed(self._model):
            return {}
        with torch.random.fork_rng(devices=[]):
            batches = source(self._feed, setups[0].stream)
            names = self._programs.owned(self._model, self.training, batches.batch(self._model, 1))
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
        """So many steps more, on the batches of ``batch_of(step)``; the sum of the losses of each trial.

        Nothing here waits for the device: what became of the losses is looked at after the last step.
        """
        first, around, groups = self._step, self._around, self._groups
        clocks = torch.arange(first + 1, first + steps + 1, dtype=torch.float64, device=self.training.device)
        factors = around.factors(first, steps)
        rates = torch.cat([group.rates for group in groups])
        self._model.train()
        for group in groups:
            group.open()
        history: list[Tensor] = []
        for position, clock in enumerate(clocks):
            step = first + 1 + position
            batch, axis = batch_of(step)
            self._step = step
            found: list[Tensor] = []
            seen: list[Any] = []
            shares = None if factors is None else factors[position]
            # Chunk by chunk: what the gradients of one have brought into the cache, its updates find there.
            for place, chunk in enumerate(self._chunks):
                some = batch if axis is None else tree_map(lambda leaf, chunk=chunk: leaf[chunk], batch)
                losses, grads, part = self._gradients(place, some, axis)
                found.append(losses)
                seen.append(part)
                grads = around.clipped(grads, chunk)
                around.decay(self._memory[chunk], chunk, rates, shares)
                for group in groups:
                    rows = slice(max(group.rows.start, chunk.start), min(group.rows.stop, chunk.stop))
                    if rows.start < rows.stop:
                        piece = grads[rows.start - chunk.start : rows.stop - chunk.start]
                        group.step(self._programs, self._flat, piece, rows, step, clock, shares)
            history.append(self._joined(found))
            if self.workload.online:
                self._seen.add(self._joined([part[0] for part in seen]) if seen[0] else None, history[-1], batch)
            around.average(self._flat)
        for group in groups:
            group.close()
        return self._looked_at(torch.stack(history), first) if history else torch.zeros(len(self._flat))

    def _joined(self, parts: list[Any]) -> Any:
        """Tensors, or trees of them, of all chunks, one for each trial."""
        if len(parts) == 1 and len(self._memory) == len(self._flat):
            return parts[0]
        return tree_map(lambda *leaves: torch.cat(leaves)[: len(self._flat)], *parts)

    def _looked_at(self, losses: Tensor, first: int) -> Tensor:
        """Note who diverged during the steps after ``first``, and return the sums of these losses [steps, trials]."""
        bad = ~torch.isfinite(losses)
        diverging = (self._diverged_at == 0) & bad.any(dim=0)
        self._diverged_at = torch.where(diverging, first + 1 + bad.int().argmax(dim=0), self._diverged_at)
        return losses.to(torch.float64).sum(dim=0)

    def _batch(self, sources: dict[Any, Batches], step: int) -> tuple[Batch, int | None]:
        """The batch of a step and its trial axis: None where all trials share it."""
        if self._played is not None:
            return self._played.batch(self._model, self._tensors(self._flat), step, len(self._memory)), 0
        if len(sources) == 1 or self.workload.order == "time" or self.workload.online:
            return next(iter(sources.values())).batch(step), None
        indices = {stream: batches.indices(step) for stream, batches in sources.items()}
        streams = [setup.stream for setup in self._setups]
        streams += streams[:1] * (len(self._memory) - len(streams))
        data = self._feed.splits["train"]
        assert not isinstance(data, Dataset)
        return taken(data, torch.stack([indices[stream] for stream in streams])), 0

    def _tensors(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters ``flat`` [trials, P], and what else trials have their own of, by name."""
        return {**by_name(flat, self._layout.shapes), **self._whole(self._own)}

    def _with(self, tree: dict[str, Tensor], own: dict[str, Tensor], act: Callable[..., Any], *arguments: Any) -> Any:
        """``act(model, *arguments)`` with a trial's parameters and what else it has its own of.

        What ``act`` changes of the latter is changed in ``own``.
        """
        tensors = {f"model.{name}": tensor for name, tensor in {**tree, **own}.items()}
        result = functional_call(self._within, tensors, (act, *arguments))
        own.update({name: tensors[f"model.{name}"] for name in own})
        return result

    def _gradients(self, place: int, batch: Batch, axis: int | None) -> tuple[Tensor, Tensor, Any]:
        """Loss [chunk] and gradient [chunk, P] of every trial of a chunk, and what an online metric sees of them."""
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

        function = vmap(one, in_dims=(0, 0, axis), randomness="same")
        rows = self._memory[self._chunks[place]]
        key = ("gradients", rows.shape, rows.dtype, axis, testing, shapes(batch))
        # Every chunk draws the same masks.
        found = self._programs.run(key, function, rows, self._own[place], batch, seed=self._seed)
        losses, grads, self._own[place], seen = found
        return losses, grads, seen

    def _seed(self) -> None:
        torch.manual_seed(seed_of(*self._setups[0].stream, "masks", self._step))

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
            flat = torch.cat([group.evaluated(flat[group.rows]) for group in self._groups])
        flat = self._around.averaged(flat)
        if self._played is not None:
            return self._played.score(self._model, self._tensors(flat), split)
        scores = self._scores()
        for batch in self._feed.chunks("train" if self.workload.online else split):
            seen, losses = self._judged(flat, batch, split == "test")
            scores.add(seen[0] if seen else None, losses, batch)
        return as_evaluation(scores, others=split == "test")

    def _streamed(self, split: str) -> Evaluation:
        """Go on through a later part of the stream, each batch scored before it is learnt; then be as before."""
        other = copy.copy(self)
        other._seen, other._testing = self._scores(), True
        other._around, other._own = copy.copy(self._around), list(self._own)
        other._place(self._flat.clone())
        other._groups = [group.copied() for group in self._groups]
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
        return self._few_at_a_time(key, vmap(one, in_dims=(0, 0, None)), (flat, self._whole(self._own)), batch)

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
        kept: list[Group] = []
        for old in self._groups:
            members = [row - old.start for row in rows if old.start <= row < old.rows.stop]
            if members:
                kept.append(old.kept(members, kept[-1].rows.stop if kept else 0))
        own = {name: tensor[index] for name, tensor in self._whole(self._own).items()}
        self._groups, self._diverged_at = kept, self._diverged_at[index]
        self._place(self._flat[index])
        self._own = self._chunked(own)
        self._seen.keep(index)
        self._around.keep(self._setups, index)
        if self._played is not None:
            self._played.keep(rows)
        streams = {setup.stream for setup in self._setups}
        self._batches = {stream: batches for stream, batches in self._batches.items() if stream in streams}


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _without_none(seen: Any) -> tuple[Any, ...]:
    """A prediction, or its absence, as ``vmap`` returns it."""
    return () if seen is None else (seen,)


class Vectorized:
    """The engine that starts such trials and keeps their programs; ``compiling`` and ``clock`` as for ``Programs``."""

    def __init__(self, workload: Workload, compiling: Compiling = "never", clock: Clock | None = None) -> None:
        self.workload, self.programs = workload, Programs(workload, compiling, clock)

    def start(self, setups: Sequence[TrialSetup], training: Training) -> VectorizedTrials:
        """Trials at step 0. Rows of one optimizer should be neighbours; each run of neighbours is one update."""
        return VectorizedTrials(self.workload, setups, training, self.programs)
