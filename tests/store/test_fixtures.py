"""Stores written by earlier versions open, and hold what they held; migrations run whole or not at all."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gradrace.errors import StoreError
from gradrace.store import SQLiteStore, open_store, schema

from . import samples
from .make_fixture import FIXTURES, fill


def dump(path: Path) -> list[str]:
    """All tables and rows as SQL, without the moments of creation and of the pulse."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE races SET created = ''")
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pulses'").fetchone():
            connection.execute("UPDATE pulses SET at = ''")
        return list(connection.iterdump())


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of schema 1, opened by a gradrace whose schema is 3."""
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(schema, "MIGRATIONS", {})
    return Path(shutil.copy(FIXTURES / "schema-1.db", tmp_path / "races.db"))


def test_there_is_a_fixture_for_every_version() -> None:
    names = sorted(file.name for file in FIXTURES.iterdir())
    assert names == [f"schema-{version}.db" for version in range(1, schema.SCHEMA_VERSION + 1)]


@pytest.mark.parametrize("fixture", sorted(FIXTURES.glob("*.db")), ids=lambda path: path.stem)
def test_store_of_every_version_opens_and_is_used(fixture: Path, tmp_path: Path) -> None:
    path = shutil.copy(fixture, tmp_path / "races.db")
    with open_store(path, must_exist=True) as store:
        (record,) = store.races()
        assert (record.id, record.status, record.version) == (samples.RACE, "finished", "0.1.0")
        assert (record.spec, record.plan, record.machine) == (samples.SPEC, samples.PLAN, samples.MACHINE)
        expected = sorted(samples.of_every_kind(), key=lambda outcome: outcome.trial)
        if fixture.stem == "schema-1":
            expected = [replace(outcome, others={}) for outcome in expected]
        assert store.outcomes(samples.RACE) == expected
        assert store.notes(samples.RACE) == {"step seconds": {"Adam": 1.5e-4}}
        spoke = {} if fixture.stem in ("schema-1", "schema-2") else {"stage": "tuning"}
        assert {race: pulse.said for race, pulse in store.pulses().items()} == ({samples.RACE: spoke} if spoke else {})
        assert store.write_block(samples.RACE, "block", []) is False
        assert store.write_block(samples.RACE, *samples.block(10)) is True
        assert len(store.outcomes(samples.RACE)) == len(expected) + 3


def test_tables_do_not_change_without_a_new_version(tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with open_store(new) as store:
        fill(store)
    kept = Path(shutil.copy(FIXTURES / f"schema-{schema.SCHEMA_VERSION}.db", tmp_path / "kept.db"))
    assert dump(new) == dump(kept)


@pytest.mark.parametrize("fixture", sorted(FIXTURES.glob("*.db")), ids=lambda path: path.stem)
def test_migrated_store_has_the_tables_of_a_new_one(fixture: Path, tmp_path: Path) -> None:
    migrated, new = Path(shutil.copy(fixture, tmp_path / "races.db")), tmp_path / "new.db"
    tables = []
    for path in (migrated, new):
        open_store(path).close()
        tables.append([line.replace("\n", "").replace(" ", "") for line in dump(path) if line.startswith("CREATE")])
    assert tables[0] == tables[1]
    assert version_of(migrated) == schema.SCHEMA_VERSION


def test_older_store_migrates_step_by_step(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schema.MIGRATIONS, 1, lambda c: c.execute("ALTER TABLE notes ADD COLUMN unit TEXT"))
    monkeypatch.setitem(schema.MIGRATIONS, 2, lambda c: c.execute("UPDATE notes SET unit = 's'"))
    for _ in range(2):  # the second time there is nothing to migrate
        with SQLiteStore(older) as store:
            assert store.notes(samples.RACE) == {"step seconds": {"Adam": 1.5e-4}}
    assert version_of(older) == 3
    assert any("'s'" in line for line in dump(older))


def test_migration_that_fails_leaves_the_store_as_it_was(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = older.read_bytes()
    monkeypatch.setitem(schema.MIGRATIONS, 1, lambda c: c.execute("DROP TABLE notes"))
    monkeypatch.setitem(schema.MIGRATIONS, 2, lambda c: c.execute("DROP TABLE absent"))
    with pytest.raises(StoreError, match="could not be opened: no such table: absent"):
        SQLiteStore(older)
    assert older.read_bytes() == before
    assert [file.name for file in older.parent.iterdir()] == ["races.db"]


def test_store_too_old_to_migrate_is_refused(older: Path) -> None:
    message = "has schema version 1, which this gradrace can no longer bring to its version 3. Open it with an older"
    with pytest.raises(StoreError, match=message):
        SQLiteStore(older)
    assert version_of(older) == 1


def test_newer_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "races.db"
    newer = schema.SCHEMA_VERSION + 1
    monkeypatch.setattr(schema, "SCHEMA_VERSION", newer)
    open_store(path).close()
    monkeypatch.undo()
    before = path.read_bytes()
    message = (
        f"has schema version {newer}; this gradrace knows versions up to {newer - 1}. "
        "Update gradrace, or choose another store."
    )
    with pytest.raises(StoreError, match=message):
        open_store(path)
    assert path.read_bytes() == before


def test_version_that_only_the_write_ahead_log_knows_is_refused_too(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schema.MIGRATIONS, 1, lambda c: None)
    monkeypatch.setitem(schema.MIGRATIONS, 2, lambda c: None)
    with SQLiteStore(older):  # still open, so that the log is not yet in the file
        assert int.from_bytes(older.read_bytes()[60:64], "big") == 1
        monkeypatch.setattr(schema, "SCHEMA_VERSION", 1)
        with pytest.raises(StoreError, match="has schema version 3; this gradrace knows versions up to 1"):
            SQLiteStore(older)
