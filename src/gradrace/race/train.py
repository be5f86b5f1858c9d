"""Training one block in a lane: segments between checkpoints, a drop at every rung, one outcome for each trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch

from gradrace._discovery import users_lines
from gradrace.engine.clock import Clock
from gradrace.engine.loop import Loop
from gradrace.engine.own_loop import OwnLoop
from gradrace.engine.products import onednn
from gradrace.engine.trial import Evaluation, Surroundings, Training, Trials, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.race.plan import Block, PlannedTrial
from gradrace.race.rungs import survivors
from gradrace.race.spec import Contender, RaceSpec
from gradrace.workloads import Workload

Progress = Callable[[int], None]
TRIED_TRIALS = 10
"""Trials that are tried where they are trained one by one."""
TIMED_STEPS, TIMED_SECONDS, MOST_ROUNDS = 5, 0.2, 4
"""A way of training is timed over so many steps, again and again until so many seconds or rounds are over."""


@dataclass(frozen=True)
class Grounds:
    """What a lane needs to know once: the race's workload, contenders and spec."""

    workload: Workload
    contenders: Mapping[str, Contender]
    spec: RaceSpec

    def setup(self, trial: PlannedTrial) -> TrialSetup:
        """A planned trial as the engine wants it."""
        contender = self.contenders[trial.contender]
        hyper = contender.full_configuration(trial.configuration)
        stream = (self.spec.seed, trial.study, trial.seed)
        around = Surroundings(**contender.surroundings(trial.configuration, self.spec))
        return TrialSetup(contender.rule, hyper, contender.options, stream, around)

    def training(self, steps: int, chunk: int = 0) -> Training:
        """Conditions that all trials of a block share."""
        spec = self.spec
        return Training(steps, spec.batch_size, spec.schedule, spec.decay_biases, spec.device, chunk=chunk)


def prepare(state: dict[str, Any], progress: Progress, grounds: Grounds) -> None:
    """Keep the race's grounds in a lane, and one engine of each kind with its traced programs."""
    state["grounds"] = grounds
    clock: Clock = state.setdefault("clock", Clock())
    work = grounds.workload
    state["engines"] = {
        "loop": Loop(work),
        "drop-in": Loop(work, drop_in=True),
        "vectorized": Vectorized(work, clock=clock),
        "compiled": Vectorized(work, "always", clock),
        "training loop": OwnLoop(work),
    }


@dataclass
class Settled:
    """The engine of compiled blocks, which is known for good once their program has been compiled and tried."""

    engine: str


@dataclass(frozen=True)
class Trained:
    """The outcomes of a block.

    ``fallback``: why the loop engine trained it, if it was to be another one. ``chunk``: with how many trials at a time
    it was trained, if memory did not suffice for the number planned.
    """

    outcomes: list[Outcome]
    fallback: str = ""
    chunk: int = 0


def train_block(state: dict[str, Any], progress: Progress, block: Block, settled: Settled | None = None) -> Trained:
    """Train a block to its end. An error of the user's code costs the trials that it happens in, not the race.

    ``settled`` has the engine where that was open when the race was planned.
    """
    grounds: Grounds = state["grounds"]
    start, engine, fallback = time.perf_counter(), settled.engine if settled else block.engine, ""
    planned = block.chunk or len(block.trials)
    torch.use_deterministic_algorithms(grounds.spec.deterministic)
    try:
        outcomes, block = _within_memory(state, progress, block, engine)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if engine not in ("vectorized", "compiled"):
            raise
        fallback = users_lines(error).strip().splitlines()[-1]
        # One trial's error ends a vectorized block. One by one, only the trials that raise are lost, and named.
        outcomes = _Run(grounds, block, state["engines"]["loop"], progress, state["clock"]).outcomes()
    chunk = block.chunk if 0 < block.chunk < planned else 0
    seconds = time.perf_counter() - start
    steps = sum(outcome.steps for outcome in outcomes) or 1
    return Trained([replace(outcome, seconds=seconds * outcome.steps / steps) for outcome in outcomes], fallback, chunk)


