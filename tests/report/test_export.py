"""Tables of all trials and curves: every number comes back exactly, text as it was, and no spreadsheet runs a label."""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from paged import ODD, race
from stored_race import outcome

from gradrace.errors import SpecError, StoreError
from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.report.export import ENDINGS, Columns, curve_columns, encoded, ending_of, trial_columns

FLOATS = (0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 2**53 + 2.0, math.pi)
"""What a careless way of writing numbers would change."""

RUN = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'quoted")
"""What a spreadsheet would run, and what looks as if it had been made safe already."""

ABOUT = {"race": "abc123", "status": "finished", "version": "0"}


def bits(values: list[Any]) -> list[Any]:
    """Floats as their bits: 0.0 and -0.0 are equal otherwise."""
    return [struct.pack("d", value) if isinstance(value, float) else value for value in values]


def read(content: bytes, ending: str) -> list[dict[str, Any]]:
    """A table's rows, as somebody would read them who knows what this project says of its files."""
    if ending == "parquet":
        return pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
    if ending == "json":
        return json.loads(content)
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    return [{name: None if cell == "" else cell.removeprefix("'") for name, cell in row.items()} for row in rows]


def typed(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """A row of a CSV with the types of its columns."""
    kinds = {name: next((type(v) for v in values if v is not None), str) for name, values in columns.items()}
    return {
        name: value if value is None else value == "true" if kinds[name] is bool else kinds[name](value)
        for name, value in row.items()
    }


def written() -> tuple[Any, list[Outcome], dict[str, Any]]:
    """A race whose numbers and texts are hard to write."""
    entered, outcomes, known = race()
    hard = [
        replace(o, validation=FLOATS[i % 8], test_loss=FLOATS[(i + 3) % 8], seconds=abs(FLOATS[(i + 5) % 8]),
                configuration={"lr": FLOATS[i % 3], "beta1": 0.9, "steps_kept": i},
                others={"=auc": FLOATS[(i + 1) % 8]},
                curve=Curve([1, 2], [FLOATS[i % 8], None], [None, FLOATS[(i + 1) % 8]], [0.5, 0.25]))
        for i, o in enumerate(outcomes)
    ]  # fmt: skip
    hard[0] = replace(hard[0], status=Status.FAILED, error='Traceback, "quoted"\nKorean: 모멘텀; </script>')
    hard[1] = replace(hard[1], status=Status.DIVERGED, diverged_at=7, validation=None)
    hard[2] = replace(hard[2], configuration={"lr": 0.5})
    return entered, hard, known


@pytest.mark.parametrize("make", [trial_columns, curve_columns])
@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_comes_back_exactly(ending: str, make: Any) -> None:
    columns = make(*written())
    rows = read(encoded(columns, ending, ABOUT), ending)
    if ending == "csv":
        rows = [typed(row, columns) for row in rows]
    assert list(rows[0]) == list(columns)
    for name, values in columns.items():
        back = [row[name] for row in rows]
        assert [type(value) for value in back] == [type(value) for value in values], name
        assert bits(back) == bits(values), name
    assert encoded(columns, ending, ABOUT) == encoded(columns, ending, ABOUT)


def test_the_columns_of_trials_are_the_outcomes() -> None:
    entered, outcomes, known = written()
    columns = trial_columns(entered, outcomes, known)
    assert list(columns) == [
        "race", "workload", "trial", "contender", "stage", "study", "seed", "point", "optimizer", "chosen", "status",
        "steps", "diverged_at", "validation", "validation_loss", "test", "test_loss", "seconds", "configuration_lr",
        "configuration_beta1", "configuration_steps_kept", "other_=auc", "error",
    ]  # fmt: skip
    by_trial = {o.trial: o for o in outcomes}
    assert sorted(columns["trial"]) == sorted(by_trial)
    for at, trial in enumerate(columns["trial"]):
        o, row = by_trial[trial], {name: values[at] for name, values in columns.items()}
        for name in (
            "contender",
            "study",
            "seed",
            "point",
            "steps",
            "diverged_at",
            "validation",
            "test",
            "seconds",
            "error",
        ):
            assert row[name] == getattr(o, name)
        assert (row["stage"], row["status"]) == (o.stage.value, o.status.value)
        assert row["configuration_beta1"] == o.configuration.get("beta1")
        assert row["optimizer"] == {"a": "sgd", "b": "momentum"}[o.contender]
        assert row["chosen"] == (o.stage is Stage.TUNING and o.point == 2)
    order = [(c, ["tuning", "edge", "confirmation"].index(s), study, seed, point) for c, s, study, seed, point in zip(
        *(columns[name] for name in ("contender", "stage", "study", "seed", "point")), strict=True)]  # fmt: skip
    assert order == sorted(order)


def test_curves_are_in_long_form() -> None:
    entered, outcomes, known = race()
    columns = curve_columns(entered, outcomes, known)
    for o in outcomes:
        rows = [i for i, trial in enumerate(columns["trial"]) if trial == o.trial]
        for name in ("step", "train_loss", "validation", "validation_loss"):
            assert [columns[name][i] for i in rows] == getattr(o.curve, name)


@pytest.mark.parametrize("text", RUN)
def test_a_spreadsheet_runs_nothing_of_a_csv(text: str) -> None:
    """In a CSV it is text for certain, and one apostrophe less is what it was; in the others it stands as it is."""
    entered, outcomes, known = race()
    entered.plan["workload"]["name"] = text
    columns = trial_columns(entered, [replace(o, error=text) for o in outcomes], known)
    plain = csv.reader(io.StringIO(encoded(columns, "csv", ABOUT).decode(), newline=""))
    cells = [cell for row in plain for cell in row]
    assert f"'{text}" in cells
    numbers = [cell for cell in cells if cell.startswith("-")]
    assert all(float(cell) <= 0 for cell in numbers)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "\n", "＝"))]
    for ending in ENDINGS:
        assert {row["error"] for row in read(encoded(columns, ending, ABOUT), ending)} == {text}


