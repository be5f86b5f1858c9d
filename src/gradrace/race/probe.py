"""Before the first block: does the workload train at all, which engine trains it faster, and what does a step cost."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradrace._discovery import users_lines
from gradrace.engine.played import plays_together
from gradrace.engine.products import available, onednn
from gradrace.engine.programs import NotCompiledYet
from gradrace.engine.trial import Training, Trials, TrialSetup, fresh_model
from gradrace.errors import GradraceError, SpecError, WorkloadError
from gradrace.optimizers import Optimizer
from gradrace.race.first_batch import check_factory, check_first_batch, check_length
from gradrace.race.grounds import Grounds
from gradrace.race.paths import Speeds, compared
from gradrace.race.train import TIMED_STEPS, Progress, timed
from gradrace.workloads import Workload

TRIALS_EACH, MOST_TRIED = 8, 40
"""So many trials of each contender are tried at once, where that makes no more than so many in all, else fewer."""
SHARE_OF_MEMORY = 0.8
"""Of a CUDA device, that blocks may fill."""
CLEARLY = 0.95
"""oneDNN is used where a step takes at most this share of the time."""


@dataclass(frozen=True)
class Findings:
    """What the probe found; it becomes part of the plan. ``untrained`` is the metric before the first step."""

    engine: str
    reason: str
    stochastic: bool
    parameters: int
    untrained: float | None
    speeds: Speeds | None = None
    onednn: bool = False
    most: int = 0


def probe(state: dict[str, Any], progress: Progress) -> Findings:
    """Train a few steps each way, and choose the engine: the vectorized one where it works and is faster.

    Raises:
        WorkloadError: the workload's own code raises, or its loss is not a scalar.
        SpecError: the spec insists on an engine that cannot train this workload.
    """
    try:
        with state["clock"].spending("try"):
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
    tries, evaluated = _try_contenders(state, setups, training)
    rules = [setup for setup in setups if isinstance(setup.optimizer, Optimizer)]
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    speeds, fast = None, False
    engine, reason = "loop", "No contender is an update rule; other optimizers train one model at a time."
    if rules:
        rule_seconds = statistics.mean(tries[setups.index(setup)] for setup in rules)
        one_by_one, alone, plainly_fast = "loop", rule_seconds, False
        if grounds.spec.engine == "auto":
            alone, plainly_fast, _ = _with_both(state, "drop-in", rules, training)
            one_by_one = "drop-in" if alone <= rule_seconds else "loop"
        engine, reason, speeds, fast = _choose_engine(state, rules, training, min(alone, rule_seconds))
        if engine == "loop":
            engine, fast = one_by_one, plainly_fast and one_by_one == "drop-in"
            speeds = speeds or Speeds(min(alone, rule_seconds))
            if speeds.compiled is None:
                speeds = replace(speeds, evaluation=evaluated.seconds)
    known = evaluated.before if math.isfinite(evaluated.before) else None
    most = _most(training, len(rules) * _each(rules))
    return Findings(engine, reason, stochastic, parameters, known, speeds, fast, most)


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
) -> tuple[str, str, Speeds | None, bool]:
    """The engine of uncompiled blocks, the reason in a sentence, what was measured, and whether oneDNN helps."""
    grounds: Grounds = state["grounds"]
    wanted = grounds.spec.engine
    if wanted == "loop":
        return "loop", "The spec asks for it.", None, False
    obstacle = _obstacle(grounds.workload)
    if obstacle is None:
        try:
            many = [setup for setup in setups for _ in range(_each(setups))]
            seconds, fast, trials = _with_both(state, "vectorized", many, training)
            with onednn(fast):
                evaluation = _time_evaluation_of_few(trials)
        except Exception as error:
            obstacle = f"the model cannot be vectorized: {str(error).strip().splitlines()[0]}"
        else:
            tracing = state["engines"]["vectorized"].programs.tracing
            speeds = Speeds(loop_seconds, seconds, evaluation=evaluation, tracing=tracing)
            if wanted != "vectorized":
                speeds = _compiled_before(state, many, training, speeds)
            if wanted == "compiled" and speeds.obstacle:
                raise SpecError(f"Nothing can be compiled for '{grounds.workload.name}': {speeds.obstacle}.")
            reason = f"In a try the vectorized engine was {compared(loop_seconds, seconds)} training one by one"
            if speeds.compiled is not None:
                reason += f", and compiled it was {compared(loop_seconds, speeds.compiled)} that"
            elif speeds.obstacle and wanted == "auto":
                reason += f"; it was not compiled: {speeds.obstacle}"
            engine = "vectorized" if seconds <= loop_seconds or wanted != "auto" else "loop"
            return engine, f"{reason}.", speeds, fast
    if wanted in ("vectorized", "compiled"):
        raise SpecError(f"The vectorized engine cannot train '{grounds.workload.name}': {obstacle}. 'loop' can.")
    return "loop", f"Not vectorized: {obstacle}.", None, False


def _each(rules: Sequence[TrialSetup]) -> int:
    return max(1, min(TRIALS_EACH, MOST_TRIED // max(1, len(rules))))


def _most(training: Training, trials: int) -> int:
    """How many trials' gradients fit into the memory of a CUDA device at a time, by what those tried took; else 0."""
    if training.device != "cuda" or not torch.cuda.is_available():
        return 0
    free, _ = torch.cuda.mem_get_info()
    each = torch.cuda.max_memory_allocated() / max(1, trials)
    return max(1, int(SHARE_OF_MEMORY * free / max(1.0, each)))


