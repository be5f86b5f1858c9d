"""Damaged stores: bytes turned over, files cut short, older ones, other logs, cells that hold something else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradrace.errors import GradraceError, StoreError
from gradrace.race import api
from gradrace.race.reporting import page_of
from gradrace.store import open_store

from .made_stores import fuzzed, older, raced

OLD = older()
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12)
CUTS = st.one_of(st.just(1.0), st.floats(0, 1))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store with one small race."""
    return raced(tmp_path_factory.mktemp("fuzz") / "races.db")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that all inputs are written to: a folder for each would take longer than the tests."""
    return tmp_path_factory.mktemp("damaged") / "races.db"


def put(place: Path, content: bytes) -> None:
    for path in place.parent.iterdir():
        path.unlink()
    place.write_bytes(content)


def damaged(content: bytes, edits: list[tuple[float, int]], cut: float) -> bytes:
    changed = bytearray(content)
    for where, value in edits:
        changed[int(where * len(changed))] = value
    return bytes(changed[: int(cut * len(changed))])


def look(place: Path) -> None:
    """Look at everything as the commands do that look at a stranger's store."""
    try:
        with open_store(place, must_exist=True) as store:
            for record in store.races():
                store.blocks(record.id)
                api.result_of(store, record.id).to_json()
                page_of(store, record.id)
                store.write_note(record.id, "fuzzed", {"a": 1})
    except GradraceError:
        return  # a sentence


@fuzzed(40, 0.08)
@given(edits=EDITS, cut=CUTS)
def test_a_damaged_store(whole: bytes, place: Path, edits: list[tuple[float, int]], cut: float) -> None:
    put(place, damaged(whole, edits, cut))
    look(place)


@fuzzed(40, 0.08)
@given(which=st.sampled_from(OLD), edits=EDITS, cut=CUTS)
def test_a_damaged_store_of_an_older_version(
    place: Path, which: bytes, edits: list[tuple[float, int]], cut: float
) -> None:
    put(place, damaged(which, edits, cut))
    look(place)


@fuzzed(20, 0.04)
@given(edits=EDITS, cut=CUTS, wal=st.one_of(st.none(), st.binary(max_size=300)))
def test_a_damaged_log(
    whole: bytes, place: Path, edits: list[tuple[float, int]], cut: float, wal: bytes | None
) -> None:
    put(place, whole)
    with open_store(place) as store:
        (record,) = store.races()
        store.write_note(record.id, "in the log", {"text": "a" * 5000})
        kept = Path(f"{place}-wal").read_bytes()
        shutil.copy(place, place.with_name("copy.db"))
    content = place.with_name("copy.db").read_bytes()
    put(place, content)
    Path(f"{place}-wal").write_bytes(damaged(kept, edits, cut) if wal is None else wal)
    look(place)


CELLS = [
    *(("races", column) for column in ("spec", "plan", "machine", "status", "created", "version")),
    *(("outcomes", column) for column in ("stage", "contender", "study", "seed", "point", "status", "steps")),
    *(
        ("outcomes", column)
        for column in ("error", "validation", "test", "seconds", "configuration", "curve", "others")
    ),
    ("notes", "value"),
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**20), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
OTHER = st.one_of(
    JSON.map(json.dumps),
    st.text(max_size=20).filter(lambda text: "\0" not in text),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=9),
    st.sampled_from(["{}", "[]", "null", "[" * 5000, "9" * 5000, '{"a":NaN}']),
)


@fuzzed(60, 0.1)
@given(cells=st.lists(st.tuples(st.sampled_from(CELLS), st.integers(0, 40), OTHER), min_size=1, max_size=2))
def test_cells_that_hold_something_else(
    whole: bytes, place: Path, cells: list[tuple[tuple[str, str], int, object]]
) -> None:
    put(place, whole)
    connection = sqlite3.connect(place)
    for (table, column), row, value in cells:
        key = {"races": "number", "outcomes": "trial", "notes": "key"}[table]
        rows = [known for (known,) in connection.execute(f"SELECT {key} FROM {table} ORDER BY {key}")]
        try:
            words = (value, rows[row % len(rows)])
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", words)
        except (sqlite3.Error, UnicodeEncodeError):
            continue  # SQLite keeps some of it out
    connection.commit()
    connection.close()
    look(place)


def test_a_store_whose_notes_say_something_else_is_refused_in_a_sentence(whole: bytes, place: Path) -> None:
    put(place, whole)
    connection = sqlite3.connect(place)
    connection.execute("UPDATE notes SET value = '{\"choices\": 3}' WHERE key = 'choices'")
    connection.commit()
    connection.close()
    with open_store(place) as store:
        (record,) = store.races()
        for shown in (api.result_of, page_of):
            with pytest.raises(StoreError, match="cannot be shown"):
                shown(store, record.id)