def test_names_of_columns_are_safe_as_well() -> None:
    columns = {"=1+1": [1.5], "error": ["fine"]}
    assert encoded(columns, "csv", ABOUT).decode().splitlines() == ["'=1+1,error", "1.5,fine"]


@pytest.mark.parametrize("name", ODD)
def test_any_race_can_be_exported(name: str) -> None:
    entered, outcomes, known = ODD[name]()
    for make in (trial_columns, curve_columns):
        columns = make(entered, outcomes, known)
        assert len({len(values) for values in columns.values()}) == 1
        for ending in ENDINGS:
            rows = read(encoded(columns, ending, ABOUT), ending)
            assert len(rows) == len(columns["trial"])


def test_parquet_has_the_same_types_whatever_is_missing_and_says_what_it_is_of() -> None:
    full, bare = trial_columns(*written()), trial_columns(*ODD["empty"]())
    types = {}
    for name, columns in (("full", full), ("bare", bare)):
        schema = pyarrow.parquet.read_schema(io.BytesIO(encoded(columns, "parquet", ABOUT)))
        types[name] = {field.name: str(field.type) for field in schema}
        assert schema.metadata[b"gradrace.status"] == b"finished"
        assert schema.metadata[b"gradrace.race"] == b"abc123"
    assert types["bare"].items() <= types["full"].items()
    assert types["full"]["diverged_at"] == types["full"]["configuration_steps_kept"] == "int64"
    assert (types["full"]["chosen"], types["full"]["validation"], types["full"]["error"]) == (
        "bool",
        "double",
        "string",
    )


def test_a_csv_opens_in_pandas_as_it_is() -> None:
    columns = trial_columns(*race())
    frame = pandas.read_csv(io.BytesIO(encoded(columns, "csv", ABOUT)))
    assert frame["validation"].tolist() == columns["validation"]
    assert frame["chosen"].tolist() == columns["chosen"]


def test_formats() -> None:
    assert [ending_of(Path(f"a.{ending}")) for ending in ENDINGS] == list(ENDINGS)
    assert ending_of(Path("A.CSV")) == "csv"
    with pytest.raises(
        SpecError, match=r"The name 'trials' does not say a format. Let it end in \.csv, \.parquet or \.json\."
    ):
        ending_of(Path("trials"))
    with pytest.raises(SpecError, match=r"There is no format of tables 'xlsx'\."):
        ending_of(Path("trials.xlsx"))


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SpecError, match=r"pip install 'gradrace\[export\]'. CSV and JSON need nothing"):
        ending_of(Path("trials.parquet"))
    assert encoded(trial_columns(*race()), "csv", ABOUT)


def test_a_record_that_lacks_what_every_race_has_is_refused() -> None:
    entered, outcomes, known = race()
    del entered.plan["workload"]
    with pytest.raises(StoreError, match=r"its record lacks plan\.workload"):
        trial_columns(entered, [*outcomes, outcome("a", 0)], known)
