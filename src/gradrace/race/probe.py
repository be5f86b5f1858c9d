"""Before the first block: does the workload train at all, which engine trains it faster, and what does a step cost."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch

from gradrace.engine.batches import Batches, on_device
from gradrace.engine.trial import Training, TrialSetup, fresh_model
from gradrace.errors import SpecError, WorkloadError
from gradrace.optim import drop_in
from gradrace.race.train import Grounds, Progress

TIMED_STEPS = 5
TRIALS_EACH = 8


@dataclass(frozen=True)
class Findings:
    """What the probe found; it becomes part of the plan."""

    engine: str
    reason: str
    stochastic: bool
    parameters: int


def probe(state: dict[str, Any], progress: Progress) -> Findings:
    """Train a few steps each way, and choose the engine: the vectorized one where it works and is faster.

    Raises:
        WorkloadError: the workload's own code raises, or its loss is not a scalar.
        SpecError: the spec insists on an engine that cannot train this workload.
    """
    grounds: Grounds = state["grounds"]
    wanted, training = grounds.spec.engine, grounds.training(TIMED_STEPS + 1)
    setups = [
        TrialSetup(contender.rule, contender.full_configuration({}), contender.options, (grounds.spec.seed, 0, 0))
        for contender in grounds.contenders.values()
    ]
    model = fresh_model(grounds.workload, setups[0].stream, training)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    stochastic = _check_loss(grounds, model, setups[0], training)
    loop_seconds = _loop_seconds(state, setups, training)
    if wanted == "loop":
        return Findings("loop", "The spec asks for it.", stochastic, parameters)
    obstacle = _obstacle(model)
    if obstacle is None:
        try:
            many = [setup for setup in setups for _ in range(TRIALS_EACH)]
            seconds = _seconds(state["engines"]["vectorized"], many, training)
        except Exception as error:
            obstacle = f"the model cannot be vectorized: {str(error).strip().splitlines()[0]}"
        else:
            ratio = loop_seconds / seconds
            faster = f"{ratio:.1f} times as fast as" if ratio >= 1 else f"{1 / ratio:.1f} times slower than"
            reason = f"In a trial of {TIMED_STEPS} steps the vectorized engine was {faster} the loop engine."
            chosen = "vectorized" if ratio >= 1 or wanted == "vectorized" else "loop"
            return Findings(chosen, reason, stochastic, parameters)
    if wanted == "vectorized":
        raise SpecError(f"The vectorized engine cannot train '{grounds.workload.name}': {obstacle}. 'loop' can.")
    return Findings("loop", f"Not vectorized: {obstacle}.", stochastic, parameters)


def _check_loss(grounds: Grounds, model: torch.nn.Module, setup: TrialSetup, training: Training) -> bool:
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


def _obstacle(model: torch.nn.Module) -> str | None:
    buffers = [name for name, _ in model.named_buffers()]
    if buffers:
        return f"the model has buffers ({', '.join(buffers[:3])}), which every trial would have to own"
    if any(not parameter.requires_grad for parameter in model.parameters()):
        return "the model has frozen parameters"
    return None


def _loop_seconds(state: dict[str, Any], setups: list[TrialSetup], training: Training) -> float:
    trials = state["engines"]["loop"].start(setups, training)
    trials.train(1)
    for failure in trials.failures():
        if failure:
            name = state["grounds"].workload.name
            raise WorkloadError(f"Workload '{name}' raised in its first training step:\n{failure}")
    start = time.perf_counter()
    trials.train(TIMED_STEPS + 1)
    seconds = time.perf_counter() - start
    trials.evaluate("validation")
    for failure in trials.failures():
        if failure:
            raise WorkloadError(f"Workload '{state['grounds'].workload.name}' raised:\n{failure}")
    return seconds / len(setups)


def _seconds(engine: Any, setups: list[TrialSetup], training: Training) -> float:
    """Seconds per trial for the timed steps, tracing not counted."""
    trials = engine.start(setups, training)
    trials.train(1)
    start = time.perf_counter()
    trials.train(TIMED_STEPS + 1)
    seconds = time.perf_counter() - start
    trials.evaluate("validation")
    return seconds / len(setups)


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
        made = drop_in(contender.rule, **contender.options)
        keywords = made.arguments.keywords(contender.full_configuration({}), contender.options)
        runs[label] = (model, made(model.parameters(), **keywords))
    seconds: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(MEASURED_ROUNDS):
        for label, (model, optimizer) in runs.items():
            start = time.perf_counter()
            for _ in range(MEASURED_STEPS):
                optimizer.zero_grad()
                workload.loss_of(model, batch).backward()
                optimizer.step()
            seconds[label].append((time.perf_counter() - start) / MEASURED_STEPS)
    return {
        label: {
            "step_seconds": statistics.median(seconds[label]),
            "state_bytes_per_parameter": optimizer.state_bytes() / sum(p.numel() for p in model.parameters()),
        }
        for label, (model, optimizer) in runs.items()
    }
