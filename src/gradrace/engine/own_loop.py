"""Trials whose training is the user's own: a generator each, advanced as far as the race wants to see."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy
import torch

from gradrace._discovery import users_lines
from gradrace.engine.trial import (
    NO_SCORE,
    Evaluation,
    Score,
    Training,
    Trials,
    TrialSetup,
    clipping,
    multiplier,
    optimizer_of,
)
from gradrace.errors import WorkloadError
from gradrace.randomness import seed_of
from gradrace.workloads import Workload


class Globals:
    """What is global and one trial's own: the generators of torch, numpy and Python, and whether gradients are kept.

    A loop may well yield inside of ``torch.no_grad()``, while it evaluates; the next trial must not start in there.
    """

    def __init__(self, seed: int) -> None:
        torch.set_grad_enabled(True)
        torch.manual_seed(seed)
        numpy.random.seed(seed % 2**32)
        random.seed(seed)
        self.take()

    def take(self) -> None:
        """Remember them as they are."""
        self._states = torch.get_rng_state(), numpy.random.get_state(), random.getstate()
        self._gradients = torch.is_grad_enabled()

    def put(self) -> None:
        """Set them as they were."""
        torch.set_rng_state(self._states[0])
        numpy.random.set_state(self._states[1])
        random.setstate(self._states[2])
        torch.set_grad_enabled(self._gradients)


class _Trial:
    """One trial under way."""

    def __init__(self, workload: Workload, setup: TrialSetup, training: Training) -> None:
        assert workload.training_loop is not None
        self.workload, self.setup, self.training, self.loop = workload, setup, training, workload.training_loop
        self.step, self.values = 0, dict[str, Any]()
        self.diverged_at: int | None = None
        self.failure: str | None = None
        self._reports: Iterator[Any] | None = None
        self._globals: Globals | None = None

    def train(self, until: int) -> None:
        """Advance the user's loop to step ``until``, or to its end if that comes first."""
        seed = seed_of(*self.setup.stream, "training loop")
        if self._reports is None:
            self._globals = Globals(seed)
            told = self.loop.train(self.make_optimizer, seed)
            if not isinstance(told, Iterable):
                raise WorkloadError(
                    f"The training loop of workload '{self.workload.name}' must yield (step, metrics), but returned "
                    f"{type(told).__name__}."
                )
            self._reports = iter(told)
        assert self._globals is not None
        self._globals.put()
        try:
            while self.step < until and (report := next(self._reports, None)) is not None:
                self.take(report)
        finally:
            self._globals.take()
        if not self.values:
            raise WorkloadError(
                f"The training loop of workload '{self.workload.name}' ended without yielding anything."
            )

    def take(self, report: Any) -> None:
        """One ``(step, values)``."""
        name = f"The training loop of workload '{self.workload.name}'"
        if not (isinstance(report, tuple | list) and len(report) == 2 and isinstance(report[1], Mapping)):
            raise WorkloadError(f"{name} must yield (step, {{metric: value}}), but yielded {report!r}.")
        step, values = report
        if not isinstance(step, int) or step < self.step:
            raise WorkloadError(
                f"{name} yielded step {step!r} after step {self.step}; steps are whole numbers that never go back."
            )
        for key in (self.loop.metric, self.loop.test_metric):
            if key not in values:
                raise WorkloadError(f"{name} yielded {sorted(values)} at step {step}, without '{key}'.")
        self.step, self.values = step, {key: float(value) for key, value in values.items()}
        if self.diverged_at is None and not math.isfinite(self.values[self.loop.metric]):
            self.diverged_at = max(1, step)

    def score(self, split: str) -> Score:
        """The metric of the last report. Less of the loss is better, whatever the direction."""
        value = self.values[self.loop.test_metric if split == "test" else self.loop.metric]
        return Score(value, -value if self.workload.scored_by.direction == "max" else value)

    def make_optimizer(self, params: Any) -> torch.optim.Optimizer:
        """The trial's optimizer for these parameters (of ``model.parameters()``, or groups of them)."""
        made = optimizer_of(self.setup, params)
        surround(made, self.setup, self.training)
        return made

    def close(self) -> None:
        """The race has seen enough."""
        close: Callable[[], None] | None = getattr(self._reports, "close", None)
        if close is not None and self._globals is not None:
            self._globals.put()
            close()


