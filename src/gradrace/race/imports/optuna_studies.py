"""Runs out of Optuna: a study of Optuna's is a study here, its trials are tuning.

What confirms a study's choice is the user attribute ``test`` of its best trial, or of the study: a number, a list of
numbers, or a mapping of seeds to numbers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gradrace.errors import SpecError
from gradrace.outcomes import Curve, Stage, Status
from gradrace.race.imports.runs import ONE_STUDY, Run
from gradrace.verdict import Direction

TEST, CONTENDER, STUDY, OPTIMIZER = "test", "contender", "study", "optimizer"
"""User attributes that are read."""
DATABASES, JOURNALS = (".db", ".sqlite", ".sqlite3"), (".log", ".journal", ".jsonl")

_NAMED = re.compile(r"(?P<contender>.+?)[-_/ .#:](?P<study>\d+)")


def is_storage(source: str) -> bool:
    """Whether this names a storage of Optuna's."""
    return "://" in source or source.lower().endswith(DATABASES + JOURNALS)


def is_study(thing: Any) -> bool:
    """Whether this is a study of Optuna's."""
    return all(hasattr(thing, name) for name in ("study_name", "trials", "directions", "user_attrs"))


def studies_in(storage: str) -> list[Any]:
    """The studies of a storage, in the order of their names.

    Raises:
        SpecError: Optuna is not installed, or the storage is not there, is none, or holds no studies.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise SpecError(f"Studies of Optuna need {error.name}, which is not installed: pip install optuna") from None
    path = _file_of(storage)
    if path is not None and not path.is_file():
        raise SpecError(f"There is no file '{path}'.")
    try:
        if path is not None and path.suffix.lower() in JOURNALS:
            opened: Any = JournalStorage(JournalFileBackend(str(path)))
        else:
            url = storage if path is None else f"sqlite:///{path.resolve().as_posix()}"
            opened = RDBStorage(url, skip_table_creation=True)
        found = [
            optuna.load_study(study_name=name, storage=opened) for name in optuna.get_all_study_names(storage=opened)
        ]
        for study in found:
            _ = study.directions
    except Exception as error:  # of the database's own library, whichever it is
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SpecError(f"'{_shown(storage)}' cannot be read as a storage of Optuna's: {lines[0]}") from error
    if not found:
        raise SpecError(f"The storage '{_shown(storage)}' holds no studies.")
    return sorted(found, key=lambda study: study.study_name)


def _file_of(storage: str) -> Path | None:
    """The file that a storage is, or None."""
    if "://" not in storage:
        return Path(storage)
    parts = urlsplit(storage)
    return Path(unquote(parts.path[1:])) if parts.scheme == "sqlite" and not parts.netloc else None


def _shown(storage: str) -> str:
    return re.sub(r"(?<=://)[^/@]*@", "...@", storage)


def runs_of(studies: Sequence[Any], by: str | None) -> tuple[list[Run], Direction, str | None, list[str]]:
    """Runs of studies, which way is better, the metric's name if the studies say it, and remarks.

    Args:
        studies: of Optuna's, at least one.
        by: the parameter of trials that names the contender, where studies choose the optimizer themselves.

    Raises:
        SpecError: the studies are of several objectives, or do not agree; or an attribute is not what it must be.
    """
    directions, metrics = set(), set()
    runs, remarks, skipped, words = [], [], Counter[str](), set()
    for study in studies:
        name = study.study_name
        if len(study.directions) != 1:
            raise SpecError(f"Study '{name}' has {len(study.directions)} objectives; a race is judged by one metric.")
        directions.add(study.directions[0].name)
        metrics.add(tuple(study.metric_names or ()))
        contender, number = _name_of(study)
        optimizer = study.user_attrs.get(OPTIMIZER)
        trials = []
        for trial in study.trials:
            if trial.state.name in ("RUNNING", "WAITING"):
                skipped[name] += 1
                continue
            words |= {key for key, value in trial.params.items() if not _is_number(value) and key != by}
            label = contender if by is None else _named_by(trial, by, name)
            trials.append((trial, label))
            runs.append(_tuning(trial, label, number, f"Trial {trial.number} of study '{name}'", optimizer))
        runs += _confirmed(study, trials, number, optimizer, by)
    if len(directions) > 1:
        raise SpecError("Some studies minimize and others maximize; a race is judged by one metric.")
    remarks += [
        f"Trials of study '{name}' that have not ended were left out: {count}." for name, count in skipped.items()
    ]
    if words:
        remarks.append(f"Parameters that are no numbers were not kept: {', '.join(sorted(words))}.")
    if by is not None:
        remarks.append(
            f"Each study chose '{by}' itself, so that contenders have as many trials as a sampler thought them worth, "
            "and one that began badly was hardly tuned."
        )
    direction: Direction = "max" if directions == {"MAXIMIZE"} else "min"
    named = next(iter(metrics))
    return runs, direction, named[0] if len(metrics) == 1 and named else None, remarks


def _name_of(study: Any) -> tuple[str, str]:
    """Contender and study: user attributes, or the study's name, as in ``adam-3``."""
    found = _NAMED.fullmatch(study.study_name)
    contender = study.user_attrs.get(CONTENDER, found["contender"] if found else study.study_name)
    number = study.user_attrs.get(STUDY, found["study"] if found else ONE_STUDY)
    return str(contender), str(number)


