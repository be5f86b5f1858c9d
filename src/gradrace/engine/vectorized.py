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
from torch.func import functional_call, grad_and_value, vjp
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from gradrace.engine.around import Around
from gradrace.engine.batches import Batches, Feed
from gradrace.engine.chunks import Chunks
from gradrace.engine.clock import Clock
from gradrace.engine.fused import advance, steps_at_once
from gradrace.engine.groups import Group, grouped
from gradrace.engine.means import Means
from gradrace.engine.native import Program
from gradrace.engine.played import PlayedTogether, by_name
from gradrace.engine.programs import EVALUATED_TRIALS, Compiling, Layout, Programs, Within, fixed
from gradrace.engine.scores import Scores, as_evaluation
from gradrace.engine.sources import source
from gradrace.engine.trial import Evaluation, Training, Trials, TrialSetup, fresh_model
from gradrace.randomness import seed_of
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import shapes


class VectorizedTrials(Trials):
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
        self._at = Chunks(torch.stack([rows[setup.stream] for setup in setups]), training.chunk)
        interactive = workload.experience is not None
        self._played = PlayedTogether(workload, [setup.stream for setup in setups], training) if interactive else None
        self._batches = {} if interactive else {stream: self._feed.batches(stream) for stream in models}
        self._own = self._at.apart(self._owned(models, setups))
        self._diverged_at = torch.zeros(len(setups), dtype=torch.int64, device=training.device)
        self._step, self._means = 0, Means(len(setups))
        self._seen, self._testing = self._scores(), False
        self._around = Around(setups, self._layout, training)
        for group in self._groups:
            group.begin(self._at.flat[group.rows])

    @property
    def _in_order(self) -> bool:
        """Whether batches follow the order of time, which is the same for all streams."""
        return self.workload.order == "time" or self.workload.online

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

    def advance(self, until: int) -> None:
        """See ``Trials``."""
        with torch.random.fork_rng(devices=[]):
            self._advance(until - self._step, self._batches)

    def losses(self) -> list[float]:
        """See ``Trials``."""
        for batches in self._batches.values():
            batches.rest()
        return self._means.tell()

    def state(self) -> dict[str, Any] | None:
        """See ``Trials``: what trials play for remembers what cannot be had."""
        if self._played is not None:
            return None
        return {
            "step": self._step,
            "params": self._at.flat,
            "own": self._at.whole(self._own),
            "groups": [tree_leaves(group.state) for group in self._groups],
            "averages": self._around.state(),
            "diverged": self._diverged_at,
            "means": self._means.state(),
            "seen": self._seen.state(),
            "sources": [batches.state() for batches in self._batches.values()],
        }

    def load(self, state: dict[str, Any]) -> None:
        """See ``Trials``."""
        self._step, self._diverged_at = state["step"], state["diverged"]
        self._at = Chunks(state["params"], self.training.chunk)
        self._own = self._at.apart(state["own"])
        for group, leaves in zip(self._groups, state["groups"], strict=True):
            group.load(leaves)
        self._around.load(state["averages"])
        self._means.load(state["means"])
        self._seen.load(state["seen"])
        for batches, opened in zip(self._batches.values(), state["sources"], strict=True):
            batches.load(opened, self._step)

    @torch.no_grad()
    def _advance(self, steps: int, sources: dict[Any, Batches], before: int = 0) -> None:
        """So many steps more.

        Nothing here waits for the device: what became of the losses is looked at after the last step.

        Args:
            steps: how many.
            sources: the batches of each stream.
            before: steps that came before the first batch.
        """
        first, groups = self._step, self._groups
        factors = self._around.factors(first, steps)
        self._model.train()
        for group in groups:
            group.open()
        history: list[Tensor] = []
        while self._step < first + steps:
            if self._played is not None:
                tensors, share = self._tensors(self._at.flat), None if factors is None else factors[self._step - first]
                batch = self._played.batch(self._model, tensors, self._step + 1, len(self._at.memory))
                history.append(self._stepped(batch, 0, share).unsqueeze(0))
                continue
            batches = [self._batch(sources, self._step + 1 - before)]
            shares = None if factors is None else factors[self._step - first :]
            program = self._program(batches[0]) if self._whole_steps() else None
            if program is None:
                batch, axis = self._spread(batches[0])
                history.append(self._stepped(batch, axis, None if shares is None else shares[0]).unsqueeze(0))
                continue
            known = list(map(shapes, batches[0]))
            for step in range(1, steps_at_once(batches[0], first + steps - self._step)):
                more = self._batch(sources, self._step + 1 + step - before)
                if list(map(shapes, more)) != known:
                    break
                batches.append(more)
            history.append(self._fused(program, batches, shares))
        for group in groups:
            group.close()
        if history:
            self._look_at(torch.cat(history), first)

    def _whole_steps(self) -> bool:
        """Whether a compiled program may take whole steps: nothing happens between gradient and update."""
        return self._at.single and self._around.absent and all(group.one_function for group in self._groups)

    def _program(self, batches: Sequence[Batch]) -> Program | None:
        """The compiled program of gradients for such batches, if there is one."""
        own = {name: tensor[0] for name, tensor in self._own[0].items()}
        leaves, form = tree_flatten((self._at.flat[0], own, batches[0]))
        return self._programs.compiled(("gradients", self._testing), self._one(), leaves, form)

    def _fused(self, program: Program, batches: list[list[Batch]], shares: Tensor | None) -> Tensor:
        """Some steps by a compiled program that takes whole steps; losses [steps, trials]."""
        count = len(batches)
        found = advance(
            program,
            self._groups,
            self._at.flat,
            self._own[0],
            batches,
            self._streams(len(batches[0])),
            self._step + 1,
            None if shares is None else shares[:count],
            self._seed,
        )
        losses, self._own[0], seen = found
        self._step += count
        for place, batch in enumerate(batches) if self.workload.online else ():
            self._seen.add(
                tree_map(lambda leaf, place=place: leaf[place], seen[0]) if seen else None, losses[place], batch[0]
            )
        return losses

    def _streams(self, count: int) -> list[int]:
        """Which of so many streams each trial's batches come from."""
        known = list(self._batches)
        return [known.index(setup.stream) if count > 1 else 0 for setup in self._setups]

    def _spread(self, batches: list[Batch]) -> tuple[Batch, int | None]:
        """The batches of all streams as one, and its trial axis: None where all trials share it."""
        if len(batches) == 1 and (self._in_order or not self.training.apart):
            return batches[0], None
        streams = self._streams(len(batches))
        spare = len(self._at.memory) - len(streams)
        index = torch.tensor([*streams, *streams[:1] * spare], device=self._at.flat.device)
        return tree_map(lambda *leaves: torch.stack(leaves)[index], *batches), 0

    def _stepped(self, batch: Batch, axis: int | None, shares: Tensor | None) -> Tensor:
        """One step, gradients and updates one after another; the losses of all trials."""
        around, groups, step = self._around, self._groups, self._step + 1
        clock = torch.tensor(float(step), dtype=torch.float64, device=self.training.device)
        rates = torch.cat([group.rates for group in groups])
        self._step = step
        found: list[Tensor] = []
        seen: list[Any] = []
        # Chunk by chunk: what the gradients of one have brought into the cache, its updates find there.
        for place, chunk in enumerate(self._at.slices):
            some = batch if axis is None else tree_map(lambda leaf, chunk=chunk: leaf[chunk], batch)
            losses, grads, part = self._gradients(place, some, axis)
            found.append(losses)
            seen.append(part)
            grads = around.clipped(grads, chunk)
            around.decay(self._at.memory[chunk], chunk, rates, shares)
            for group in groups:
                rows = slice(max(group.rows.start, chunk.start), min(group.rows.stop, chunk.stop))
                if rows.start < rows.stop:
                    piece = grads[rows.start - chunk.start : rows.stop - chunk.start]
                    group.step(self._programs, self._at.flat, piece, rows, step, clock, shares)
        joined = self._joined(found)
        if self.workload.online:
            self._seen.add(self._joined([part[0] for part in seen]) if seen[0] else None, joined, batch)
        around.average(self._at.flat)
        return joined

    def _joined(self, parts: list[Any]) -> Any:
        """Tensors, or trees of them, of all chunks, one for each trial."""
        if self._at.single:
            return parts[0]
        return tree_map(lambda *leaves: torch.cat(leaves)[: len(self._at.flat)], *parts)

    def _look_at(self, losses: Tensor, first: int) -> None:
        """Note who diverged during the steps after ``first``, by their losses [steps, trials], and add these up."""
        bad = ~torch.isfinite(losses)
        diverging = (self._diverged_at == 0) & bad.any(dim=0)
        self._diverged_at = torch.where(diverging, first + 1 + bad.int().argmax(dim=0), self._diverged_at)
        self._means.add(losses)

    def _batch(self, sources: dict[Any, Batches], step: int) -> list[Batch]:
        """The batches of a step, one for each stream; only one where all trials share it."""
        shared = len(sources) == 1 or self._in_order
        return [batches.batch(step) for batches in list(sources.values())[: 1 if shared else None]]

    def _tensors(self, flat: Tensor) -> dict[str, Tensor]:
        """Parameters ``flat`` [trials, P], and what else trials have their own of, by name."""
        return {**by_name(flat, self._layout.shapes), **self._at.whole(self._own)}

    def _with(self, tree: dict[str, Tensor], own: dict[str, Tensor], act: Callable[..., Any], *arguments: Any) -> Any:
        """``act(model, *arguments)`` with a trial's parameters and what else it has its own of.

        What ``act`` changes of the latter is changed in ``own``.
        """
        tensors = {f"model.{name}": tensor for name, tensor in {**tree, **own}.items()}
        result = functional_call(self._within, tensors, (act, *arguments))
        own.update({name: tensors[f"model.{name}"] for name in own})
        return result

    def _one(self) -> Callable[..., Any]:
        """A trial's loss and gradient [P], what it has its own of afterwards, and what an online metric sees of it."""
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

        return one

    def _gradients(self, place: int, batch: Batch, axis: int | None) -> tuple[Tensor, Tensor, Any]:
        """Losses [chunk] and gradients [chunk, P] of the trials of a chunk, and what an online metric sees of them."""
        key, rows = ("gradients", self._testing), self._at.memory[self._at.slices[place]]
        # Every chunk draws the same masks.
        found = self._programs.run(
            key, self._one(), (0, 0, axis), rows, self._own[place], batch, seed=lambda: self._seed(self._step)
        )
        losses, grads, self._own[place], seen = found
        return losses, grads, seen

    def _seed(self, step: int) -> None:
        torch.manual_seed(seed_of(*self._setups[0].stream, "masks", step))

    @torch.no_grad()
    def evaluate(self, split: str) -> Evaluation:
        """See ``Trials``."""
        if self.workload.online and split == "test":
            return self._streamed(split)
        if self.workload.online and self._step:
            return as_evaluation(self._seen)
        self._model.eval()
        flat = self._at.flat
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
        other._seen, other._testing, other._means = self._scores(), True, Means(len(self._at.flat))
        other._around, other._own = copy.copy(self._around), list(self._own)
        other._at = Chunks(self._at.flat.clone(), self.training.chunk)
        other._groups = [group.copied() for group in self._groups]
        later = self._feed.batches(self._setups[0].stream, split)
        with torch.random.fork_rng(devices=[]):
            other._advance(later.per_epoch, {self._setups[0].stream: later}, self._step)
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
        rows, own = flat, self._at.whole(self._own)
        return self._programs.run(("judged", seen), one, (0, 0, None), rows, own, batch, few=EVALUATED_TRIALS)

    def _scores(self) -> Scores:
        return Scores(self.workload, axis=1, each=self._programs.score)

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
        own = {name: tensor[index] for name, tensor in self._at.whole(self._own).items()}
        self._groups, self._diverged_at = kept, self._diverged_at[index]
        self._means.keep(rows)
        self._at = Chunks(self._at.flat[index], self.training.chunk)
        self._own = self._at.apart(own)
        self._seen.keep(index)
        self._around.keep(self._setups, index)
        if self._played is not None:
            self._played.keep(rows)
        streams = {setup.stream for setup in self._setups}
        self._batches = {stream: batches for stream, batches in self._batches.items() if stream in streams}


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
