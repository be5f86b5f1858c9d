"""What every workload must do: differ by seed and by nothing else, start finite, learn, and keep its splits apart.

Each check takes a workload and gives the sentences of what it fails; none means that it passed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from gradrace.check.findings import Remark, told
from gradrace.engine.batches import Feed
from gradrace.engine.loop import Loop
from gradrace.engine.played import plays_together
from gradrace.engine.sources import source
from gradrace.engine.trial import Training, TrialSetup, fresh_model
from gradrace.engine.vectorized import Vectorized
from gradrace.errors import WorkloadError
from gradrace.optimizers import optimizer
from gradrace.randomness import Stream
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import shapes, tensors_of
from gradrace.workloads._splits import Split, size

STREAM: Stream = (0, 0, 0)
AGREEING_STEPS = 5
LEARNING_STEPS = 150
RATES = (1e-4, 1e-3, 1e-2, 1e-1)


@contextmanager
def other_randomness(seed: int) -> Iterator[None]:
    """Every global generator in another state; afterwards as it was."""
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)


def data(workload: Workload) -> list[str]:
    """The splits can be loaded, and every process that loads them gets the same."""
    try:
        splits = workload.splits
        with other_randomness(1):
            again = replace(workload).splits
    except WorkloadError as error:
        return [str(error)]
    return [
        f"The {name} split differs from one loading to the next, and every process loads it anew: seed what draws it."
        for name in splits
        if not _equal(splits[name], again[name])
    ]


def _equal(one: Split, other: Split) -> bool:
    if isinstance(one, Dataset) or isinstance(other, Dataset):
        return size(one) == size(other)
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return shapes(one) == shapes(other) and all(torch.equal(a, b) for a, b in pairs)


def disjoint(workload: Workload) -> list[str]:
    """No example is in two splits; not more of them, at least, than are in one split twice."""
    return workload.remarks()


def initialisation(workload: Workload) -> list[str]:
    """Initial weights differ by seed, and by nothing else."""
    training = Training(1, workload.batch_size)
    with other_randomness(1):
        one = fresh_model(workload, STREAM, training)
        first = _weights(one)
    with other_randomness(2):
        again, another = (fresh_model(workload, stream, training) for stream in (STREAM, (0, 0, 1)))
    if again is one or another is one:
        return ["The model function returns the same model again; it must build a fresh one at every call."]
    if first.shape != _weights(again).shape or first.shape != _weights(another).shape:
        return ["The model function returns models of different sizes."]
    found = []
    if not torch.equal(first, _weights(again)):
        found.append(
            "Initial weights differ though the seed is the same: something other than torch's generator, which is "
            "seeded before the model is built, draws them."
        )
    if torch.equal(first, _weights(another)):
        found.append(
            "Initial weights are the same for every seed, so that seeds would not show luck: draw them from torch's "
            "generator, and do not seed it."
        )
    return found


def _weights(model: nn.Module) -> Tensor:
    return torch.cat([param.detach().reshape(-1).clone() for param in model.parameters()])


def batches(workload: Workload) -> list[str]:
    """The same stream gives the same batches, whatever else has happened."""
    training, found = Training(1, workload.batch_size), []
    model = fresh_model(workload, STREAM, training)
    repeated: list[list[Batch]] = []
    for seed in (1, 2):
        with other_randomness(seed):
            drawn = source(Feed(workload, training), STREAM)
            repeated.append([drawn.batch(model, step) for step in range(1, 11)])
            drawn.rest()
    if not all(_equal(a, b) for a, b in zip(*repeated, strict=True)):
        found.append("Batches of one seed differ from one time to the next.")
    examples = workload.sizes().get("train")
    if examples is not None and workload.batch_size > examples:
        found.append(f"batch_size is {workload.batch_size}, but there are only {examples} examples to train on.")
    return found


def start(workload: Workload) -> list[str]:
    """The loss of the first batch is one finite number, with finite gradients for the parameters."""
    training = Training(1, workload.batch_size)
    model = fresh_model(workload, STREAM, training)
    with other_randomness(1):
        batch = source(Feed(workload, training), STREAM).batch(model, 1)
        loss = workload.loss_of(model, batch)
    if not isinstance(loss, Tensor) or loss.shape != ():
        shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        return [f"The loss must be a tensor of shape (), but is {shape}."]
    if not torch.isfinite(loss):
        return [f"The loss before the first step is {loss.item()}; it must be finite."]
    if not loss.requires_grad:
        return ["The loss does not depend on the model's parameters, or was detached from them."]
    named = [(name, param) for name, param in model.named_parameters() if param.requires_grad]
    slopes = torch.autograd.grad(loss, [param for _, param in named], allow_unused=True)
    found = []
    for (name, _), slope in zip(named, slopes, strict=True):
        if slope is None:
            found.append(f"The parameter '{name}' does not take part in the loss: drop it, or freeze it.")
        elif not torch.isfinite(slope).all():
            found.append(f"The first gradient of '{name}' is not finite.")
    return found


def setups(rates: tuple[float, ...], stream: Stream = STREAM) -> list[TrialSetup]:
    """Trials of Adam at these learning rates."""
    adam = optimizer("adam")
    return [TrialSetup(adam, adam.configure({"lr": rate}), adam.with_options({}), stream) for rate in rates]


def learning(workload: Workload) -> list[str]:
    """Adam, at the best of a few learning rates, lowers the loss, and the metric moves in its direction."""
    training = Training(min(workload.steps, LEARNING_STEPS), workload.batch_size)
    trials = Loop(workload).start(setups(RATES), training)
    split = "train" if "train" in workload.splits and not workload.online else "validation"
    before = trials.evaluate(split)
    trials.train(training.steps)
    after, failures = trials.evaluate(split), [failure for failure in trials.failures() if failure]
    if failures:
        return [f"Training raised:\n{failures[0]}"]
    losses = [loss if math.isfinite(loss) else math.inf for loss in after.loss]
    best = losses.index(min(losses))
    if not losses[best] < before.loss[best]:
        return [
            f"Training does not lower the loss: {before.loss[best]:.4g} at the start, {losses[best]:.4g} after "
            f"{training.steps} steps of Adam at the best of {len(RATES)} learning rates."
        ]
    old, new = before.metric[best], after.metric[best]
    if not math.isfinite(old) or not math.isfinite(new):
        return [f"The metric is {old} before and {new} after training; it must be finite."]
    direction = workload.scored_by.direction
    if (new < old) if direction == "max" else (new > old):
        return [
            f"The metric moves the wrong way: with direction '{direction}' training should "
            f"{'raise' if direction == 'max' else 'lower'} it, but while the loss fell from {before.loss[best]:.4g} to "
            f"{losses[best]:.4g} it went from {old:.4g} to {new:.4g}. Is the direction right?"
        ]
    return []


def engines(workload: Workload) -> list[str]:
    """The loop engine and the vectorized one give the same, in float64."""
    training = Training(AGREEING_STEPS, workload.batch_size, dtype=torch.float64)
    tried = setups((1e-3, 1e-2))
    loop = Loop(workload).start(tried, training)
    expected = [*loop.train(AGREEING_STEPS), *loop.evaluate("validation").loss]
    failures = [failure for failure in loop.failures() if failure]
    if failures:
        return [f"The first steps raised:\n{failures[0]}"]
    if not plays_together(workload):
        raise Remark("its batches come from what each trial's own model does, so the loop engine alone trains it")
    try:
        trials = Vectorized(workload).start(tried, training)
        found = [*trials.train(AGREEING_STEPS), *trials.evaluate("validation").loss]
    except Exception as error:
        raise Remark(f"not vectorized, so it is trained by the loop engine alone: {told(error)}") from None
    if not all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(found, expected, strict=True)):
        return [
            f"After {AGREEING_STEPS} steps the vectorized engine and the loop engine differ by more than 1e-9: does "
            "the model or the loss mix examples with something outside of them?"
        ]
    return []
