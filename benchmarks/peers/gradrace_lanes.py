"""gradrace itself: two lanes that train blocks of a standard race. All that is internal to the engine is used here."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from itertools import count, cycle, islice

from gradrace.engine.lanes import Lanes, Task
from gradrace.errors import SpecError
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.orchestrator import Entry, make_plan
from gradrace.race.plan import Block, Plan, tuning_blocks
from gradrace.race.rungs import RUNGS
from gradrace.race.spec import find_task, make_contenders, make_spec
from gradrace.race.train import compile_program, prepare, train_block

LANES = 2
STEPS_TO_TRY = 8  # enough to trace every program of a block
BLOCK_SECONDS = 2.0
ONE_BY_ONE_TRIALS = 4
"""Trials of a study where they are trained one by one: blocks of more would take too long, and be no faster."""


class GradraceLanes:
    """A standard race's blocks, with fewer steps where a block would take long. Tracing and the plan cost nothing here.

    What a block does besides training counts: it starts its models, and scores them on the validation split at each of
    the three rungs. The other contestants do neither.
    """

    def __init__(self, name: str) -> None:
        task = find_task(name)
        self.entry = Entry(make_spec(task.workload), make_contenders(DEFAULT_CONTENDERS), task)
        self._ids = count()
        self._cache = tempfile.TemporaryDirectory()
        self._before = os.environ.get("GRADRACE_CACHE")
        os.environ["GRADRACE_CACHE"] = self._cache.name  # nothing is remembered of earlier races
        self._lanes = Lanes(LANES)
        try:
            self._lanes.prepare(prepare, self.entry.grounds())
            self._compile()
            self._plan, _ = make_plan(self.entry, self._lanes)
            if self._plan.engine != "vectorized" and not self._plan.compiled:
                self.entry.spec = self.entry.spec.model_copy(update={"trials": ONE_BY_ONE_TRIALS})
            self.steps, self._block_seconds = self._fitting_steps()
        except BaseException:
            self.close()
            raise

    def _compile(self) -> None:
        """Compile what can be: the plan chooses with compiled programs at hand, as in a race that is not the first."""
        spec = self.entry.spec.model_copy(update={"engine": "compiled"})
        try:
            plan, _ = make_plan(replace(self.entry, spec=spec), self._lanes)
        except SpecError:
            return
        blocks = [block for block in tuning_blocks(spec, self.entry.contenders, plan) if block.engine == "compiled"]
        for result in self._lanes.run([Task("compile", compile_program, (block, plan.engine)) for block in blocks[:1]]):
            if result.error is not None:
                raise result.error

    @property
    def engine(self) -> str:
        """The engine that the race chose."""
        if self._plan.compiled:
            return "compiled"
        return self._plan.engine + (", oneDNN" if self._plan.onednn else "")

    @property
    def trials(self) -> int:
        """Trials of a block."""
        return len(self._blocks(STEPS_TO_TRY)[0].trials)

    def _blocks(self, steps: int) -> list[Block]:
        """The tuning blocks of the race, with trials of so many steps and no checkpoint but the rungs."""
        values = {**self._plan.to_dict(), "steps": dict.fromkeys(self._plan.steps, steps), "evaluations": 1}
        spec = self.entry.spec.model_copy(update={"steps": steps})
        return tuning_blocks(spec, self.entry.contenders, Plan.from_dict(values))

    def _train(self, blocks: list[Block]) -> float:
        """Seconds that the lanes need for these blocks."""
        start = time.perf_counter()
        tasks = [Task(f"{block.id} {next(self._ids)}", train_block, (block,)) for block in blocks]
        for result in self._lanes.run(tasks):
            if result.error is not None:
                raise result.error
        return time.perf_counter() - start

    def _fitting_steps(self) -> tuple[int, float]:
        """Steps with which a block takes about BLOCK_SECONDS, within bounds, and the seconds.

        At most a race's own; and at least so many that scoring at three rungs is no larger a share than in a race.
        """
        work = self.entry.task.workload
        least = min(work.steps, max(STEPS_TO_TRY, round(RUNGS * work.steps / work.evaluations)))
        self._train(self._blocks(min(work.steps, STEPS_TO_TRY))[:1] * LANES)  # traces
        seconds = self._train(self._blocks(least)[:1] * LANES)
        fitting = max(least, min(work.steps, round(least * BLOCK_SECONDS / seconds)))
        return fitting, seconds * fitting / least

    def rate(self, seconds: float) -> float:
        """Trial-steps per second over about so many seconds: as many blocks for each lane, and at least one."""
        blocks = list(islice(cycle(self._blocks(self.steps)), LANES * max(1, round(seconds / self._block_seconds))))
        spent = self._train(blocks)
        self._block_seconds = spent * LANES / len(blocks)
        return sum(block.trial_steps(constant=True) for block in blocks) / spent

    def close(self) -> None:
        """End the lanes."""
        self._lanes.close()
        if self._before is None:
            del os.environ["GRADRACE_CACHE"]
        else:
            os.environ["GRADRACE_CACHE"] = self._before
        self._cache.cleanup()


def gradrace_rate(name: str, seconds: float) -> tuple[float, str]:
    """Trial-steps per second of a workload's race over about so many seconds, and the engine that it chose."""
    race = GradraceLanes(name)
    try:
        return race.rate(seconds), race.engine
    finally:
        race.close()