def _with_both(
    state: dict[str, Any], engine: str, setups: list[TrialSetup], training: Training
) -> tuple[float, bool, Trials]:
    """Seconds of a trial-step of an engine, whether oneDNN computes its matrix products, and the trials tried so.

    oneDNN does where that is clearly faster.
    """
    tries = list[tuple[float, Trials]]()
    useful = available() and training.device == "cpu" and state["grounds"].workload.experience is None
    for use in (False, True) if useful else (False,):
        with onednn(use):
            trials = state["engines"][engine].start(setups, training)
            tries.append((_train_some(trials)[1], trials))
    fast = tries[-1][0] < CLEARLY * tries[0][0]
    seconds, trials = tries[-1] if fast else tries[0]
    return seconds, fast, trials


def _compiled_before(state: dict[str, Any], setups: list[TrialSetup], training: Training, speeds: Speeds) -> Speeds:
    """With whether the workload's program was compiled earlier, on this machine, and how fast it is; or its size."""
    engine = state["engines"]["compiled"]
    engine.programs.compiling = "if cached"
    try:
        trials = engine.start(setups, training)
        _, step = _train_some(trials)
        evaluation = _time_evaluation_of_few(trials)
    except NotCompiledYet as missing:
        return replace(speeds, size=missing.size)
    finally:
        engine.programs.compiling = "always"
    if engine.programs.obstacle is not None:
        return replace(speeds, obstacle=engine.programs.obstacle)
    return replace(speeds, compiled=step, size=0, evaluation=evaluation)


@dataclass(frozen=True)
class Evaluated:
    """The metric of the untrained model, and seconds of an evaluation of a trial."""

    before: float
    seconds: float


def _try_contenders(
    state: dict[str, Any], setups: list[TrialSetup], training: Training
) -> tuple[list[float], Evaluated]:
    """Seconds of a step of each contender by the loop engine, and what evaluations tell, which are alike for all.

    An error of every contender is the workload's; an error of some is theirs.
    """
    workload, labels = state["grounds"].workload, list(state["grounds"].contenders)
    seconds, evaluated, failures = list[float](), None, {}
    for label, setup in zip(labels, setups, strict=True):
        try:
            trials = state["engines"]["loop"].start([setup], training)
        except GradraceError:
            raise
        except Exception as error:
            failures[label] = users_lines(error)  # its optimizer refuses this model's parameters
            continue
        before = trials.evaluate("validation").metric[0] if evaluated is None else math.nan
        losses, step = _train_some(trials)
        seconds.append(step)
        (failure,) = trials.failures()
        if failure:
            failures[label] = failure
        elif evaluated is None:
            after, took = _time_evaluation(trials)
            _check_metric(workload, losses[0], before, after)
            evaluated = Evaluated(before, took)
    if len(failures) == len(labels):
        raise WorkloadError(f"Workload '{workload.name}' raised in its first steps:\n{failures[labels[0]]}")
    for label, failure in failures.items():
        raise SpecError(f"Contender '{label}' cannot train the model of workload '{workload.name}':\n{failure}")
    assert evaluated is not None
    return seconds, evaluated


def _train_some(trials: Trials) -> tuple[list[float], float]:
    """Train a few steps: the losses, and seconds of a trial-step. The first, which may trace, does not count."""
    count = len(trials.train(1))
    losses, seconds = timed(trials)
    return losses, seconds / count


def _time_evaluation(trials: Trials) -> tuple[float, float]:
    """The metric of the first trial, and seconds of an evaluation of one."""
    start = time.perf_counter()
    metric = trials.evaluate("validation").metric
    return metric[0], (time.perf_counter() - start) / len(metric)


def _time_evaluation_of_few(trials: Trials) -> float:
    """Seconds of an evaluation of one of several trials. A first one, which may trace, does not count."""
    trials.keep(range(min(TRIALS_EACH, len(trials.failures()))))
    trials.evaluate("validation")
    return _time_evaluation(trials)[1]


def _check_metric(workload: Workload, loss: float, before: float, after: float) -> None:
    """Raise a WorkloadError if the metric is nan though the loss is not."""
    if math.isfinite(loss) and math.isnan(before) and math.isnan(after):
        raise WorkloadError(
            f"The metric of workload '{workload.name}', {workload.scored_by.name}, is nan on the validation split "
            "before and after the first few steps; it must be a finite number."
        )


def _obstacle(workload: Workload) -> str | None:
    return None if plays_together(workload) else "its batches come from what each trial's own model does"
