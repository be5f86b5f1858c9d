"""A suite: one race on each of its workloads, in one store, and what they say together."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from gradrace.errors import DataError, Interrupted, SpecError, WorkloadError, unknown_name
from gradrace.optimizers import AnyOptimizer, Optimizer
from gradrace.race import api
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.orchestrator import lane_count
from gradrace.race.result import RaceResult
from gradrace.race.spec import Contender, find_task, make_contenders, make_spec
from gradrace.workloads import Workload, suite

Given = Sequence[str | Path | AnyOptimizer | Callable[..., Any] | Contender]


class RaceOptions(TypedDict, total=False):
    """The keywords of ``gradrace.race`` that a suite takes: all but ``workload``, ``json`` and ``report``."""

    budget: str
    studies: int | None
    trials: int | None
    seeds: int | None
    steps: int | None
    schedule: str
    warmup: float
    clip_norm: float
    decoupled_weight_decay: float
    decay_biases: bool
    ema: float
    halving: bool
    batch_size: int | None
    engine: str
    currency: str
    lanes: int | None
    device: str
    deterministic: bool
    seed: int
    store: str | Path | None
    quiet: bool
    trial_timeout: float
    save_every: float


NOT_OF_THE_SPEC = ("lanes", "store", "quiet", "trial_timeout", "save_every")


class SuiteResult:
    """What the races of a suite found together.

    Attributes:
        suite: its name.
        races: the result of each race by workload.
        verdict: a sentence or two.
        table: one dict for each contender, best mean rank first: what is claimed of it, and what was found.
        warnings: sentences.
    """

    def __init__(self, summary: Mapping[str, Any], races: Mapping[str, RaceResult]) -> None:
        self._summary = copy.deepcopy(dict(summary))
        self.races = dict(races)
        self.suite: str = self._summary["suite"]
        self.verdict: str = self._summary["verdict"]
        self.table: list[dict[str, Any]] = self._summary["table"]
        self.warnings: list[str] = self._summary["warnings"]

    def to_json(self) -> dict[str, Any]:
        """The whole summary as a dict of JSON types (schema 1); a copy."""
        return copy.deepcopy(self._summary)

    def __repr__(self) -> str:
        from gradrace.report import suite_terminal, terminal

        return terminal.as_text(suite_terminal.render(self._summary))


def race_suite(
    name: str = "primer", optimizers: Given = DEFAULT_CONTENDERS, **options: Unpack[RaceOptions]
) -> SuiteResult:
    """Race optimizers on every workload of a suite, one after another, and judge what can be told across them.

    Every race is one of ``gradrace.race`` and is in the store under its own id: a suite that was stopped goes on where
    it stopped when it is asked for again. A workload that cannot be raced on (its extra is not installed, its data
    cannot be had, its stream is too short for the steps asked for) is left out, and a warning says so and why.

    Args:
        name: of the suite; a workload's own file says to which it belongs.
        optimizers: as for ``gradrace.race``.
        options: the keywords of ``gradrace.race`` but ``workload``, ``json`` and ``report``. ``steps`` and
            ``batch_size``, where they are given, are the same on every workload.

    Raises:
        SpecError: no such suite or option, or a value that is not allowed. WorkloadError: no workload of the suite can
        be raced on. StoreError: the store cannot be used. Interrupted: Ctrl-C; everything finished is stored.
    """
    return race_each(name, list(suite(name)), optimizers, **options)


def race_each(
    name: str, works: Sequence[str | Path | Workload], optimizers: Given, **options: Unpack[RaceOptions]
) -> SuiteResult:
    """``race_suite`` on workloads that are given, as a suite of this name."""
    for option in options:
        if option not in RaceOptions.__annotations__:
            raise unknown_name("option of a suite", option, RaceOptions.__annotations__)
    quiet, device = options.get("quiet", True), options.get("device", "cpu")
    races: dict[str, RaceResult] = {}
    skipped: dict[str, str] = {}

    def say(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr, flush=True)

    with api.lanes_ahead(device):
        contenders = make_contenders(optimizers)
        tasks = [find_task(work) for work in works]
        # What is wrong for every workload is told before the first race, not after hours.
        asked: dict[str, Any] = {option: value for option, value in options.items() if option not in NOT_OF_THE_SPEC}
        for task in tasks:
            make_spec(task.workload, **asked)
        lane_count(options.get("lanes"), device)
        for place, (work, task) in enumerate(zip(works, tasks, strict=True), start=1):
            title = task.workload.name
            say(f"Workload {place} of {len(works)}: {title}")
            try:
                races[title] = api.race(work, contenders, **options)
            except (DataError, SpecError, WorkloadError) as error:
                skipped[title] = str(error)
                say(f"{title} is left out: {error}")
            except Interrupted as stopped:
                where = f"Workload {place} of {len(works)}, {title}"
                raise Interrupted(f"{where}: {stopped}\nThe same suite, asked for again, goes on there.") from None
    if not races:
        reasons = " ".join(f"{title}: {reason}" for title, reason in skipped.items())
        raise WorkloadError(f"The suite '{name}' has no workload that can be raced on. {reasons}".rstrip())
    from gradrace.report.suite import summarize_suite  # which takes scipy along

    cards = {
        contender.label: {"idea": contender.rule.card.idea, "use": contender.rule.card.use}
        for contender in contenders
        if isinstance(contender.rule, Optimizer)
    }
    summaries = [result.to_json() for result in races.values()]
    return SuiteResult(summarize_suite(name, summaries, cards, skipped), races)
