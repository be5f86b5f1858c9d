"""The reference engine: one trial after another in plain PyTorch. Short, literal, never optimised."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only, tree_structure, tree_unflatten

from gradrace._discovery import users_lines
from gradrace.engine.batches import Feed
from gradrace.engine.scores import Scores, as_score, score_of
from gradrace.engine.sources import Drawn, Played, source
from gradrace.engine.trial import (
    NO_SCORE,
    Evaluation,
    Score,
    Training,
    Trials,
    TrialSetup,
    clipping,
    fresh_model,
    multiplier,
    optimizer_of,
    rule_of,
)
from gradrace.optim import RuleOptimizer
from gradrace.optimizers import TorchOptimizer
from gradrace.randomness import seed_of
from gradrace.workloads import Batch, Workload

KEPT = ("step", "loss", "losses", "diverged_at", "failure", "averages")
"""What a trial keeps besides its model, optimizer, batches and scores."""


class _Rule:
    """An update rule at work on one model: gradients by autograd, updates added to the parameters."""

    def __init__(self, setup: TrialSetup, params: dict[str, nn.Parameter], training: Training) -> None:
        self.setup, self.params, self.training, self.rule = setup, params, training, rule_of(setup)
        self.state = self.rule.rule.init(self.detached(), setup.options)

    def detached(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.params.items()}

    def hyper(self) -> Any:
        hyper = self.rule.hyper_tensors([dict(self.setup.hyper)], self.training.device)
        return type(hyper)(*(None if value is None else value[0] for value in hyper))

    def advance(self, loss_of: Callable[[], Tensor], step: int) -> tuple[Tensor, int]:
        """One step; the loss before it, and how many gradients it took."""
        loss, around = loss_of(), self.setup.surroundings
        grads = torch.autograd.grad(loss, list(self.params.values()))
        if around.clip_norm:
            length = torch.stack([grad.norm() for grad in grads]).norm()
            grads = [grad * clipping(length, around.clip_norm) for grad in grads]
        hyper = self.hyper()
        factor = multiplier(self.training.schedule, step, self.training.steps, around.warmup)
        hyper = hyper._replace(lr=hyper.lr * factor)
        decay(self.params, float(hyper.lr), self.setup, self.training)
        updates, self.state = self.rule.rule.update(
            dict(zip(self.params, grads, strict=True)),
            self.state,
            self.detached(),
            hyper,
            torch.tensor(float(step), dtype=torch.float64),
            self.setup.options,
        )
        for name, param in self.detached().items():
            param.add_(updates[name])
        return loss.detach(), 1

    def kept(self) -> Any:
        """What ``put_back`` goes on from."""
        return tree_leaves(self.state)

    def put_back(self, kept: Any) -> None:
        """Go on from there."""
        self.state = tree_unflatten(kept, tree_structure(self.state))

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The model with the parameters to evaluate it with; afterwards, with those that are being trained again."""
        evaluated = self.rule.evaluated
        trained = {name: param.clone() for name, param in self.detached().items()} if evaluated else {}
        if evaluated:
            put(self.params, evaluated(trained, self.state, self.hyper(), self.setup.options))
        try:
            yield
        finally:
            put(self.params, trained)