def _within_memory(state: dict[str, Any], progress: Progress, block: Block, engine: str) -> tuple[list[Outcome], Block]:
    """The outcomes of a block, and the block as it was trained: with fewer trials at a time where memory ran out.

    Raises:
        torch.OutOfMemoryError: there is not enough for a single trial.
    """
    while True:
        try:
            with onednn(block.onednn):
                run = _Run(state["grounds"], block, state["engines"][engine], progress, state["clock"])
                return run.outcomes(), block
        except torch.OutOfMemoryError:
            chunk = (block.chunk or len(block.trials)) // 2
            if engine not in ("vectorized", "compiled") or chunk < 1:
                raise
            block, engine = replace(block, chunk=chunk), "vectorized"
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class Compiled:
    """What came of compiling a program: seconds per trial-step without it and with it, or why there is none."""

    obstacle: str = ""
    without: float = 0.0
    compiled: float = 0.0

    @property
    def faster(self) -> bool:
        """Whether blocks are better compiled."""
        return not self.obstacle and self.compiled <= self.without

    def sentence(self) -> str:
        """The same in words."""
        if self.obstacle:
            return f"Blocks were not compiled: {self.obstacle}."
        return f"Compiled, blocks train {self.without / self.compiled:.1f} times as fast as not compiled."


