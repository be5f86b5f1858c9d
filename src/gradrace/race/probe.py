"""Before the first block: does the workload train at all, which engine trains it faster, and what does a step cost."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from gradrace._discovery import users_lines
from gradrace.engine.batches import Batches, on_device
from gradrace.engine.loop import needs_closure
from gradrace.engine.trial import Training, Trials, TrialSetup, fresh_model
from gradrace.errors import GradraceError, SpecError, WorkloadError
from gradrace.optim import drop_in
from gradrace.optimizers import Optimizer, TorchOptimizer
from gradrace.race.spec import Contender
from gradrace.race.train import Grounds, Progress
from gradrace.workloads import Batch, Workload

TIMED_STEPS = 5
TRIALS_EACH = 8


@dataclass(frozen=True)
class Findings:
    """What the probe found; it becomes part of the plan. ``untrained`` is the metric before the first step."""

    engine: str
    reason: str
    stochastic: bool
    parameters: int
    untrained: float | None


def probe(state: dict[str, Any], progress: Progress) -> Findings:
    """Train a few steps each way, and choose the engine: the vectorized one where it works and is faster.

    Raises:
        WorkloadError: the workload's own code raises, or its loss is not a scalar.
        SpecError: the spec insists on an engine that cannot train this workload.
    """
    try:
        return _findings(state)
    except GradraceError:
        raise
    except Exception as error:
        name = state["grounds"].workload.name
        raise WorkloadError(f"Workload '{name}' raised when it was tried:\n{users_lines(error)}") from None


def _findings(state: dict[str, Any]) -> Findings:
    grounds: Grounds = state["grounds"]
    training = grounds.training(TIMED_STEPS + 1)
    setups = [
        TrialSetup(contender.rule, contender.typical_configuration(), contender.options, (grounds.spec.seed, 0, 0))
        for contender in grounds.contenders.values()
    ]
    model = fresh_model(grounds.workload, setups[0].stream, training)
    stochastic = _check_loss(grounds, model, setups[0], training)
    loop_seconds, untrained = _try_contenders(state, setups, training)
    rules = [setup for setup in setups if isinstance(setup.optimizer, Optimizer)]
    engine, reason = "loop", "No contender is an update rule; other optimizers train one model at a time."
    if rules:
        rule_seconds = statistics.mean(loop_seconds[setups.index(setup)] for setup in rules)
        engine, reason = _choose_engine(state, model, rules, training, rule_seconds)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Findings(engine, reason, stochastic, parameters, untrained if math.isfinite(untrained) else None)


def _choose_engine(
    state: dict[str, Any], model: nn.Module, setups: list[TrialSetup], training: Training, loop_seconds: float
) -> tuple[str, str]:
    """The engine and the reason for it, in a sentence."""
    grounds: Grounds = state["grounds"]
    wanted = grounds.spec.engine
    if wanted == "loop":
        return "loop", "The spec asks for it."
    obstacle = _obstacle(model)
    if obstacle is None:
        try:
            many = [setup for setup in setups for _ in range(TRIALS_EACH)]
            seconds, _ = _try(state["engines"]["vectorized"].start(many, training))
        except Exception as error:
            obstacle = f"the model cannot be vectorized: {str(error).strip().splitlines()[0]}"
        else:
            ratio = loop_seconds / seconds
            compared = f"{ratio:.1f} times as fast as" if ratio >= 1 else f"{1 / ratio:.1f} times slower than"
            reason = f"In a try of {TIMED_STEPS} steps the vectorized engine was {compared} the loop engine."
            return ("vectorized" if ratio >= 1 or wanted == "vectorized" else "loop"), reason
    if wanted == "vectorized":
        raise SpecError(f"The vectorized engine cannot train '{grounds.workload.name}': {obstacle}. 'loop' can.")
    return "loop", f"Not vectorized: {obstacle}."


def _try_contenders(state: dict[str, Any], setups: list[TrialSetup], training: Training) -> tuple[list[float], float]:
    """Seconds of each contender's try by the loop engine, and the metric of the untrained model.

    An error of every contender is the workload's; an error of some is theirs.
    """
    workload, labels = state["grounds"].workload, list(state["grounds"].contenders)
    seconds, untrained, failures = [], math.nan, {}
    for label, setup in zip(labels, setups, strict=True):
        try:
            trials = state["engines"]["loop"].start([setup], training)
        except GradraceError:
            raise
        except Exception as error:
            failures[label] = users_lines(error)  # its optimizer refuses this model's parameters
            continue
        taken, untrained = _try(trials)
        seconds.append(taken)
        (failure,) = trials.failures()
        if failure:
            failures[label] = failure
    if len(failures) == len(labels):
        raise WorkloadError(f"Workload '{workload.name}' raised in its first steps:\n{failures[labels[0]]}")
    for label, failure in failures.items():
        raise SpecError(f"Contender '{label}' cannot train the model of workload '{workload.name}':\n{failure}")
    return seconds, untrained


def _try(trials: Trials) -> tuple[float, float]:
    """Seconds of the timed steps (the first step, which may trace, not counted), and the metric before."""
    untrained = trials.evaluate("validation").metric
    trials.train(1)
    start = time.perf_counter()
    trials.train(TIMED_STEPS + 1)
    return (time.perf_counter() - start) / len(untrained), untrained[0]


def _check_loss(grounds: Grounds, model: nn.Module, setup: TrialSetup, training: Training) -> bool:
    """Raise unless the loss of a batch is a scalar; tell whether computing it draws random numbers."""
    workload = grounds.workload
    rows = Batches(workload, setup.stream, training).indices(1)
    batch = on_device(tuple(tensor[rows] for tensor in workload.splits["train"]), training)
    with torch.random.fork_rng(devices=[]):
        before = torch.random.get_rng_state()
        model.train()
        loss = workload.loss_of(model, batch)
        stochastic = not torch.equal(before, torch.random.get_rng_state())
    if not isinstance(loss, torch.Tensor) or loss.shape != ():
        shape = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise WorkloadError(f"The loss of workload '{workload.name}' must be a tensor of shape (), but is {shape}.")
    return stochastic


def _obstacle(model: nn.Module) -> str | None:
    buffers = [name for name, _ in model.named_buffers()]
    if buffers:
        return f"the model has buffers ({', '.join(buffers[:3])}), which every trial would have to own"
    if any(not parameter.requires_grad for parameter in model.parameters()):
        return "the model has frozen parameters"
    return None


MEASURED_ROUNDS, MEASURED_STEPS = 7, 10


def measure_costs(state: dict[str, Any], progress: Progress) -> dict[str, dict[str, float]]:
    """Seconds of a plain training step and bytes of state per parameter, by contender, with the drop-in optimizer.

    The contenders take turns, round after round, and the median round counts: a busy moment of the machine falls on
    all of them alike.
    """
    grounds: Grounds = state["grounds"]
    workload, training = grounds.workload, grounds.training(MEASURED_STEPS)
    data = on_device(workload.splits["train"], training)
    batch = tuple(tensor[: training.batch_size] for tensor in data)
    runs = {}
    for label, contender in grounds.contenders.items():
        model = fresh_model(workload, (grounds.spec.seed, 0, 0), training)
        runs[label] = (model, _drop_in(contender, model))
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


def _drop_in(contender: Contender, model: nn.Module) -> torch.optim.Optimizer:
    hyper, params = contender.typical_configuration(), [p for p in model.parameters() if p.requires_grad]
    if isinstance(contender.rule, TorchOptimizer):
        return contender.rule.build(params, hyper)
    return drop_in(contender.rule, **contender.options)(params, **hyper)


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of all tensors that the optimizer remembers, its counts of steps left out."""
    tensors = (leaf for leaf in tree_leaves(dict(optimizer.state)) if isinstance(leaf, torch.Tensor))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor.dim())
