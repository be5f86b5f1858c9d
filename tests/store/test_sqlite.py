"""What concerns the file: which paths open, what stays on the disk, and SQLite's failures as sentences."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gradrace.errors import StoreError
from gradrace.store import SQLiteStore, open_store, schema

from . import samples


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below the folder with its bytes, and every folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def make_text(path: Path) -> None:
    path.write_text("step,loss\n" * 50)


def make_zeros(path: Path) -> None:
    path.write_bytes(bytes(8192))


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE races (id)")


def make_tableless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 77")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "this is a folder. Give the path of a file in it."),
        (os.mkfifo, "this is not a regular file"),
        (make_text, "is not a store: it is no SQLite database"),
        (make_zeros, "is not a store: it is no SQLite database"),
        (make_foreign, "is a SQLite database, but not a store of gradrace"),
        (make_tableless, "is a SQLite database, but not a store of gradrace"),
    ],
)
@pytest.mark.parametrize("must_exist", [False, True])
def test_what_is_no_store_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object], message: str, must_exist: bool
) -> None:
    path = tmp_path / "races.db"
    make(path)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=message) as caught:
        open_store(path, must_exist=must_exist)
    assert str(path) in str(caught.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["none.db", "none/none.db", "file/none.db"])
def test_missing_store_is_not_created_when_it_must_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=f"There is no store at {tmp_path / name}. Check the path"):
        open_store(tmp_path / name, must_exist=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file/races.db", "could not be opened: unable to open database file. Check that the folder"),
        ("file/new/races.db", r"the folder .*/file/new cannot be made \(Not a directory\)"),
        ("new/" + "long" * 100, "could not be opened: unable to open database file"),
        ("new/" + "long" * 100 + "/races.db", r"cannot be made \(File name too long\)"),
        ("long" * 100, "cannot be opened: File name too long"),
        ("new/nul\0l.db", "holds a null character"),
        ("/proc/races.db", "could not be opened: unable to open database file. Check that the folder"),
        ("/proc/new/races.db", "the folder /proc/new cannot be made"),
        ("", "this is a folder"),
    ],
)
def test_path_that_cannot_be_made_leaves_nothing(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path / name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["a/b/races.db", "100% ?mode=ro#1.db", ":memory:", "경주 🏁.db", "no-suffix"])
def test_any_name_is_the_name_of_a_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store(name) as store:
        store.create_race(**samples.race())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    with open_store(str(tmp_path / name), must_exist=True) as store:
        assert store.race(samples.RACE).id == samples.RACE


def test_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SQLiteStore("races.db") as store:
        assert store.path == tmp_path / "races.db"


def test_empty_file_becomes_a_store_unless_one_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "races.db"
    path.touch()
    with pytest.raises(StoreError, match=r"There is no store at .*: the file is empty"):
        open_store(path, must_exist=True)
    assert path.read_bytes() == b""
    with open_store(path) as store:
        assert store.races() == []


def test_creation_cut_off_by_power_is_repaired(tmp_path: Path) -> None:
    """The file as a cut between two writes leaves it: a second page, not the first, and the journal."""
    path = tmp_path / "races.db"
    journal = Path(f"{path}-journal")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(40):  # more pages than the cache has, so that the journal is on the disk already
            connection.execute(f"CREATE TABLE t{number} (a)")
        cut = journal.read_bytes()
        assert any(cut)
    path.write_bytes(bytes(8192))
    journal.write_bytes(cut)
    with open_store(path) as store:
        store.create_race(**samples.race())
    assert list(contents(tmp_path)) == [str(path)]


def test_file_is_marked_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "races.db"
    with SQLiteStore(path) as store, store._using("test") as connection:
        names = ("application_id", "user_version", "journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    full = 2
    assert values == {
        "application_id": schema.APPLICATION_ID,
        "user_version": schema.SCHEMA_VERSION,
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }
    assert schema.APPLICATION_ID.to_bytes(4, "big") == b"grac"


def test_threads_that_create_one_store_at_once_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)
    failures: list[Exception] = []

    def enter(path: Path, number: int) -> None:
        barrier.wait()
        try:
            with open_store(path) as store:
                store.create_race(**samples.race(f"race-{number}"))
        except StoreError as error:
            failures.append(error)

    for attempt in range(10):
        path = tmp_path / str(attempt) / "races.db"
        threads = [threading.Thread(target=enter, args=(path, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with open_store(path, must_exist=True) as store:
            assert len(store.races()) == 4


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    with SQLiteStore(tmp_path / "races.db", busy_timeout=0.05) as store:
        store.create_race(**samples.race())
        store.write_block(samples.RACE, *samples.block(0))
        yield store


def test_locked_store_is_told_and_readable(store: SQLiteStore) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"could not write block 'block-00001' .*: database is locked. Another"):
            store.write_block(samples.RACE, *samples.block(1))
        assert store.outcomes(samples.RACE) == samples.block(0)[1]
    assert store.write_block(samples.RACE, *samples.block(1)) is True


def test_lock_on_creation_is_told(tmp_path: Path) -> None:
    path = tmp_path / "races.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"could not be opened: database is locked. Another process"):
            SQLiteStore(path, busy_timeout=0.05)


def test_reader_that_stays_makes_nobody_wait(store: SQLiteStore) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM outcomes").fetchone()
        assert store.write_block(samples.RACE, *samples.block(1)) is True
        assert reader.execute("SELECT count(*) FROM outcomes").fetchone() == before == (3,)


def test_full_disk_is_told_and_nothing_is_lost(store: SQLiteStore) -> None:
    with store._using("test") as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match=r"database or disk is full. Free some space on its disk and resume the race"):
        store.write_block(samples.RACE, *samples.block(1, 100))
    assert store.blocks(samples.RACE) == {"block-00000"}
    assert store.outcomes(samples.RACE) == samples.block(0)[1]


def test_damaged_file_is_told(store: SQLiteStore) -> None:
    store.close()
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:200] + b"\xa5" * (len(whole) - 200))
    with pytest.raises(StoreError, match=r"malformed.* The file is damaged: restore it from a copy"):
        open_store(store.path, must_exist=True).outcomes(samples.RACE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE outcomes SET curve = '{'", "stored outcome of trial 'tuning/Adam/0/0/0' cannot be read"),
        ("UPDATE outcomes SET others = '[1]'", "stored outcome of trial 'tuning/Adam/0/0/0' cannot be read"),
        ("UPDATE outcomes SET status = 'lost'", "'lost' is not a valid Status"),
        ("UPDATE races SET plan = ''", f"stored plan of race '{samples.RACE}' cannot be read"),
        ("DROP TABLE outcomes", "no such table: outcomes. Check that the file was not changed by another program"),
    ],
)
def test_file_changed_by_another_program_is_told(store: SQLiteStore, change: str, message: str) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute(change)
    with pytest.raises(StoreError, match=message):
        store.outcomes(store.race(samples.RACE).id)


def test_interrupt_in_the_middle_of_a_block_leaves_none_of_it(store: SQLiteStore) -> None:
    def write_half() -> None:
        with store._using("test") as connection, schema.transaction(connection):
            connection.execute("INSERT INTO blocks (race, id) VALUES (?, 'half')", (samples.RACE,))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert store.blocks(samples.RACE) == {"block-00000"}
    assert store.write_block(samples.RACE, *samples.block(1)) is True


def test_store_refuses_to_work_in_a_forked_child(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(StoreError, match=r"could not read the races: it was opened by another process. Open it again"):
        store.races()
    store.close()
    monkeypatch.undo()
    assert store.outcomes(samples.RACE) == samples.block(0)[1]


def test_nothing_stays_beside_a_closed_store_and_a_copy_is_whole(store: SQLiteStore, tmp_path: Path) -> None:
    store.close()
    assert list(contents(tmp_path)) == [str(store.path)]
    with open_store(shutil.copy(store.path, tmp_path / "copy.db"), must_exist=True) as copy:
        assert copy.outcomes(samples.RACE) == samples.block(0)[1]
