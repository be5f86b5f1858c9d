"""Runs out of a table: a CSV of one's own, a data frame, or rows as mappings.

The columns are those that ``gradrace export`` writes, so that what was exported can be imported.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError, unknown_name
from gradrace.outcomes import Stage, Status
from gradrace.race.imports.runs import MOST_RUNS, ONE_STUDY, Run
from gradrace.report.export import from_cell

MOST_BYTES = 100_000_000
DELIMITERS = ",;\t"

COLUMNS = (
    "contender", "study", "seed", "stage", "status", "test", "validation", "steps", "seconds", "optimizer", "chosen",
    "error",
)  # fmt: skip
"""Columns by name; beside them ``lr``, and any that begin with one of these:"""
CONFIGURATION, OTHER = "configuration_", "other_"

_KNOWN_FROM_EXPORT = {"race", "workload", "trial", "point", "diverged_at", "validation_loss", "test_loss"}
"""What an exported table has beside them, and nobody needs."""


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV as texts by column.

    The separator is whichever of comma, semicolon and tab the first line has most of.

    Raises:
        SpecError: the file is not there, is too large, is no text in UTF-8, or has no rows, or one that is too long.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SpecError(
                f"The file '{path}' has {size:,} bytes; at most {MOST_BYTES:,} are read. Leave out what is not a run."
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SpecError(f"The file '{path}' cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SpecError(f"The file '{path}' is no text in UTF-8. Save it as CSV in UTF-8.") from None
    head = text.split("\n", 1)[0]
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count), strict=True)
        names = [name.strip() for name in next(reader, [])]
        _check_names(names, path)
        rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise SpecError(
                    f"Line {reader.line_num} of '{path}' has {len(cells)} cells, but the first line names "
                    f"{len(names)} columns."
                )
            rows.append(dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise SpecError(f"The file '{path}' is no CSV: {error}.") from None
    if not rows:
        raise SpecError(f"The file '{path}' has no rows below its first line.")
    return rows


def _check_names(names: Sequence[str], path: Path) -> None:
    if not any(names):
        raise SpecError(f"The file '{path}' is empty. Its first line must name the columns.")
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"The first line of '{path}' names the column '{name}' twice.")


def rows_of(table: Any) -> list[Mapping[str, Any]]:
    """The rows of a data frame, or of anything that yields mappings.

    Raises:
        SpecError: it is something else.
    """
    if hasattr(table, "to_dict") and hasattr(table, "columns"):  # of pandas, which is not imported for this
        return table.to_dict("records")
    rows = list(table) if isinstance(table, Iterable) else []
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise SpecError(
            f"Runs cannot be imported from {type(table).__name__}. Give a path of a CSV, a data frame, rows as dicts, "
            "an Optuna study or several, or the address of Optuna's storage."
        )
    return rows


def runs_of(
    rows: Sequence[Mapping[str, Any]], name: str, metric: str, columns: Mapping[str, str]
) -> tuple[list[Run], list[str]]:
    """Runs of a table, and remarks on what was not read.

    Args:
        rows: at least one.
        name: of the table, for errors.
        metric: a column called so has the value of a run's own split: test in confirmation, else validation.
        columns: for a column of ours what it is called in the table.

    Raises:
        SpecError: a column is missing, or a cell does not hold what it must; with its row.
    """
    for ours in columns:
        if ours not in COLUMNS:
            raise unknown_name("column", ours, COLUMNS)
    there = list(dict.fromkeys(column for row in rows for column in row))
    for ours, theirs in columns.items():
        if theirs not in there:
            raise SpecError(
                f"{name} has no column '{theirs}', which was said to be '{ours}'. It has: {_listed(there)}."
            )
    if len(rows) > MOST_RUNS:
        raise SpecError(f"{name} has {len(rows):,} rows; at most {MOST_RUNS:,} can be imported at a time.")
    names = {ours: columns.get(ours, ours) for ours in COLUMNS}
    read = {*names.values(), metric, "lr"}
    if names["contender"] not in there:
        raise SpecError(_missing(name, "contender", there))
    if not {names["test"], names["validation"], metric} & set(there):
        raise SpecError(_missing(name, "test", there, f", or '{metric}', with what the runs scored"))
    table = _Table(name, names, metric, [c for c in there if c == "lr" or c.startswith(CONFIGURATION)], there)
    runs = [table.run(row, number) for number, row in enumerate(rows, 1)]
    unread = [c for c in there if c not in read | _KNOWN_FROM_EXPORT and not c.startswith((CONFIGURATION, OTHER))]
    remarks = [f"Columns that were not read: {_listed(unread)}."] if unread else []
    return runs, remarks


class _Table:
    def __init__(
        self, name: str, names: Mapping[str, str], metric: str, configuration: Sequence[str], there: Sequence[str]
    ) -> None:
        self.name, self.names, self.metric = name, names, metric
        self.configuration = {column: column.removeprefix(CONFIGURATION) for column in configuration}
        self.others = {c: c.removeprefix(OTHER) for c in there if c.startswith(OTHER)}

    def run(self, row: Mapping[str, Any], number: int) -> Run:
        """A row as a run."""
        where = f"Row {number} of {self.name}"
        stage = self._one_of(row, "stage", Stage, Stage.CONFIRMATION, where)
        status = self._one_of(row, "status", Status, None, where)
        scores = {name: self._score(row, name, stage, where) for name in ("test", "validation")}
        own = scores["test" if stage is Stage.CONFIRMATION else "validation"]
        if status is None:
            if own is None:
                column = self.names["test" if stage is Stage.CONFIRMATION else "validation"]
                raise SpecError(
                    f"{where} has no value of '{column}'. Of a run that diverged, write nan, or diverged as its status."
                )
            status = Status.FINISHED if math.isfinite(own) else Status.DIVERGED
        elif status in (Status.FINISHED, Status.DROPPED) and (own is None or not math.isfinite(own)):
            raise SpecError(f"{where} has the status {status}, but no finite value: '{own}'.")
        contender = self._text(row, "contender")
        if contender is None:
            raise SpecError(f"{where} has no contender.")
        return Run(
            where=where,
            contender=contender,
            stage=stage,
            status=status,
            study=self._text(row, "study") or ONE_STUDY,
            seed=self._text(row, "seed"),
            optimizer=self._text(row, "optimizer"),
            validation=_finite(scores["validation"]),
            test=_finite(scores["test"]),
            configuration=self._numbers(row, self.configuration, where),
            others=self._numbers(row, self.others, where),
            steps=self._count(row, "steps", where),
            seconds=_number(row.get(self.names["seconds"]), "seconds", where) or 0.0,
            error=self._text(row, "error"),
            chosen=str(row.get(self.names["chosen"], "")).strip().lower() in ("true", "1"),
        )

    def _score(self, row: Mapping[str, Any], name: str, stage: Stage, where: str) -> float | None:
        column, ours = self.names[name], (name == "test") == (stage is Stage.CONFIRMATION)
        value = _number(row.get(column), column, where)
        if value is None and ours:
            value = _number(row.get(self.metric), self.metric, where)
        return value

    def _text(self, row: Mapping[str, Any], name: str) -> str | None:
        value = row.get(self.names[name])
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, float) and value.is_integer():  # as data frames have whole numbers beside gaps
            value = int(value)
        return from_cell(str(value)).strip() or None

    def _one_of(self, row: Mapping[str, Any], name: str, kind: Any, otherwise: Any, where: str) -> Any:
        text = self._text(row, name)
        if text is None:
            return otherwise
        if text not in list(kind):
            raise SpecError(f"{where}: {unknown_name(name, text, [known.value for known in kind])}")
        return kind(text)

    def _count(self, row: Mapping[str, Any], name: str, where: str) -> int:
        value = _number(row.get(self.names[name]), self.names[name], where)
        if value is None:
            return 0
        if not math.isfinite(value) or value < 0 or value != int(value):
            raise SpecError(f"{where}: '{self.names[name]}' must be a whole number of at least 0, but is {value!r}.")
        return int(value)

    def _numbers(self, row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> dict[str, float]:
        found = {name: _number(row.get(column), column, where) for column, name in columns.items()}
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


def _number(cell: Any, column: str, where: str) -> float | None:
    """A number, NaN and infinities included; None for nothing."""
    text = str(cell).strip() if cell is not None else ""
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"{where}: '{column}' must be a number, but is '{text[:80]}'.") from None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _missing(name: str, column: str, there: Sequence[str], more: str = "") -> str:
    return (
        f"{name} has no column '{column}'{more}. It has: {_listed(there)}. Say which column it is: --columns "
        f"{column}=NAME (columns={{'{column}': ...}})."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(str(name)[:60] for name in names[:20]) + (
        f" and {len(names) - 20} more" if len(names) > 20 else ""
    )
