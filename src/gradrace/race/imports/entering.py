"""An import from what is given to a stored race, which reports read as any other."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from gradrace._version import __version__
from gradrace.errors import SpecError, unknown_name
from gradrace.outcomes import Stage, Status
from gradrace.race.api import result_of
from gradrace.race.imports import Scored, Unit
from gradrace.race.places import store_path
from gradrace.race.result import RaceResult
from gradrace.store import open_store
from gradrace.workloads import METRICS

if TYPE_CHECKING:
    from gradrace.race.imports.runs import Ordered, Run
    from gradrace.verdict import Direction

SCORE = "score"
"""What the metric is called where nobody says."""
BLOCK = "imported"
LONGEST_NAME = 60


def import_runs(
    source: Any,
    *,
    metric: str | None = None,
    direction: Direction | None = None,
    name: str | None = None,
    unit: Unit = "study",
    scored: Scored = "confirmed",
    paired: bool | None = None,
    columns: Mapping[str, str] | None = None,
    by: str | None = None,
    store: str | Path | None = None,
) -> RaceResult:
    """Judge runs that were trained elsewhere: they become a stored race, which reports read as any other.

    A fair race tunes every contender several times with one budget and scores each tuning's choice on fresh seeds. What
    of that the runs do not have, the verdict says, or withholds what needs it. Importing the same runs again finds the
    race that is there.

    Args:
        source: a path of a CSV; a data frame, or rows as mappings; one or several studies of Optuna's; or a storage of
            Optuna's: a URL, a database file or a journal.
        metric: what the values are called; a column of that name has them. "score" by default, or what studies say.
        direction: "min" or "max", whichever is better; not needed where studies or the metric's name tell.
        name: what the runs were of, as a workload; by default the file's or "imported".
        unit: of replication: "study", an independent tuning, or "seed" for contenders that were tuned once or not at
            all. Then the luck of tuning is not in the verdict, which says so.
        scored: by "confirmed" runs on fresh seeds, or by the "best" validation value of each study, which flatters.
        paired: compare study by study. By default if all contenders have the same studies and seeds by name; else by
            the means of their studies.
        columns: for a column of ours what it is called in the table, such as ``{"contender": "optimizer"}``.
        by: of Optuna's studies the parameter that names the contender, where a study chose the optimizer itself.
        store: the database file; by default the user's own, or what ``GRADRACE_STORE`` names.

    Raises:
        SpecError: the runs cannot be read, or no race can be made of them. StoreError: the store cannot be used.
    """
    from gradrace.race.imports.runs import ordered  # which takes scipy along: not at the import of gradrace

    for what, given, known in (("unit", unit, get_args(Unit)), ("way to score", scored, get_args(Scored))):
        if given not in known:
            raise unknown_name(what, str(given), known)
    runs, place, told, own_metric, remarks = _read(source, metric, columns or {}, by)
    metric = metric or own_metric or SCORE
    _check_word("metric", metric)
    better = _direction(metric, direction, told)
    name = name or Path(place).stem[:LONGEST_NAME].strip()
    _check_word("name", name)
    found = ordered(runs, better, unit, scored, paired)
    about = {"source": place, "unit": unit, "scored": scored, "paired": found.paired}
    path = store_path(store)
    id = _id(found, name, metric, better, about)
    with open_store(path) as opened:
        spec, plan = _spec(found), _plan(found, name, metric, better, {**about, **_counts(found)}, remarks)
        opened.create_race(id, {**spec, "imported": about}, plan, {}, __version__)
        notes = [{**asdict(choice), "code": None} for choice in found.choices]
        opened.write_note(id, "choices", {"choices": notes, "extensions": [], "left": []})
        opened.write_block(id, BLOCK, found.outcomes)
        opened.set_status(id, "finished")
        return RaceResult(result_of(opened, id).to_json(), path)


def _read(
    source: Any, metric: str | None, columns: Mapping[str, str], by: str | None
) -> tuple[list[Run], str, Direction | None, str | None, list[str]]:
    """Runs, where they are from, which way is better and the metric's name where the source tells, and remarks."""
    from gradrace.race.imports import optuna_studies, tables

    storage = isinstance(source, str | Path) and optuna_studies.is_storage(str(source))
    studies: Any = [source] if optuna_studies.is_study(source) else source
    several = isinstance(studies, Sequence) and len(studies) > 0 and all(map(optuna_studies.is_study, studies))
    if storage or several:
        if columns:
            raise SpecError("Columns can be named of a table; studies of Optuna have none.")
        given: Sequence[Any] = optuna_studies.studies_in(str(source)) if storage else studies
        runs, better, own, remarks = optuna_studies.runs_of(given, by)
        place = Path(str(source)).name if storage and "://" not in str(source) else "Optuna"
        return runs, place, better, own, remarks
    if by is not None:
        raise SpecError(f"by='{by}' names a parameter of Optuna's trials; in a table the contender is a column.")
    if isinstance(source, str | Path):
        path = Path(source)
        rows: Sequence[Mapping[str, Any]] = tables.read_csv(path)
        place = path.name
    else:
        rows, place = tables.rows_of(source), "a table"
    runs, remarks = tables.runs_of(rows, place, metric or SCORE, columns)
    return runs, place, None, None, remarks


