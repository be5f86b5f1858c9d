"""Whole runs of an update rule: down four problems whose minimum is known, and on from a saved state."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace

import cloudpickle
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from gradrace.check.problems import PROBLEMS, Problem
from gradrace.check.rules import DTYPES, F32, STEPS, gradients, parameters, same
from gradrace.check.stepping import Trained, gap_at, gaps, learning_rates
from gradrace.optimizers import Optimizer


def best_gap(optimizer: Optimizer, problem: Problem) -> tuple[float, float]:
    """The learning rate, of a few in the search space, that leaves the least distance to the minimum, and that one."""
    rates = learning_rates(optimizer)
    try:
        found = gaps(optimizer, problem)
    except Exception:  # it cannot be put side by side, which a check of its own tells
        found = torch.stack([gap_at(optimizer, problem, rate) for rate in rates])
    best = int(found.argmin())
    return rates[best], float(found[best])


def descends(name: str) -> Callable[[Optimizer], list[str]]:
    """The check that an optimizer makes headway on a problem: tuned in float32, at that learning rate in float64."""

    def check(optimizer: Optimizer) -> list[str]:
        problems = [PROBLEMS[name](dtype) for dtype in DTYPES]
        rate, gap = best_gap(optimizer, problems[0])
        again = float(gap_at(optimizer, problems[1], rate))
        return [*_too_little(problems[0], "float32", rate, gap), *_too_little(problems[1], "float64", rate, again)]

    check.__doc__ = f"Headway on {PROBLEMS[name](F32).title}."
    return check


def _too_little(problem: Problem, dtype: str, rate: float, gap: float) -> Iterator[str]:
    if not gap * problem.factor <= 1:
        reached = "it diverged" if gap == float("inf") else f"{gap:.2g} of it was left"
        yield (
            f"On {problem.title} in {dtype}, {problem.steps} steps must bring the distance to the minimum below "
            f"1/{problem.factor:g} of what it was, but {reached} at the best learning rate tried, {rate:.2g}."
        )


def serialisation(optimizer: Optimizer) -> list[str]:
    """A saved state goes on bit for bit, also with a rule that was sent to another process."""
    found = []
    sent = pickle.loads(cloudpickle.dumps(optimizer))  # noqa: S301 - it was made here, a moment ago
    for case in optimizer.cases:
        trial = Trained(optimizer, parameters(F32), case)
        for step in range(1, STEPS + 1):
            trial.step(gradients(trial.params, step))
        leaves, form = tree_flatten((trial.params, trial.state))
        file = io.BytesIO()
        torch.save(leaves, file)
        file.seek(0)
        params, state = tree_unflatten(torch.load(file, weights_only=True), form)
        other = Trained(sent, params, replace(case))
        other.state, other.steps = state, trial.steps
        for step in range(STEPS + 1, 2 * STEPS + 1):
            grads = gradients(trial.params, step)
            if not same(other.step(grads), trial.step(grads)):
                found.append(
                    "Saved after three steps and loaded, the state does not go on as it would have: something "
                    "that matters is kept outside of it."
                )
    return found
