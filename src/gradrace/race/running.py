"""One block under way: segments between the points of its learning curves, and a judgement at every rung."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from gradrace.engine.clock import Clock
from gradrace.engine.loop import Loop
from gradrace.engine.own_loop import OwnLoop
from gradrace.engine.trial import Evaluation, Trials
from gradrace.engine.vectorized import Vectorized
from gradrace.outcomes import Curve, Outcome, Stage
from gradrace.race.grounds import Grounds
from gradrace.race.judging import Finding, finite
from gradrace.race.parts import Part
from gradrace.race.plan import Block
from gradrace.race.saving import Saving, Standing

Progress = Callable[[int], None]
AT_A_TIME = 5.0
"""Seconds that a lane trains, about, before it says that it is alive and looks whether the block should be saved."""


class Run:
    """A block, or a part of it, to be trained once."""

    def __init__(
        self, grounds: Grounds, block: Block, engine: Loop | Vectorized | OwnLoop, progress: Progress, clock: Clock
    ) -> None:
        self.grounds, self.block, self.engine, self.progress, self.clock = grounds, block, engine, progress, clock
        self._curves: dict[int, Curve] = {}
        self._live: Sequence[int] = range(len(block.trials))
        self._groups = grounds.groups(block)
        self._apart = len({(trial.study, trial.seed) for trial in block.trials}) > 1
        self._constant = grounds.spec.schedule == "constant"
        self._part: Part | None = None
        self._saving: Saving | None = None
        self._pace = _Pace()

    def outcomes(self, saving: Saving | None = None) -> list[Outcome]:
        """Train the whole block, rung after rung; from where it was saved, if it was, and saving it now and then."""
        self._saving, self._judge = saving, self.grounds.judge(self.block)
        rungs, trials, first, point = self.block.rungs, None, 0, 0
        if saving is not None and (kept := saving.read()) is not None:
            try:
                trials, first, point = self._resumed(kept), kept.rung, kept.point
            except Exception as error:  # whatever a file that was changed brings about, the block can be trained anew
                saving.refuse(error)
                self._live, self._from, self._judge = range(len(self.block.trials)), 0, self.grounds.judge(self.block)
        for number in range(first, len(rungs)):
            # In the middle of a decaying schedule rankings mislead: there every rung runs a whole schedule of its own.
            if trials is None:
                trials = self._start(self.block.steps if self._constant else rungs[number])
            findings = self._to_rung(trials, number, point)
            live, kept_places = list(self._live), self._judge.at_rung(findings, rungs[number])
            goes_on = self._constant and bool(kept_places)
            # Training loops of users' own are told to stop.
            trials.keep([row for row, place in enumerate(live) if goes_on and place in kept_places])
            trials, self._live = trials if goes_on else None, kept_places
            point = rungs[number] if self._constant else 0
        return self._judge.outcomes()

    def reach(self, part: Part) -> dict[int, Finding]:
        """Train a part to its rung; what its trials reached, by their places."""
        together = isinstance(self.engine, Vectorized) and not part.alone
        self._part = part
        everyone = [tuple(range(len(self.block.trials))), *part.going_on]
        lives = [live if together else tuple(p for p in live if p in part.places) for live in everyone]
        number = len(part.going_on)
        if not self._constant:
            self._live = lives[number]
            findings = self._to_rung(self._start(self.block.rungs[number]), number, 0)
            return {place: found for place, found in findings.items() if place in part.places}
        self._live = lives[0]
        trials, findings, point = self._start(self.block.steps), dict[int, Finding](), 0
        for rung, live in enumerate(lives):
            if rung:
                trials.keep([row for row, place in enumerate(self._live) if place in live])
                self._live = live
            findings = self._to_rung(trials, rung, point)
            point = self.block.rungs[rung]
        trials.keep([])
        return {place: found for place, found in findings.items() if place in part.places}

    def _start(self, steps: int) -> Trials:
        setups = []
        for place in self._live:
            self._curves[place] = Curve()
            there = self._part is None or place in self._part.places
            trial = self.block.trials[place if there or self._part is None else self._part.places[0]]
            setups.append(self.grounds.setup(trial, self._groups[place]))
        with self.clock.spending("train"):
            return self.engine.start(setups, self.grounds.training(steps, self.block.chunk, self._apart))

    def _resumed(self, kept: Standing) -> Trials:
        """Trials that stand where others were saved."""
        if not self._constant:
            self._live = kept.live
        trials = self._start(self.block.steps if self._constant else self.block.rungs[kept.rung])
        trials.keep([row for row, place in enumerate(self._live) if place in kept.live])
        self._live, self._judge.live = kept.live, list(kept.live)
        self._judge.ended.update(kept.ended)
        self._curves.update(kept.curves)
        trials.load(kept.trials)
        self._from = kept.step
        return trials

    def _to_rung(self, trials: Trials, number: int, point: int) -> dict[int, Finding]:
        """Train on from a point of the curves to a rung; what every live trial reached."""
        rung = self.block.rungs[number]
        evaluation = self._train(trials, number, point)
        test = None
        if rung == self.block.rungs[-1] and self.block.stage is Stage.CONFIRMATION:
            with self.clock.spending("evaluate"):
                test = trials.evaluate("test")
        diverged, failures = trials.diverged_at(), trials.failures()
        return {
            place: Finding(
                (evaluation.metric[row], evaluation.loss[row]),
                (test.metric[row], test.loss[row]) if test else (math.nan, math.nan),
                test.others[row] if test else {},
                diverged[row],
                failures[row],
                self._curves[place],
            )
            for row, place in enumerate(self._live)
        }

    _from = 0
    """The step at which training goes on, where that is past the last point of the curves."""

    def _train(self, trials: Trials, number: int, point: int) -> Evaluation:
        """To a rung, with an evaluation at every checkpoint on the way."""
        evaluation, rung = Evaluation(), self.block.rungs[number]
        for step in (step for step in self.block.checkpoints if point < step <= rung):
            done = max(point, self._from)
            while done < step:
                pause = self._pace.until(done, step)
                with self.clock.spending("train"), self._pace.measuring(pause - done):
                    trials.advance(pause)
                self.progress(len(self._live) * (pause - done))
                done = pause
                if self._saving is not None and self._saving.due():
                    with self.clock.spending("save"):
                        self._save(trials, number, point, done)
            self._from = 0
            losses = trials.losses()
            with self.clock.spending("evaluate"):
                evaluation = trials.evaluate("validation")
            self.progress(0)
            for row, place in enumerate(self._live):
                curve = self._curves[place]
                curve.step.append(step)
                curve.train_loss.append(finite(losses[row]))
                curve.validation.append(finite(evaluation.metric[row]))
                curve.validation_loss.append(finite(evaluation.loss[row]))
            point = step
        return evaluation

    def _save(self, trials: Trials, rung: int, point: int, step: int) -> None:
        assert self._saving is not None
        state = trials.state()
        curves = {place: self._curves[place] for place in self._live}
        self._saving.write(
            None if state is None else Standing(rung, point, step, list(self._live), curves, self._judge.ended, state)
        )


class _Pace:
    """How many steps take ``AT_A_TIME``, by the steps before. Where training pauses changes nothing that it gives."""

    def __init__(self) -> None:
        self._rate = 0.0

    def until(self, done: int, goal: int) -> int:
        """The step to pause at."""
        return min(goal, done + max(1, int(self._rate * AT_A_TIME)))

    def measuring(self, steps: int) -> Any:
        """Time the steps that are taken in this context."""
        return _Measured(self, steps)

    def took(self, steps: int, seconds: float) -> None:
        """So many steps took so long."""
        self._rate = steps / max(seconds, 1e-6)


class _Measured:
    def __init__(self, pace: _Pace, steps: int) -> None:
        self._pace, self._steps = pace, steps

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._pace.took(self._steps, time.perf_counter() - self._began)
