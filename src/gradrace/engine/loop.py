"""The reference engine: one trial after another in plain PyTorch. Short, literal, never optimised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from gradrace._discovery import users_lines
from gradrace.engine.batches import Batches, on_device
from gradrace.engine.trial import Evaluation, Training, TrialSetup, fresh_model, multiplier
from gradrace.randomness import seed_of
from gradrace.workloads import Workload


class _Trial:
    """One trial under way."""

    def __init__(self, workload: Workload, setup: TrialSetup, training: Training) -> None:
        self.workload, self.setup, self.training = workload, setup, training
        self.model = fresh_model(workload, setup.stream, training)
        self.params = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.state = setup.optimizer.rule.init(self.detached(), setup.options)
        self.batches = Batches(workload, setup.stream, training)
        self.step = 0
        self.diverged_at: int | None = None
        self.failure: str | None = None

    def detached(self) -> dict[str, torch.Tensor]:
        return {name: p.detach() for name, p in self.params.items()}

    def hyper(self) -> Any:
        hyper = self.setup.optimizer.hyper_tensors([dict(self.setup.hyper)], self.training.device)
        return type(hyper)(*(None if value is None else value[0] for value in hyper))

    def train(self, until: int, data: tuple[torch.Tensor, ...]) -> float:
        """Mean training loss from the present step to ``until``."""
        self.model.train()
        total, first = 0.0, self.step
        for step in range(first + 1, until + 1):
            batch = tuple(tensor[self.batches.indices(step)] for tensor in data)
            torch.manual_seed(seed_of(*self.setup.stream, "masks", step))
            loss = self.workload.loss_of(self.model, batch)
            grads = torch.autograd.grad(loss, list(self.params.values()))
            hyper = self.hyper()
            hyper = hyper._replace(lr=hyper.lr * multiplier(self.training.schedule, step, self.training.steps))
            updates, self.state = self.setup.optimizer.rule.update(
                dict(zip(self.params, grads, strict=True)),
                self.state,
                self.detached(),
                hyper,
                torch.tensor(float(step), dtype=torch.float64),
                self.setup.options,
            )
            with torch.no_grad():
                for name, param in self.params.items():
                    param.add_(updates[name])
            total += loss.item()
            if self.diverged_at is None and not torch.isfinite(loss):
                self.diverged_at = step
            self.step = step
        return total / max(1, until - first)

    @torch.no_grad()
    def evaluate(self, data: tuple[torch.Tensor, ...]) -> tuple[float, float]:
        self.model.eval()
        with self.evaluated():
            output = self.workload.output(self.model, data)
        metric = self.workload.scored_by.of(output, data[-1])
        return float(metric), float(self.workload.loss(output, data[-1]))

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The model with the parameters to evaluate it with; afterwards, with those that are being trained again."""
        evaluated = self.setup.optimizer.evaluated
        trained = {name: param.clone() for name, param in self.detached().items()} if evaluated else {}
        if evaluated:
            self.put(evaluated(trained, self.state, self.hyper(), self.setup.options))
        try:
            yield
        finally:
            self.put(trained)

    def put(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self.params[name].detach().copy_(value)


class LoopTrials:
    """Trials of a block, each trained alone. An error of the user's code ends the trial it happened in, no other."""

    def __init__(self, workload: Workload, setups: Sequence[TrialSetup], training: Training) -> None:
        self._data = {name: on_device(data, training) for name, data in workload.splits.items()}
        self._trials = [_Trial(workload, setup, training) for setup in setups]

    def train(self, until: int) -> list[float]:
        """See ``Trials``."""
        return [_guarded(trial, lambda t: t.train(until, self._data["train"]), torch.nan) for trial in self._trials]

    def evaluate(self, split: str) -> Evaluation:
        """See ``Trials``."""
        pairs = [_guarded(t, lambda t: t.evaluate(self._data[split]), (torch.nan, torch.nan)) for t in self._trials]
        return Evaluation([metric for metric, _ in pairs], [loss for _, loss in pairs])

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
    """The engine that starts such trials."""

    name = "loop"

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def start(self, setups: Sequence[TrialSetup], training: Training) -> LoopTrials:
        """Trials at step 0."""
        return LoopTrials(self.workload, setups, training)