def _named_by(trial: Any, by: str, name: str) -> str:
    if by not in trial.params:
        known = ", ".join(trial.params) or "none"
        raise SpecError(f"Trial {trial.number} of study '{name}' has no parameter '{by}'. It has: {known}.")
    return str(trial.params[by])


def _tuning(trial: Any, label: str, study: str, where: str, optimizer: Any) -> Run:
    steps = [step for step in sorted(trial.intermediate_values) if step >= 0]
    values = [_finite(trial.intermediate_values[step]) for step in steps]
    state = trial.state.name
    value = trial.value if state == "COMPLETE" else next((v for v in reversed(values) if v is not None), None)
    status = {"COMPLETE": Status.FINISHED, "PRUNED": Status.DROPPED, "FAIL": Status.FAILED}[state]
    error = None
    if status is not Status.FAILED and _finite(value) is None:
        status = Status.DIVERGED if steps or state == "COMPLETE" else Status.FAILED
    if status is Status.FAILED:
        error = str(trial.system_attrs.get("fail_reason") or "The trial failed or reported nothing.")
    curve = Curve(steps, [None] * len(steps), values, [None] * len(steps))
    if steps and status is Status.FINISHED:
        curve.validation[-1] = _finite(value)  # what is selected by is the value at the end
    began, ended = trial.datetime_start, trial.datetime_complete
    return Run(
        where=where,
        contender=label,
        stage=Stage.TUNING,
        status=status,
        study=study,
        optimizer=None if optimizer is None else str(optimizer),
        validation=_finite(value) if status in (Status.FINISHED, Status.DROPPED) else None,
        configuration=_configuration(trial.params),
        steps=steps[-1] if steps else 0,
        seconds=(ended - began).total_seconds() if began and ended else 0.0,
        error=error,
        curve=curve,
    )


def _confirmed(study: Any, trials: Iterable[tuple[Any, str]], number: str, optimizer: Any, by: str | None) -> list[Run]:
    """What the user attribute says of each contender's best trial in the study."""
    known: dict[str, list[Any]] = {}
    for trial, label in trials:
        if trial.state.name == "COMPLETE" and _finite(trial.value) is not None:
            known.setdefault(label, []).append(trial)
    best = max if study.directions[0].name == "MAXIMIZE" else min
    found = []
    for label, complete in known.items():
        chosen = best(complete, key=lambda trial: trial.value)
        given = chosen.user_attrs.get(TEST, study.user_attrs.get(TEST) if by is None else None)
        if given is None:
            continue
        where = f"The attribute '{TEST}' of study '{study.study_name}', trial {chosen.number}"
        for seed, value in _values(given, where):
            finite = _finite(value)
            found.append(
                Run(
                    where=where,
                    contender=label,
                    stage=Stage.CONFIRMATION,
                    status=Status.DIVERGED if finite is None else Status.FINISHED,
                    study=number,
                    seed=seed,
                    optimizer=None if optimizer is None else str(optimizer),
                    test=finite,
                    configuration=_configuration(chosen.params),
                    steps=max(chosen.intermediate_values, default=0),
                )
            )
    return found


def _values(given: Any, where: str) -> list[tuple[str | None, float]]:
    if isinstance(given, Mapping):
        pairs: list[tuple[str | None, Any]] = [(str(seed), value) for seed, value in given.items()]
    else:
        pairs = [(None, value) for value in (given if isinstance(given, list | tuple) else [given])]
    for _, value in pairs:
        if not _is_number(value) and value is not None:
            raise SpecError(f"{where} must hold numbers, but holds {value!r}.")
    return [(seed, math.nan if value is None else float(value)) for seed, value in pairs]


def _configuration(params: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in params.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