def surround(optimizer: torch.optim.Optimizer, setup: TrialSetup, training: Training) -> None:
    """Schedule, clipping and decoupled decay around every ``optimizer.step()``, as the engines do them.

    A trainer may give ``step`` a closure that computes the gradients (Lightning does): they are clipped in there.
    """
    around, rates = setup.surroundings, [group.get("lr") for group in optimizer.param_groups]
    done = 0

    @torch.no_grad()
    def clip() -> None:
        params = [param for group in optimizer.param_groups for param in group["params"]]
        grads = [param.grad for param in params if param.grad is not None]
        if around.clip_norm and grads:
            share = clipping(torch.stack([grad.norm() for grad in grads]).norm(), around.clip_norm)
            for grad in grads:
                grad.mul_(share)

    @torch.no_grad()
    def decay() -> None:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            share = group["lr"] * around.decoupled_weight_decay if rate is not None else 0
            for param in group["params"] if share else ():
                if param.dim() > 1 or training.decay_biases:
                    param.mul_(1 - share)

    def before(optimizer: torch.optim.Optimizer, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        nonlocal done
        done += 1
        factor = multiplier(training.schedule, done, training.steps, around.warmup)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            if rate is not None:
                group["lr"] = rate * factor
        closure = arguments[1] if len(arguments) > 1 else named.get("closure")
        if closure is None:
            clip()
            decay()
            return None
        decayed = False

        def clipped() -> Any:
            nonlocal decayed
            loss = closure()
            clip()
            if not decayed:  # after the first gradient, as without a closure
                decay()
                decayed = True
            return loss

        return (optimizer, clipped), {name: value for name, value in named.items() if name != "closure"}

    plain = training.schedule == "constant" and not (around.warmup or around.clip_norm or around.decoupled_weight_decay)
    if not plain:
        optimizer.register_step_pre_hook(before)


class OwnLoopTrials(Trials):
    """Trials of a block, each with its own generator. An error ends the trial it happened in, no other."""

    def __init__(self, workload: Workload, setups: Sequence[TrialSetup], training: Training) -> None:
        self._trials = [_Trial(workload, setup, training) for setup in setups]

    def advance(self, until: int) -> None:
        """See ``Trials``."""
        for trial in self._trials:
            _guarded(trial, lambda t: t.train(until))

    def losses(self) -> list[float]:
        """See ``Trials``. There is no training loss to tell."""
        return [math.nan for _ in self._trials]

    def state(self) -> None:
        """See ``Trials``: where a generator stands cannot be had."""

    def load(self, state: dict[str, Any]) -> None:
        """See ``Trials``."""
        raise NotImplementedError("Where a user's generator stands cannot be set.")

    def evaluate(self, split: str) -> Evaluation:
        """See ``Trials``."""
        return Evaluation.of([trial.score(split) if trial.values else NO_SCORE for trial in self._trials])

    def diverged_at(self) -> list[int | None]:
        """See ``Trials``."""
        return [trial.diverged_at for trial in self._trials]

    def failures(self) -> list[str | None]:
        """See ``Trials``."""
        return [trial.failure for trial in self._trials]

    def keep(self, rows: Sequence[int]) -> None:
        """See ``Trials``: the others' generators are closed."""
        for row, trial in enumerate(self._trials):
            if row not in rows:
                _guarded(trial, _Trial.close)
        self._trials = [self._trials[row] for row in rows]


def _guarded(trial: _Trial, act: Callable[[_Trial], None]) -> None:
    """Run a part of a trial with the caller's generators left as they were; note an error as its failure."""
    if trial.failure is not None:
        return
    kept = Globals.__new__(Globals)
    kept.take()
    try:
        act(trial)
    except WorkloadError as error:
        trial.failure = str(error)
    except Exception as error:
        trial.failure = users_lines(error)
    finally:
        kept.put()


class OwnLoop:
    """The engine that starts such trials."""

    name = "training loop"

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def start(self, setups: Sequence[TrialSetup], training: Training) -> OwnLoopTrials:
        """Trials at step 0."""
        return OwnLoopTrials(self.workload, setups, training)
