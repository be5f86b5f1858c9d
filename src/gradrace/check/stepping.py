"""Parameters under an update rule: one trial at a time, literally, and many side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_map

from gradrace.check.problems import Problem, Tree
from gradrace.errors import SpecError
from gradrace.optimizers import Case, Optimizer


def clock(step: int) -> Tensor:
    """A step's number as rules receive it."""
    return torch.tensor(float(step), dtype=torch.float64)


def record(optimizer: Optimizer, hyper: Mapping[str, float]) -> Any:
    """Hyperparameters of one trial: tensors of shape (), None where absent."""
    columns = optimizer.hyper_tensors([optimizer.configure(hyper)])
    return type(columns)(*(None if column is None else column[0] for column in columns))


class Trained:
    """One trial, step by step. It adds updates as the loop engine does, but to copies of the parameters."""

    def __init__(self, optimizer: Optimizer, params: Tree, case: Case) -> None:
        self.optimizer, self.options = optimizer, optimizer.with_options(case.options, case.hyper)
        self.hyper = record(optimizer, case.hyper)
        self.params = {name: param.clone() for name, param in params.items()}
        self.state = optimizer.rule.init(self.params, self.options)
        self.steps = 0

    def step(self, grads: Tree) -> Tree:
        """One step; what was added to the parameters."""
        self.steps += 1
        updates, self.state = self.optimizer.rule.update(
            grads, self.state, self.params, self.hyper, clock(self.steps), self.options
        )
        self.params = {name: param + updates[name] for name, param in self.params.items()}
        return updates

    def evaluated(self) -> Tree:
        """The parameters that a model would be evaluated with."""
        of = self.optimizer.evaluated
        return of(self.params, self.state, self.hyper, self.options) if of else self.params


class SideBySide:
    """Trials that differ in their hyperparameters, each tensor with the trials as its first axis."""

    def __init__(self, optimizer: Optimizer, params: Tree, hypers: Sequence[Mapping[str, float]], case: Case) -> None:
        self.optimizer, self.options = optimizer, optimizer.with_options(case.options, case.hyper)
        self.columns = optimizer.hyper_tensors([optimizer.configure({**case.hyper, **hyper}) for hyper in hypers])
        self.present = {name: column for name, column in self.columns._asdict().items() if column is not None}
        self.params = {name: torch.stack([param] * len(hypers)) for name, param in params.items()}
        state = vmap(lambda params: optimizer.rule.init(params, self.options))(self.params)
        self.state = tree_map(torch.clone, state)  # vmap may expand one tensor over all trials
        self.steps = 0

    def _full(self, present: Tree) -> Any:
        return type(self.columns)(**{**dict.fromkeys(self.columns._fields), **present})

    def update(self, grads: Tree, state: Any, params: Tree, present: Tree, step: Tensor) -> tuple[Tree, Any]:
        """The rule, for one trial."""
        return self.optimizer.rule.update(grads, state, params, self._full(present), step, self.options)

    def step(self, grads: Tree) -> None:
        """One step of all trials with these gradients."""
        self.steps += 1
        many = vmap(self.update, in_dims=(0, 0, 0, 0, None))
        self._add(*many(grads, self.state, self.params, self.present, clock(self.steps)))

    def _add(self, updates: Tree, state: Any) -> None:
        self.params = {name: param + updates[name] for name, param in self.params.items()}
        self.state = state

    def traced(self) -> Callable[[Tree], None]:
        """``step`` as the vectorized engine takes it: traced once, then run as a list of tensor operations."""

        def one(grads: Tree, state: Any, params: Tree, present: Tree, step: Tensor) -> tuple[Tree, Any]:
            return self.update(grads, state, params, present, step)

        slopes = {name: torch.zeros_like(param) for name, param in self.params.items()}
        given = (slopes, self.state, self.params, self.present, clock(1))
        program = make_fx(vmap(one, in_dims=(0, 0, 0, 0, None)))(*given)

        def step(grads: Tree) -> None:
            self.steps += 1
            self._add(*program(grads, self.state, self.params, self.present, clock(self.steps)))

        return step

    def descend(self, loss: Callable[[Tree], Tensor], steps: int) -> None:
        """Steps along the gradient of ``loss``; traced once, as the vectorized engine does."""

        def one(params: Tree, state: Any, present: Tree, step: Tensor) -> tuple[Tree, Any]:
            updates, state = self.update(grad(loss)(params), state, params, present, step)
            return {name: param + updates[name] for name, param in params.items()}, state

        arguments = (self.params, self.state, self.present)
        traced = make_fx(vmap(one, in_dims=(0, 0, 0, None)))(*arguments, clock(1))
        for _ in range(steps):
            self.steps += 1
            self.params, self.state = traced(self.params, self.state, self.present, clock(self.steps))

    def losses(self, loss: Callable[[Tree], Tensor]) -> Tensor:
        """The loss of every trial, at the parameters that it would be evaluated with."""

        def one(params: Tree, state: Any, present: Tree) -> Tensor:
            of = self.optimizer.evaluated
            return loss(of(params, state, self._full(present), self.options) if of else params)

        return vmap(one)(self.params, self.state, self.present)


RATES = 12


def learning_rates(optimizer: Optimizer) -> list[float]:
    """A few learning rates, evenly spread over the optimizer's own search space, from one end to the other.

    Around the default where that space cannot be used, which is told elsewhere.
    """
    try:
        rates = [optimizer.space["lr"].value(share / (RATES - 1)) for share in range(RATES)]
        for rate in rates:
            optimizer.configure({"lr": rate})
    except (KeyError, IndexError, ValueError, SpecError):
        default = optimizer.hyperparameters["lr"].default
        rates = [abs(default) * 10 ** (share / 3 - 3) for share in range(RATES)]
    return rates


def gaps(optimizer: Optimizer, problem: Problem) -> Tensor:
    """What is left of the distance to the minimum at each learning rate, as a share of that at the start: [rates]."""
    hypers = [{"lr": rate} for rate in learning_rates(optimizer)]
    trials = SideBySide(optimizer, problem.start, hypers, Case())
    trials.descend(problem.loss, problem.steps)
    return _shares(problem, trials.losses(problem.loss))


def gap_at(optimizer: Optimizer, problem: Problem, rate: float) -> Tensor:
    """The same at one learning rate, step by literal step: shape ()."""
    trial = Trained(optimizer, problem.start, Case({"lr": rate}))
    for _ in range(problem.steps):
        leaves = {name: param.detach().requires_grad_() for name, param in trial.params.items()}
        slopes = torch.autograd.grad(problem.loss(leaves), list(leaves.values()))
        trial.step(dict(zip(leaves, slopes, strict=True)))
    return _shares(problem, problem.loss(trial.evaluated()))


def _shares(problem: Problem, losses: Tensor) -> Tensor:
    gap = (losses.double() - problem.minimum) / (problem.loss(problem.start).double() - problem.minimum)
    return torch.where(gap.isfinite(), gap, torch.inf)