def compile_program(state: dict[str, Any], progress: Progress, block: Block, engine: str) -> Compiled:
    """Compile the programs that train such a block, and try them beside the engine that trains without."""
    grounds: Grounds = state["grounds"]
    setups = [grounds.setup(trial) for trial in block.trials]
    few = max(1, len(setups) // TRIED_TRIALS)
    seconds: dict[str, float] = {}
    try:
        for name in ("compiled", engine):
            given = setups if name in ("compiled", "vectorized") else setups[::few]
            known = state["engines"][name]
            with state["clock"].spending("try"), onednn(block.onednn):
                trials = known.start(given, grounds.training(block.steps))
                trials.train(1)
                if name == "compiled" and known.programs.obstacle is not None:
                    return Compiled(known.programs.obstacle)
                if name == "compiled":
                    trials.evaluate("validation")
                seconds[name] = timed(trials)[1] / len(given)
    except Exception as error:
        return Compiled(users_lines(error))
    return Compiled("", seconds[engine], seconds["compiled"])


def timed(trials: Trials) -> tuple[list[float], float]:
    """Losses, and the seconds of a step: the fastest of some rounds, after the first step."""
    losses, rounds = [math.nan], list[float]()
    while len(rounds) < MOST_ROUNDS and sum(rounds) < TIMED_SECONDS:
        start = time.perf_counter()
        losses = trials.train(1 + (len(rounds) + 1) * TIMED_STEPS)
        rounds.append(time.perf_counter() - start)
    return losses, min(rounds) / TIMED_STEPS


def failed_block(block: Block, sentence: str) -> list[Outcome]:
    """The outcomes of a block that could not be trained at all."""
    return [
        Outcome(
            trial=t.id,
            stage=t.stage,
            contender=t.contender,
            study=t.study,
            seed=t.seed,
            point=t.point,
            configuration=dict(t.configuration),
            status=Status.FAILED,
            steps=0,
            error=sentence,
        )
        for t in block.trials
    ]


class _Run:
    """One block under way."""

    def __init__(
        self, grounds: Grounds, block: Block, engine: Loop | Vectorized | OwnLoop, progress: Progress, clock: Clock
    ) -> None:
        self.grounds, self.block, self.engine, self.progress, self.clock = grounds, block, engine, progress, clock
        self.live = list(range(len(block.trials)))
        self.curves = [Curve() for _ in block.trials]
        self.ended: dict[int, Outcome] = {}

    def outcomes(self) -> list[Outcome]:
        """Train, rung after rung."""
        constant = self.grounds.spec.schedule == "constant"
        trials = self._start(self.block.steps) if constant else None
        before = 0
        for rung in self.block.rungs:
            # In the middle of a decaying schedule rankings mislead: there every rung runs a whole schedule of its own.
            under_way = trials if trials is not None else self._start(rung)
            evaluation = self._train(under_way, before if constant else 0, rung)
            before = rung
            last = rung == self.block.rungs[-1]
            kept = self._end_rung(under_way, evaluation, rung, last)
            under_way.keep(kept if constant and not last else [])  # training loops of users' own are told to stop
        return [self.ended[index] for index in range(len(self.block.trials))]

    def _start(self, steps: int) -> Trials:
        setups = [self.grounds.setup(self.block.trials[index]) for index in self.live]
        for index in self.live:
            self.curves[index] = Curve()
        with self.clock.spending("train"):
            return self.engine.start(setups, self.grounds.training(steps, self.block.chunk))

    def _train(self, trials: Trials, start: int, rung: int) -> Evaluation:
        """To the next rung, with an evaluation at every checkpoint on the way."""
        evaluation, done = Evaluation(), start
        for step in (step for step in self.block.checkpoints if start < step <= rung):
            with self.clock.spending("train"):
                losses = trials.train(step)
            with self.clock.spending("evaluate"):
                evaluation = trials.evaluate("validation")
            for row, index in enumerate(self.live):
                curve = self.curves[index]
                curve.step.append(step)
                curve.train_loss.append(_finite(losses[row]))
                curve.validation.append(_finite(evaluation.metric[row]))
                curve.validation_loss.append(_finite(evaluation.loss[row]))
            self.progress(len(self.live) * (step - done))
            done = step
        return evaluation

    def _end_rung(self, trials: Trials, evaluation: Evaluation, rung: int, last: bool) -> list[int]:
        """Note the outcomes of trials that end here; the rows of those that go on."""
        rows = list(range(len(self.live)))
        kept = rows if last else self._survivors(evaluation)
        test = None
        if last and self.block.stage is Stage.CONFIRMATION:
            with self.clock.spending("evaluate"):
                test = trials.evaluate("test")
        diverged, failures = trials.diverged_at(), trials.failures()
        for row in rows:
            if last or row not in kept:
                status = Status.FINISHED if last else Status.DROPPED
                values = (evaluation.metric[row], evaluation.loss[row])
                scores = (test.metric[row], test.loss[row]) if test else (math.nan, math.nan)
                others = test.others[row] if test else {}
                self._end(self.live[row], status, rung, values, scores, others, diverged[row], failures[row])
        self.live = [self.live[row] for row in kept]
        return kept

    def _survivors(self, evaluation: Evaluation) -> list[int]:
        """Rows that go on: halving is within each contender's study, never across."""
        maximize = self.grounds.workload.scored_by.direction == "max"
        kept: list[int] = []

        def study(row: int) -> tuple[str, int]:
            trial = self.block.trials[self.live[row]]
            return trial.contender, trial.study

        rows = sorted(range(len(self.live)), key=study)
        for _, members in groupby(rows, key=study):
            group = list(members)
            values = [(evaluation.metric[row], evaluation.loss[row]) for row in group]
            kept += [group[index] for index in survivors(values, maximize)]
        return sorted(kept)

    def _end(
        self,
        index: int,
        status: Status,
        steps: int,
        validation: tuple[float, float],
        test: tuple[float, float],
        others: Mapping[str, float],
        diverged_at: int | None,
        failure: str | None,
    ) -> None:
        trial, curve = self.block.trials[index], self.curves[index]
        if diverged_at is None and failure is None and not math.isfinite(validation[1]):
            # The last update before this checkpoint ruined the parameters; the next training loss would have shown it.
            diverged_at = next(s for s, loss in zip(curve.step, curve.validation_loss, strict=True) if loss is None)
        if diverged_at is not None:
            status, steps = Status.DIVERGED, diverged_at
        elif failure is None and not math.isfinite(validation[0]):
            failure = f"The metric of workload '{self.grounds.workload.name}' is {validation[0]}; it must be finite."
        if failure is not None:
            status = Status.FAILED
        ended_well = status in (Status.FINISHED, Status.DROPPED)
        self.ended[index] = Outcome(
            trial=trial.id,
            stage=trial.stage,
            contender=trial.contender,
            study=trial.study,
            seed=trial.seed,
            point=trial.point,
            configuration=dict(trial.configuration),
            status=status,
            steps=steps,
            diverged_at=diverged_at,
            error=failure,
            validation=_finite(validation[0]) if ended_well else None,
            validation_loss=_finite(validation[1]) if ended_well else None,
            test=_finite(test[0]) if ended_well else None,
            test_loss=_finite(test[1]) if ended_well else None,
            others=dict(others) if ended_well else {},
            curve=curve,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