def _check_word(what: str, word: str) -> None:
    if not word or not word.isprintable() or word != word.strip() or len(word) > LONGEST_NAME:
        raise SpecError(
            f"The {what} {word!r} cannot be used: it has 1 to {LONGEST_NAME} printable characters and no space at its "
            "ends."
        )


def _direction(metric: str, given: Direction | None, told: Direction | None) -> Direction:
    known = METRICS[metric].direction if metric in METRICS else None
    better = given or told or known
    if better is None:
        raise SpecError(
            f"Is less of '{metric}' better, or more? Say --direction min or --direction max (direction=...). It is "
            f"known of: {', '.join(METRICS)}."
        )
    if better not in ("min", "max"):
        raise SpecError(f"The direction must be 'min' or 'max', whichever is better, but is {better!r}.")
    if told is not None and better != told:
        raise SpecError(f"The direction is '{better}', but the studies were tuned for '{told}'.")
    return better


def _id(found: Ordered, name: str, metric: str, direction: str, about: Mapping[str, Any]) -> str:
    """The hash of all that determines the verdict: the same runs are the same race."""
    digest = hashlib.sha256(json.dumps([name, metric, direction, about, dict(found.optimizers)]).encode())
    for outcome in sorted(found.outcomes, key=lambda outcome: outcome.trial):
        digest.update(repr(outcome).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:12]


def _counts(found: Ordered) -> dict[str, Any]:
    """How many studies, tuning trials and steps each contender has."""
    tuning = Counter(o.contender for o in found.outcomes if o.stage is not Stage.CONFIRMATION)
    steps: dict[str, int] = {}
    for outcome in found.outcomes:
        steps[outcome.contender] = max(outcome.steps, steps.get(outcome.contender, 0))
    return {
        "studies": dict(found.studies),
        "tuning": {label: tuning[label] for label in found.optimizers},
        "steps": steps,
    }


def _spec(found: Ordered) -> dict[str, Any]:
    tuning: Counter[tuple[str, int]] = Counter(
        (o.contender, o.study) for o in found.outcomes if o.stage is Stage.TUNING
    )
    numbers = {
        "studies": max(found.studies.values()),
        "trials": max(tuning.values(), default=0),
        "seeds": found.seeds,
        "steps": max(outcome.steps for outcome in found.outcomes),
        "halving": any(outcome.status is Status.DROPPED for outcome in found.outcomes),
        "schedule": "unknown",
        "seed": 0,
    }
    return {"race": numbers, "contenders": [{"label": label} for label in found.optimizers]}


def _plan(
    found: Ordered, name: str, metric: str, direction: Direction, about: Mapping[str, Any], remarks: Sequence[str]
) -> dict[str, Any]:
    worst = METRICS[metric].worst if metric in METRICS else None
    return {
        "engine": "imported",
        "workload": {
            "name": name,
            "title": name,
            "metric": metric,
            "direction": direction,
            "worst": worst,
            "target": None,
            "remarks": [*remarks, *found.remarks],
            "reference": {"kind": "imported", "name": name},
        },
        "contenders": {
            label: {"optimizer": optimizer, "source": None, "special_cases": [], "dimensions": {}}
            for label, optimizer in found.optimizers.items()
        },
        "imported": dict(about),
    }
