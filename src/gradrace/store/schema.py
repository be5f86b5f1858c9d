"""The SQLite file: its tables, what may be opened as a store, creation and migration.

To change the tables: raise `SCHEMA_VERSION`, add to `MIGRATIONS` the function that makes a file of the version before
into one of the new version, and keep a file of the version before in `tests/store/fixtures`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gradrace.errors import StoreError

APPLICATION_ID = 0x67726163
"""Marks a SQLite file as a store of gradrace ("grac" in ASCII)."""

SCHEMA_VERSION = 3


def _add_others(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE outcomes ADD COLUMN others TEXT NOT NULL DEFAULT '{}'")


_PULSES = """CREATE TABLE pulses (
    race TEXT PRIMARY KEY REFERENCES races (id),
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    at TEXT NOT NULL,
    said TEXT NOT NULL,
    stop TEXT
) WITHOUT ROWID"""


def _add_pulses(connection: sqlite3.Connection) -> None:
    connection.execute(_PULSES)


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _add_others, 2: _add_pulses}
"""From a version to the next one. All that are needed run in one transaction, so a migration uses ``execute`` and
``executemany`` only: ``executescript`` would commit behind its back."""

# Floats stand in columns without a type: a REAL column would turn -0.0 into 0.0.
_TABLES = (
    """CREATE TABLE races (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    status TEXT NOT NULL,
    spec TEXT NOT NULL,
    plan TEXT NOT NULL,
    machine TEXT NOT NULL,
    version TEXT NOT NULL
)""",
    """CREATE TABLE blocks (
    race TEXT NOT NULL REFERENCES races (id),
    id TEXT NOT NULL,
    PRIMARY KEY (race, id)
) WITHOUT ROWID""",
    """CREATE TABLE outcomes (
    race TEXT NOT NULL,
    trial TEXT NOT NULL,
    block TEXT NOT NULL,
    stage TEXT NOT NULL,
    contender TEXT NOT NULL,
    study INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    point INTEGER NOT NULL,
    status TEXT NOT NULL,
    steps INTEGER NOT NULL,
    diverged_at INTEGER,
    error TEXT,
    validation,
    validation_loss,
    test,
    test_loss,
    seconds,
    configuration TEXT NOT NULL,
    curve TEXT NOT NULL,
    others TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (race, trial),
    FOREIGN KEY (race, block) REFERENCES blocks (race, id)
)""",
    """CREATE TABLE notes (
    race TEXT NOT NULL REFERENCES races (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (race, key)
) WITHOUT ROWID""",
    _PULSES,
)

_MAGIC = b"SQLite format 3\0"
_RETRY_SECONDS = 0.005


def inspect(path: Path, must_exist: bool) -> None:
    """Refuse a path that cannot be a store, by reading alone.

    SQLite would leave files beside a database of another program, or take in its write-ahead log, before it could be
    asked whose it is; the header tells without opening it. Creation runs without a write-ahead log, so the header of
    a store is right from its first byte on; of its version the log may know more, and `prepare` asks again.
    """
    if "\0" in str(path):
        raise StoreError(f"The path {str(path)!r} cannot name a store: it holds a null character. Choose another path.")
    try:
        if path.is_dir():
            raise StoreError(f"The store at {path} cannot be opened: this is a folder. Give the path of a file in it.")
        if not path.exists():
            if must_exist:
                raise StoreError(f"There is no store at {path}. Check the path, or start a race to create it.")
            return
        if not path.is_file():
            raise StoreError(f"The store at {path} cannot be opened: this is not a regular file. Choose another path.")
        with path.open("rb") as file:
            header = file.read(100)
        repairable = Path(f"{path}-journal").exists() and not any(header)
    except OSError as error:
        raise StoreError(
            f"The store at {path} cannot be opened: {error.strerror}. Check the path and its permissions."
        ) from error
    if not header:
        if must_exist:
            raise StoreError(f"There is no store at {path}: the file is empty. Check the path, or start a race there.")
        return
    if repairable:
        return  # the power failed while the store was created, and SQLite will roll that back when it opens the file
    if not header.startswith(_MAGIC):
        raise StoreError(f"The file {path} is not a store: it is no SQLite database. Choose another path.")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise _foreign(path)
    if (version := int.from_bytes(header[60:64], "big")) > SCHEMA_VERSION:
        raise _newer(path, version)


def prepare(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Create the tables of a new store, or migrate those of an older one, in one transaction; then turn on the WAL."""
    if _state(connection) != (APPLICATION_ID, SCHEMA_VERSION):
        with transaction(connection):
            # Asked again, now that no other process can be creating or migrating the same file.
            application, version = _state(connection)
            if application == APPLICATION_ID:
                _migrate(connection, path, version)
            elif _is_empty(connection):
                for table in _TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            else:
                raise _foreign(path)
    _turn_on_wal(connection, path, timeout)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is written inside stays if the block ends, and vanishes if it raises. Waits for another writer's end."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, a full disk among them, have rolled back already
            connection.execute("ROLLBACK")
        raise


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def _migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise _newer(path, version)
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise StoreError(
                f"The store at {path} has schema version {version}, which this gradrace can no longer bring to its "
                f"version {SCHEMA_VERSION}. Open it with an older gradrace, or choose another store."
            )
        MIGRATIONS[version](connection)
        version += 1
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _turn_on_wal(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    # SQLite does not wait its busy timeout here: the change needs the file to itself, and asks for that only once.
    end = time.monotonic() + timeout
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_RETRY_SECONDS)
    if mode != "wal":
        raise StoreError(
            f"The store at {path} cannot be shared safely: its file system has no write-ahead log for SQLite "
            f"(journal mode '{mode}'). Choose a path on a local disk."
        )


def _foreign(path: Path) -> StoreError:
    return StoreError(f"The file {path} is a SQLite database, but not a store of gradrace. Choose another path.")


def _newer(path: Path, version: int) -> StoreError:
    return StoreError(
        f"The store at {path} has schema version {version}; this gradrace knows versions up to {SCHEMA_VERSION}. "
        "Update gradrace, or choose another store."
    )
