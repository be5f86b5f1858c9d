"""Before the first block: does the workload train at all, which engine trains it faster, and what does a step cost."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import Any

from gradrace._discovery import users_lines
from gradrace.engine.trial import Training, Trials, TrialSetup, fresh_model
from gradrace.errors import GradraceError, SpecError, WorkloadError
from gradrace.optimizers import Optimizer
from gradrace.race.first_batch import check_factory, check_first_batch, check_length
from gradrace.race.train import Grounds, Progress
from gradrace.workloads import Workload

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
    workload, training = grounds.workload, grounds.training(TIMED_STEPS + 1)
    setups = [
        TrialSetup(contender.rule, contender.typical_configuration(), contender.options, (grounds.spec.seed, 0, 0))
        for contender in grounds.contenders.values()
    ]
    if workload.training_loop is not None:
        return _try_training_loop(state, setups[0], training)
    check_length(workload, grounds.spec.steps, grounds.spec.batch_size)
    model = fresh_model(workload, setups[0].stream, training)
    check_factory(workload)
    # Batches of examples that are fetched may differ in shape, and cannot be stacked for trials of several seeds.
    stochastic = check_first_batch(workload, model, setups[0].stream, training) or workload.fetched
    loop_seconds, untrained = _try_contenders(state, setups, training)
    rules = [setup for setup in setups if isinstance(setup.optimizer, Optimizer)]
    engine, reason = "loop", "No contender is an update rule; other optimizers train one model at a time."
    if rules:
        rule_seconds = statistics.mean(loop_seconds[setups.index(setup)] for setup in rules)
        engine, reason = _choose_engine(state, rules, training, rule_seconds)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Findings(engine, reason, stochastic, parameters, untrained if math.isfinite(untrained) else None)


def _try_training_loop(state: dict[str, Any], setup: TrialSetup, training: Training) -> Findings:
    """Whether the user's own loop gets as far as its first report."""
    grounds: Grounds = state["grounds"]
    name = grounds.workload.name
    if grounds.spec.engine != "auto":
        raise SpecError(
            f"Workload '{name}' trains by a loop of its own, so the engine must be 'auto', not '{grounds.spec.engine}'."
        )
    if grounds.spec.ema or any("ema" in {**c.space, **c.hyper} for c in grounds.contenders.values()):
        raise SpecError(
            f"Workload '{name}' trains by a loop of its own, which evaluates its own weights: ema must be 0."
        )
    trials = state["engines"]["training loop"].start([setup], training)
    trials.train(1)
    (failure,) = trials.failures()
    if failure:
        raise WorkloadError(f"The training loop of workload '{name}' raised when it was tried:\n{failure}")
    trials.keep([])
    return Findings("training loop", "The workload brings a training loop of its own.", False, 0, None)


def _choose_engine(
    state: dict[str, Any], setups: list[TrialSetup], training: Training, loop_seconds: float
) -> tuple[str, str]:
    """The engine and the reason for it, in a sentence."""
    grounds: Grounds = state["grounds"]
    wanted = grounds.spec.engine
    if wanted == "loop":
        return "loop", "The spec asks for it."
    obstacle = _obstacle(grounds.workload)
    if obstacle is None:
        try:
            many = [setup for setup in setups for _ in range(TRIALS_EACH)]
            seconds, _ = _try(grounds.workload, state["engines"]["vectorized"].start(many, training))
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
        taken, untrained = _try(workload, trials)
        seconds.append(taken)
        (failure,) = trials.failures()
        if failure:
            failures[label] = failure
    if len(failures) == len(labels):
        raise WorkloadError(f"Workload '{workload.name}' raised in its first steps:\n{failures[labels[0]]}")
    for label, failure in failures.items():
        raise SpecError(f"Contender '{label}' cannot train the model of workload '{workload.name}':\n{failure}")
    return seconds, untrained


def _try(workload: Workload, trials: Trials) -> tuple[float, float]:
    """Seconds of the timed steps (the first step, which may trace, not counted), and the metric before."""
    untrained = trials.evaluate("validation").metric
    trials.train(1)
    start = time.perf_counter()
    losses = trials.train(TIMED_STEPS + 1)
    seconds = time.perf_counter() - start
    metric = trials.evaluate("validation").metric
    if not any(trials.failures()) and math.isfinite(losses[0]) and math.isnan(untrained[0]) and math.isnan(metric[0]):
        raise WorkloadError(
            f"The metric of workload '{workload.name}', {workload.scored_by.name}, is nan on the validation split "
            f"before and after the first {TIMED_STEPS + 1} steps; it must be a finite number."
        )
    return seconds / len(untrained), untrained[0]


def _obstacle(workload: Workload) -> str | None:
    if workload.experience is not None:
        return "its batches come from what each trial's own model does"
    return None