def put(params: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    """Write values into parameters."""
    for name, value in values.items():
        params[name].detach().copy_(value)


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its step computes gradients itself, as often as it likes."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


class _Object:
    """Any ``torch.optim.Optimizer`` at work on one model; for a rule, its drop-in class."""

    def __init__(self, setup: TrialSetup, params: dict[str, nn.Parameter], training: Training) -> None:
        self.setup, self.params, self.training = setup, params, training
        self.optimizer = optimizer_of(setup, params.values())
        if isinstance(self.optimizer, RuleOptimizer):
            self.optimizer.compile_what_can_be()
        self.tell("train")
        self.rates = [group["lr"] for group in self.optimizer.param_groups if "lr" in group]
        self.needs_closure = needs_closure(self.optimizer)

    def advance(self, loss_of: Callable[[], Tensor], step: int) -> tuple[Tensor, int]:
        """One step; the loss before it, and how many gradients it took. Some optimizers ask for several."""
        around = self.setup.surroundings
        factor = multiplier(self.training.schedule, step, self.training.steps, around.warmup)
        for group, rate in zip((g for g in self.optimizer.param_groups if "lr" in g), self.rates, strict=True):
            group["lr"] = rate * factor
        rate = factor * (self.rates or [0.0])[0]
        losses: list[Tensor] = []

        def closure() -> Any:
            self.optimizer.zero_grad()
            with torch.enable_grad():
                loss = loss_of()
                loss.backward()
            if around.clip_norm:
                torch.nn.utils.clip_grad_norm_(self.params.values(), around.clip_norm)
            losses.append(loss.detach())
            return loss

        if self.needs_closure:
            decay(self.params, rate, self.setup, self.training)
            self.optimizer.step(closure)
        else:
            closure()
            decay(self.params, rate, self.setup, self.training)
            self.optimizer.step()
        return losses[0], len(losses)

    def kept(self) -> Any:
        """What ``put_back`` goes on from; None where an optimizer may remember more than its ``state_dict`` tells."""
        known = isinstance(self.optimizer, RuleOptimizer) or type(self.optimizer).__module__.startswith("torch.optim.")
        plain = vars(self.optimizer).keys() <= vars(torch.optim.SGD(self.params.values(), lr=0.1)).keys()
        return self.optimizer.state_dict() if known or plain else None

    def put_back(self, kept: Any) -> None:
        """Go on from there."""
        self.optimizer.load_state_dict(kept)

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Optimizers that average, such as the schedule-free ones, are told when a model is looked at."""
        self.tell("eval")
        try:
            yield
        finally:
            self.tell("train")

    def tell(self, mode: str) -> None:
        told = getattr(self.optimizer, mode, None)
        if callable(told):
            told()


@torch.no_grad()
def decay(params: dict[str, nn.Parameter], lr: float, setup: TrialSetup, training: Training) -> None:
    """Decoupled weight decay, before the step."""
    share = lr * setup.surroundings.decoupled_weight_decay
    for param in params.values():
        if share and (param.dim() > 1 or training.decay_biases):
            param.mul_(1 - share)


class _Trial:
    """One trial under way."""

    def __init__(self, feed: Feed, setup: TrialSetup, training: Training, drop_in: bool) -> None:
        self.feed, self.workload, self.setup, self.training = feed, feed.workload, setup, training
        self.model = fresh_model(self.workload, setup.stream, training)
        params = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        given = setup.optimizer
        # A drop-in's state begins at its first step, after decoupled decay has acted, which averages would remember.
        as_class = isinstance(given, TorchOptimizer) or (drop_in and rule_of(setup).evaluated is None)
        kind = _Object if as_class else _Rule
        self.params, self.steps = params, kind(setup, params, training)
        self.averages: dict[str, Tensor] = {}
        self.source = source(feed, setup.stream)
        self.seen, self.testing = Scores(self.workload), False
        self.step = 0
        self.diverged_at: int | None = None
        self.failure: str | None = None
        self.loss, self.losses = 0.0, 0
        """Sum and number of the losses that have not been told yet."""

    def advance(self, until: int) -> None:
        """Train to step ``until``; steps are counted in gradients."""
        self.model.train()
        while self.step < until:
            step = self.step + 1
            batch = self.source.batch(self.model, step)
            torch.manual_seed(seed_of(*self.setup.stream, "masks", step))
            loss = self.learn(batch, step)
            self.loss, self.losses = self.loss + loss, self.losses + 1
            if self.diverged_at is None and not math.isfinite(loss):
                self.diverged_at = step

    def told(self) -> float:
        """Mean training loss since this was asked last."""
        mean = self.loss / max(1, self.losses)
        self.loss, self.losses = 0.0, 0
        self.source.rest()
        return mean

    def state(self) -> dict[str, Any] | None:
        """What ``load`` goes on from, if it can be had."""
        steps, source = self.steps.kept(), self.source.state()
        if steps is None or source is None:
            return None
        kept = {name: getattr(self, name) for name in KEPT}
        model = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        weights = {name: tensor.detach() for name, tensor in model.items()}
        return {**kept, "model": weights, "steps": steps, "source": source, "seen": self.seen.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in KEPT:
            setattr(self, name, state[name])
        model = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        for name, tensor in model.items():
            tensor.detach().copy_(state["model"][name])
        self.steps.put_back(state["steps"])
        self.seen.load(state["seen"])
        if isinstance(self.source, Drawn) and self.failure is None:
            self.source.load(state["source"], self.step)

    def learn(self, batch: Batch, step: int) -> float:
        """One step; the loss before it. An online trial is scored by what it gave before the step."""
        judged: list[tuple[Any, Tensor]] = []

        def loss_of() -> Tensor:
            if not self.workload.online:
                return self.workload.loss_of(self.model, batch)
            judged.append(self.workload.judged(self.model, batch, self.testing))
            return judged[-1][1]

        loss, gradients = self.steps.advance(loss_of, step)
        self.average()
        self.step += gradients
        if judged:
            prediction, scored = tree_map_only(Tensor, torch.detach, judged[0])
            self.seen.add(prediction, scored, batch)
        return loss.item()

    @torch.no_grad()
    def evaluate(self, split: str) -> Score:
        """Metric, loss and further metrics on a split."""
        if self.workload.online and split == "test":
            return self.streamed(split)
        if self.workload.online and self.step:
            return as_score(self.seen)
        self.model.eval()
        with self.averaged() if self.averages else self.steps.evaluated():
            if isinstance(self.source, Played):
                return self.source.score(self.model, split)
            # Before its first step an online trial is judged by the stream as a whole: it has learnt nothing of it.
            return score_of(self.workload, self.model, self.feed, "train" if self.workload.online else split)

    def streamed(self, split: str) -> Score:
        """Go on through a later part of the stream, each batch scored before it is learnt; then be as before."""
        kept = {id(part): part for part in (self.feed, self.workload, self.setup, self.training)}
        other = copy.deepcopy(self, kept)
        other.model.train()
        other.seen, other.testing = Scores(self.workload), True
        later = self.feed.batches(self.setup.stream, split)
        with torch.enable_grad():
            for position in range(1, later.per_epoch + 1):
                torch.manual_seed(seed_of(*self.setup.stream, "masks", other.step + 1))
                other.learn(later.batch(position), other.step + 1)
        return as_score(other.seen, others=True)

    @torch.no_grad()
    def average(self) -> None:
        """Move the averages of the weights on, if the trial keeps any."""
        share = self.setup.surroundings.ema
        for name, param in self.params.items() if share else ():
            old = self.averages.get(name, param)
            self.averages[name] = share * old + (1 - share) * param

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with the averages of its weights."""
        trained = {name: param.detach().clone() for name, param in self.params.items()}
        put(self.params, self.averages)
        try:
            yield
        finally:
            put(self.params, trained)


class LoopTrials(Trials):
    """Trials of a block, each trained alone. An error of the user's code ends the trial it happened in, no other."""

    def __init__(
        self, workload: Workload, setups: Sequence[TrialSetup], training: Training, drop_in: bool = False
    ) -> None:
        feed = Feed(workload, training)
        self._trials = [_Trial(feed, setup, training, drop_in) for setup in setups]

    def advance(self, until: int) -> None:
        """See ``Trials``."""
        for trial in self._trials:
            _guarded(trial, lambda t: t.advance(until), None)

    def losses(self) -> list[float]:
        """See ``Trials``."""
        return [_guarded(trial, _Trial.told, torch.nan) for trial in self._trials]

    def state(self) -> dict[str, Any] | None:
        """See ``Trials``."""
        states = [trial.state() for trial in self._trials]
        return None if None in states else {"trials": states}

    def load(self, state: dict[str, Any]) -> None:
        """See ``Trials``."""
        for trial, kept in zip(self._trials, state["trials"], strict=True):
            trial.load(kept)

    def evaluate(self, split: str) -> Evaluation:
        """See ``Trials``."""
        return Evaluation.of([_guarded(trial, lambda t: t.evaluate(split), NO_SCORE) for trial in self._trials])

    def diverged_at(self) -> list[int | None]:
        """See ``Trials``."""
        return [trial.diverged_at for trial in self._trials]

    def failures(self) -> list[str | None]:
        """See ``Trials``."""
        return [trial.failure for trial in self._trials]

    def keep(self, rows: Sequence[int]) -> None:
        """See ``Trials``."""
        self._trials = [self._trials[row] for row in rows]


def _guarded(trial: _Trial, act: Callable[[_Trial], Any], otherwise: Any) -> Any:
    """Run a part of a trial with the generator of the caller left as it was; note an error as the trial's failure."""
    if trial.failure is not None:
        return otherwise
    with torch.random.fork_rng(devices=[]):
        try:
            return act(trial)
        except Exception as error:
            trial.failure = users_lines(error)
            return otherwise


class Loop:
    """The engine that starts such trials.

    ``drop_in``: rules are applied by their drop-in classes, as a user would, which is faster than the reference: the
    way for what cannot be vectorized, or is slower so.
    """

    name = "loop"

    def __init__(self, workload: Workload, drop_in: bool = False) -> None:
        self.workload, self.drop_in = workload, drop_in

    def start(self, setups: Sequence[TrialSetup], training: Training) -> LoopTrials:
        """Trials at step 0."""
        return LoopTrials(self.workload, setups, training, self.drop_in)
