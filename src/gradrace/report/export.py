"""Every trial and every point of every curve as tables in files: CSV, Parquet or JSON. Each number comes back exactly.

In a CSV, text that a spreadsheet would take for a formula gets an apostrophe in front, as does text that begins with
one: labels, file names and errors come from users, and a spreadsheet runs what begins with an equals sign. To read the
text as it was, take one leading apostrophe away. Parquet and JSON hold it as it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError, unknown_name
from gradrace.outcomes import Outcome
from gradrace.report import others
from gradrace.report.page.trials import in_order, was_chosen
from gradrace.report.record import RaceRecord
from gradrace.report.summary import Race

Columns = dict[str, list[Any]]
"""A table: the values of each column, None where there is none. All have the same length."""

ENDINGS = ("csv", "parquet", "json")
"""Formats of tables."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
"""What text begins with that a spreadsheet might run, and the mark that is put before it."""

_WHOLE = {"study", "seed", "point", "steps", "diverged_at", "step"}
_TRUTH = {"chosen"}
_TEXT = {"race", "workload", "trial", "contender", "optimizer", "stage", "status", "error"}


def trial_columns(record: RaceRecord, outcomes: Sequence[Outcome], notes: Mapping[str, Any]) -> Columns:
    """One row for each trial, in the order of contender, stage, study, seed and point.

    Columns: ``race``, ``workload``, ``trial`` (its id), ``contender``, ``optimizer``, ``stage``, ``study``, ``seed``,
    ``point``, ``chosen`` (by its study), ``status``, ``steps``, ``diverged_at``; ``validation``, ``validation_loss``,
    ``test`` and ``test_loss`` at the last step; ``seconds`` of training; ``configuration_lr`` and so on for each
    hyperparameter, ``other_auc`` and so on for each further metric of the test split; ``error``.

    Raises:
        StoreError: the record lacks what every race has.
    """
    race = Race(record, outcomes, notes)
    rows = in_order(outcomes, race.labels)
    names = list(dict.fromkeys(name for row in rows for name in row.configuration))
    optimizers = {label: known["optimizer"] for label, known in record.plan["contenders"].items()}
    fields = ("validation", "validation_loss", "test", "test_loss", "seconds")
    return {
        "race": [record.id] * len(rows),
        "workload": [race.workload["name"]] * len(rows),
        **_which(rows),
        "optimizer": [optimizers[row.contender] for row in rows],
        "chosen": [was_chosen(race, row) for row in rows],
        "status": [row.status.value for row in rows],
        "steps": [row.steps for row in rows],
        "diverged_at": [row.diverged_at for row in rows],
        **{field: [getattr(row, field) for row in rows] for field in fields},
        **{f"configuration_{name}": [row.configuration.get(name) for row in rows] for name in names},
        **{f"other_{name}": [row.others.get(name) for row in rows] for name in others.names_of(rows)},
        "error": [row.error for row in rows],
    }


def curve_columns(record: RaceRecord, outcomes: Sequence[Outcome], notes: Mapping[str, Any]) -> Columns:
    """One row for each point of each trial's curve, the trials in the order of ``trial_columns``.

    Columns: ``race``, ``trial`` and what it is of, ``step``, ``train_loss``, ``validation`` and ``validation_loss``.

    Raises:
        StoreError: the record lacks what every race has.
    """
    race = Race(record, outcomes, notes)
    rows = [(row, at) for row in in_order(outcomes, race.labels) for at in range(len(row.curve.step))]
    fields = ("step", "train_loss", "validation", "validation_loss")
    return {
        "race": [record.id] * len(rows),
        **_which([row for row, _ in rows]),
        **{field: [getattr(row.curve, field)[at] for row, at in rows] for field in fields},
    }


def _which(rows: Sequence[Outcome]) -> Columns:
    """Which trial a row is of."""
    return {
        "trial": [row.trial for row in rows],
        "contender": [row.contender for row in rows],
        "stage": [row.stage.value for row in rows],
        "study": [row.study for row in rows],
        "seed": [row.seed for row in rows],
        "point": [row.point for row in rows],
    }


def ending_of(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        SpecError: it asks for none, or for one there is not; or what writes it is not installed.
    """
    ending = path.suffix.lower().removeprefix(".")
    if not ending:
        raise SpecError(f"The name '{path}' does not say a format. Let it end in {_listed(ENDINGS)}.")
    if ending not in ENDINGS:
        raise unknown_name("format of tables", ending, ENDINGS)
    if ending == "parquet":
        _pyarrow()
    return ending


def encoded(columns: Columns, ending: str, about: Mapping[str, str]) -> bytes:
    """The bytes of a table's file.

    Args:
        columns: of ``trial_columns`` or ``curve_columns``.
        ending: one of ``ENDINGS``.
        about: what is said of the table, where the format has a place for it: Parquet's metadata.
    """
    if ending == "parquet":
        return _parquet(columns, about)
    if ending == "csv":
        return _csv(columns)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    return f"[\n{lines}\n]\n".encode()


def _csv(columns: Columns) -> bytes:
    """RFC 4180 in UTF-8: a comma between cells, numbers with all their digits, nothing where there is no value."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")  # with another end, a return inside a text would end its row
    writer.writerow(_cell(name) for name in columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return file.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULAS) else value
    return str(value).lower() if isinstance(value, bool) else repr(float(value) if isinstance(value, float) else value)


def from_cell(text: str) -> str:
    """The text that a cell of a CSV of ours stands for: without the apostrophe that keeps spreadsheets from running it.

    >>> from_cell("'=sgd"), from_cell("o'clock")
    ('=sgd', "o'clock")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULAS) else text


def _parquet(columns: Columns, about: Mapping[str, str]) -> bytes:
    arrow, parquet = _pyarrow()
    schema = arrow.schema([(name, _type(arrow, name, values)) for name, values in columns.items()])
    schema = schema.with_metadata({f"gradrace.{name}": value for name, value in about.items()})
    file = io.BytesIO()
    parquet.write_table(arrow.Table.from_pydict(columns, schema=schema), file)
    return file.getvalue()


def _type(arrow: Any, name: str, values: Sequence[Any]) -> Any:
    """A column's type, which does not depend on whether it has values."""
    if name in _TEXT:
        return arrow.string()
    if name in _TRUTH:
        return arrow.bool_()
    known = [value for value in values if value is not None]
    whole = name in _WHOLE or (known and name.startswith("configuration_") and all(type(v) is int for v in known))
    return arrow.int64() if whole else arrow.float64()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SpecError(
            f"Parquet needs {error.name}, which is not installed: pip install 'gradrace[export]'. CSV and JSON need "
            "nothing."
        ) from None
    return pyarrow, pyarrow.parquet


def _listed(endings: Sequence[str]) -> str:
    return ", ".join(f".{ending}" for ending in endings[:-1]) + f" or .{endings[-1]}"
