"""How far the verdict can be trusted on a workload: one optimizer is raced against itself, over and over."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gradrace.errors import SpecError
from gradrace.optimizers import AnyOptimizer
from gradrace.race import api
from gradrace.race.orchestrator import Entry, lane_count
from gradrace.race.spec import BUDGETS, Contender, find_task, make_contenders, make_spec
from gradrace.workloads import Workload

ENTRIES = 5
AnOptimizer = str | Path | AnyOptimizer | Callable[..., Any] | Contender


class CalibrationResult:
    """What a calibration found: false verdicts, coverage of intervals, and power; its ``repr`` is the table.

    Attributes:
        id: of the pool's race in its store.
        tests: one dict for each test, the one in use first, with its rates of false verdicts and its power.
        coverage: how often the intervals of the test in use hold the truth.
        sentence: whether the test in use keeps its promise.
    """

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self._summary = copy.deepcopy(dict(summary))
        self.id: str = self._summary["race"]["id"]
        self.tests: list[dict[str, Any]] = self._summary["tests"]
        self.coverage: list[dict[str, Any]] = self._summary["coverage"]
        self.sentence: str = self._summary["sentence"]

    def to_json(self) -> dict[str, Any]:
        """The whole result as a dict of JSON types; a copy."""
        return copy.deepcopy(self._summary)

    def __repr__(self) -> str:
        from gradrace.report import calibration, terminal

        return terminal.as_text(calibration.render(self._summary))


def calibrate(
    workload: str | Path | Workload = "digits",
    optimizer: AnOptimizer | Sequence[AnOptimizer] = "adam",
    *,
    entries: int | None = None,
    pool: int = 100,
    races: int = 2000,
    budget: str = "standard",
    trials: int | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    fresh: bool = False,
    candidates: bool = False,
    seed: int = 0,
    lanes: int | None = None,
    store: str | Path | None = None,
    json: str | Path | None = None,
    quiet: bool = True,
) -> CalibrationResult:
    """Measure on real trials how often equal contenders are told apart, and what difference would be found.

    One race trains the pool: entries of one optimizer, each with other quasi-random points, in ``pool`` studies. Then
    races of 3, 5 and 8 studies and of 2 and 5 contenders are drawn from it and judged. Asked for again, the pool is
    found in the store.

    Several optimizers, one entry each, are calibrated otherwise: each is shifted to the common mean, so that they are
    equally good but differ in how widely they scatter.

    Args:
        workload: what to train; see ``race``.
        optimizer: the one to race against itself, or a list of several; whatever ``race`` takes.
        entries: how often it is entered, at least 2; 5 by default. Not with several optimizers.
        pool: studies of each entry, at least 16: races of up to 8 studies are drawn from it.
        races: how many races to draw for each number of studies and contenders.
        budget: a preset of trials, seeds and steps; its number of studies is marked in the result.
        trials: trials in each study.
        seeds: fresh seeds on which each study's choice is confirmed.
        steps: training steps of a trial.
        fresh: false verdicts are counted on races that use no study twice, as many as the pool has.
        candidates: calibrate other tests as well, for comparison.
        seed: of the race, and of what is drawn from it.
        lanes: processes that train; one for each core by default.
        store: the database file; see ``race``.
        json: a file to write the result to as well.
        quiet: show no progress.

    Raises:
        SpecError: something asked for does not exist or is not allowed, or no trial of the pool has a value.
        WorkloadError: the workload's code raises. StoreError: the store cannot be used. Interrupted: Ctrl-C.
    """
    from gradrace.report import calibration

    entered = _entered(optimizer, entries)
    if races < 1:
        raise SpecError(f"The number of races is {races}, but must be at least 1.")
    most = max(calibration.STUDIES)
    if pool < 2 * most:
        raise SpecError(
            f"The pool has {pool} studies, but needs at least {2 * most}: races of up to {most} studies are drawn from "
            "it, and some of them must share none."
        )
    task = find_task(workload)
    spec = make_spec(task.workload, budget, studies=pool, trials=trials, seeds=seeds, steps=steps, seed=seed)
    if json is not None:
        api.check_writable(Path(json))
    entry, path = Entry(spec, entered, task), api.store_path(store)
    with api.ended(entry, path, lane_count(lanes, spec.device), quiet) as (opened, record):
        scores = calibration.pool_of(record, opened.outcomes(record.id))
    if not np.isfinite(scores.scores).any():
        raise SpecError(
            f"Every confirmation trial of the pool on {task.workload.name} diverged or failed, so there is nothing to "
            "calibrate with. Another optimizer, or more trials, may find a configuration that works."
        )
    summary = calibration.summarize_pool(
        record, scores, own_studies=BUDGETS[budget].studies, races=races, fresh=fresh, candidates=candidates
    )
    if json is not None:
        api.write_json(summary, Path(json))
    return CalibrationResult(summary)


def _entered(optimizer: AnOptimizer | Sequence[AnOptimizer], entries: int | None) -> tuple[Contender, ...]:
    """One optimizer several times with other points each time, or several optimizers once each."""
    several = [optimizer] if isinstance(optimizer, str) or not isinstance(optimizer, Sequence) else list(optimizer)
    if len(several) > 1:
        if entries is not None:
            raise SpecError(f"Of several optimizers each is entered once, so entries cannot be {entries}.")
        return make_contenders(several)
    count = ENTRIES if entries is None else entries
    if count < 2:
        raise SpecError(f"The number of entries is {count}, but a race of equal contenders needs at least 2.")
    found = make_contenders(several)[0]
    return tuple(replace(found, label=f"{found.label} {number}", scramble=number) for number in range(1, count + 1))
