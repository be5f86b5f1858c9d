"""What a step costs with the drop-in optimizers: seconds and bytes of state, on the workload's own model."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from gradrace.engine.batches import Feed
from gradrace.engine.loop import needs_closure
from gradrace.engine.sources import source
from gradrace.engine.trial import TrialSetup, fresh_model, optimizer_of
from gradrace.errors import WorkloadError
from gradrace.optim import RuleOptimizer
from gradrace.race.grounds import Grounds
from gradrace.race.train import Progress
from gradrace.workloads import Batch, Workload

MEASURED_ROUNDS, MEASURED_STEPS = 7, 10


def measure_costs(state: dict[str, Any], progress: Progress) -> dict[str, dict[str, float]]:
    """Seconds of a plain training step and bytes of state per parameter, by contender, with the drop-in optimizer.

    The contenders take turns, round after round, and the median round counts: a busy moment of the machine falls on
    all of them alike.
    """
    with state["clock"].spending("costs"):
        return _measured(state["grounds"])


def _measured(grounds: Grounds) -> dict[str, dict[str, float]]:
    workload, training = grounds.workload, grounds.training(MEASURED_STEPS)
    if workload.training_loop is not None:
        raise WorkloadError("The workload trains by a loop of its own, whose steps cannot be timed apart.")
    stream = (grounds.spec.seed, 0, 0)
    with torch.random.fork_rng(devices=[]):
        batch = source(Feed(workload, training), stream).batch(fresh_model(workload, stream, training), 1)
    runs = {}
    for label, contender in grounds.contenders.items():
        model = fresh_model(workload, stream, training)
        setup = TrialSetup(contender.rule, contender.typical_configuration(), contender.options, stream)
        runs[label] = (model, optimizer_of(setup, [p for p in model.parameters() if p.requires_grad]))
    seconds: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(MEASURED_ROUNDS):
        for label, (model, optimizer) in runs.items():
            seconds[label].append(_step_seconds(workload, model, optimizer, batch))
    return {
        label: {
            "step_seconds": statistics.median(seconds[label]),
            "state_bytes_per_parameter": _state_bytes(optimizer) / sum(p.numel() for p in model.parameters()),
        }
        for label, (model, optimizer) in runs.items()
    }


def _step_seconds(workload: Workload, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """Seconds per gradient and what the optimizer does with it, in a plain training loop."""
    gradients = 0

    def closure() -> Any:
        nonlocal gradients
        gradients += 1
        optimizer.zero_grad()
        loss = workload.loss_of(model, batch)
        loss.backward()
        return loss

    alone = not needs_closure(optimizer)
    start = time.perf_counter()
    for _ in range(MEASURED_STEPS):
        if alone:
            closure()
            optimizer.step()
        else:
            with torch.enable_grad():
                optimizer.step(closure)
    return (time.perf_counter() - start) / gradients


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of all tensors that the optimizer remembers, its counts of steps left out."""
    if isinstance(optimizer, RuleOptimizer):
        return optimizer.state_bytes()
    tensors = (leaf for leaf in tree_leaves(dict(optimizer.state)) if isinstance(leaf, torch.Tensor))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor.dim())
