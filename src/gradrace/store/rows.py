"""Outcomes and JSON objects as rows of the tables, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from gradrace.errors import StoreError
from gradrace.outcomes import Curve, Outcome, Stage, Status

_COLUMNS = (
    "trial, stage, contender, study, seed, point, status, steps, diverged_at, error,"
    " validation, validation_loss, test, test_loss, seconds, configuration, curve, others"
)
# What is put together here are the names above; values are bound.
INSERT_OUTCOME = f"INSERT INTO outcomes (race, block, {_COLUMNS}) VALUES (?, ?{', ?' * len(_COLUMNS.split(','))})"  # noqa: S608
SELECT_OUTCOMES = f"SELECT {_COLUMNS} FROM outcomes WHERE race = ? ORDER BY trial"  # noqa: S608
SELECT_NEW_OUTCOMES = f"SELECT {_COLUMNS}, rowid FROM outcomes WHERE race = ? AND rowid > ? ORDER BY rowid"  # noqa: S608


def outcome_row(race: str, block: str, outcome: Outcome) -> tuple[Any, ...]:
    """The values that `INSERT_OUTCOME` takes."""
    try:
        return (
            race,
            block,
            outcome.trial,
            outcome.stage.value,
            outcome.contender,
            int(outcome.study),
            int(outcome.seed),
            int(outcome.point),
            outcome.status.value,
            int(outcome.steps),
            None if outcome.diverged_at is None else int(outcome.diverged_at),
            _storable(outcome.error),
            _finite(outcome.validation),
            _finite(outcome.validation_loss),
            _finite(outcome.test),
            _finite(outcome.test_loss),
            _finite(outcome.seconds),
            _dumps({name: _number(value) for name, value in outcome.configuration.items()}),
            _dumps(
                {
                    "step": [int(step) for step in outcome.curve.step],
                    "train_loss": [_finite(value) for value in outcome.curve.train_loss],
                    "validation": [_finite(value) for value in outcome.curve.validation],
                    "validation_loss": [_finite(value) for value in outcome.curve.validation_loss],
                }
            ),
            _dumps(outcome.others),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(
            f"The outcome of trial '{outcome.trial}' cannot be stored: {error}. "
            "Its fields must have the types that gradrace.outcomes.Outcome names."
        ) from error


def outcome_of_row(row: Sequence[Any]) -> Outcome:
    """The outcome that a row of `SELECT_OUTCOMES` holds."""
    try:
        return Outcome(
            trial=row[0],
            stage=Stage(row[1]),
            contender=row[2],
            study=row[3],
            seed=row[4],
            point=row[5],
            status=Status(row[6]),
            steps=row[7],
            diverged_at=row[8],
            error=row[9],
            validation=row[10],
            validation_loss=row[11],
            test=row[12],
            test_loss=row[13],
            seconds=0.0 if row[14] is None else row[14],
            configuration=json.loads(row[15]),
            curve=Curve(**json.loads(row[16])),
            others=json.loads(row[17]),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(
            f"The stored outcome of trial '{row[0]}' cannot be read: {error}. "
            "The file was changed by another program: restore it from a copy, or choose another store."
        ) from error


def dump_object(what: str, value: dict[str, Any]) -> str:
    """A JSON object as text; `what` names it in the error if it is not one."""
    try:
        if not isinstance(value, dict):
            raise TypeError(f"it is a {type(value).__name__}, not a dict")
        return _dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"The {what} cannot be stored: {error}. It must be a dict of plain JSON types with finite numbers."
        ) from error


def load_object(what: str, text: str) -> dict[str, Any]:
    """The JSON object that `dump_object` wrote."""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError(f"it is a {type(found).__name__}, not an object")
        return found
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"The stored {what} cannot be read: {error}. "
            "The file was changed by another program: restore it from a copy, or choose another store."
        ) from error


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _finite(value: float | None) -> float | None:
    # float() also turns numpy's scalars, which neither SQLite nor JSON know, into Python's.
    return float(value) if value is not None and math.isfinite(value) else None


def _number(value: float | None) -> float | None:
    # A whole number stays one, so that a configuration comes back with the types it had.
    return value if isinstance(value, int) else _finite(value)


def _storable(text: str | None) -> str | None:
    # A failed trial's sentence may quote a file name that is not Unicode; its whole block must not be lost for that.
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
