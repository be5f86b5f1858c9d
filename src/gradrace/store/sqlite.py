"""The store in one SQLite file, in WAL mode."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gradrace.errors import StoreError
from gradrace.outcomes import Outcome
from gradrace.store import schema
from gradrace.store.contract import RACE_STATUSES, Pulse, RaceRecord, RaceStatus, Store, resolve, unknown_race
from gradrace.store.failures import sentences
from gradrace.store.rows import (
    INSERT_OUTCOME,
    SELECT_NEW_OUTCOMES,
    SELECT_OUTCOMES,
    dump_object,
    load_object,
    outcome_of_row,
    outcome_row,
)

_SELECT_RACE = "SELECT id, created, status, spec, plan, machine, version FROM races"
_BEAT = (
    "INSERT INTO pulses (race, session, number, at, said) VALUES (?, ?, 1, ?, ?) ON CONFLICT (race) DO UPDATE SET"
    " number = CASE WHEN session = excluded.session THEN number + 1 ELSE 1 END,"
    " session = excluded.session, at = excluded.at, said = excluded.said"
)


class SQLiteStore(Store):
    """The contract of `Store` in one file, with SQLite.

    While the store is in use, two files stand beside it (``-wal`` and ``-shm``); they belong to it and hold its newest
    blocks until the last process closes the store. To copy a store that is in use, use ``sqlite3 FILE ".backup COPY"``.
    The file must be on a local disk: SQLite's write-ahead log does not work over a network.

    Args:
        path: the file; it and its folders are created if they are not there.
        must_exist: refuse to create it.
        busy_timeout: how long to wait for another writer, in seconds.

    Raises:
        StoreError: the path cannot hold a store, or holds something else; nothing was written then.
    """

    def __init__(self, path: str | os.PathLike[str], must_exist: bool = False, busy_timeout: float = 30.0) -> None:
        self.path = Path(path).absolute()
        self._lock = threading.RLock()
        self._process = os.getpid()
        schema.inspect(self.path, must_exist)
        made = [] if must_exist else _make_folders(self.path)
        try:
            self._connection: sqlite3.Connection | None = _connect(self.path, must_exist, busy_timeout)
        except BaseException:
            for folder in reversed(made):
                _remove_if_empty(folder)
            raise

    def create_race(
        self, id: str, spec: dict[str, Any], plan: dict[str, Any], machine: dict[str, Any], version: str
    ) -> RaceRecord:
        """Enter a race, or return what is there: one transaction, so that two processes that enter it agree."""
        if not id:
            raise StoreError("A race cannot be entered under an empty id. Give the hash of its spec.")
        row = (
            id,
            _now(),
            "running",
            dump_object(f"spec of race '{id}'", spec),
            dump_object(f"plan of race '{id}'", plan),
            dump_object(f"machine of race '{id}'", machine),
            version,
        )
        with self._using(f"enter race '{id}'") as connection, schema.transaction(connection):
            connection.execute(
                "INSERT INTO races (id, created, status, spec, plan, machine, version) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                row,
            )
            return _record(connection.execute(f"{_SELECT_RACE} WHERE id = ?", (id,)).fetchone())

    def race(self, id: str) -> RaceRecord:
        """The race of this id or prefix. The ids are compared here and not in SQL, where ``%`` would match anything."""
        with self._using(f"read race '{id}'") as connection:
            found = resolve(id, _ids(connection), self._where)
            return _record(connection.execute(f"{_SELECT_RACE} WHERE id = ?", (found,)).fetchone())

    def races(self) -> list[RaceRecord]:
        """Every race, the newest first: by the order of entering, since clocks can be set back."""
        with self._using("read the races") as connection:
            return [_record(row) for row in connection.execute(f"{_SELECT_RACE} ORDER BY number DESC").fetchall()]

    def set_status(self, id: str, status: RaceStatus) -> None:
        """Say where the race stands now."""
        if status not in RACE_STATUSES:
            raise StoreError(f"A race cannot have the status '{status}'. Allowed: {', '.join(RACE_STATUSES)}.")
        with self._using(f"set the status of race '{id}'") as connection, schema.transaction(connection):
            self._require(connection, id)
            connection.execute("UPDATE races SET status = ? WHERE id = ?", (status, id))

    def write_block(self, race_id: str, block_id: str, outcomes: Sequence[Outcome]) -> bool:
        """Write a block in one transaction: its row first, so that of two writers the second finds it and leaves."""
        rows = [outcome_row(race_id, block_id, outcome) for outcome in outcomes]
        doing = f"write block '{block_id}' of race '{race_id}'"
        with self._using(doing) as connection, schema.transaction(connection):
            self._require(connection, race_id)
            if not _wrote_one(
                connection, "INSERT INTO blocks (race, id) VALUES (?, ?) ON CONFLICT DO NOTHING", (race_id, block_id)
            ):
                return False
            try:
                connection.executemany(INSERT_OUTCOME, rows)
            except sqlite3.IntegrityError as error:
                repeated = _repeated(connection, race_id, block_id, outcomes)
                if repeated is None:
                    raise
                raise repeated from error
        return True

    def blocks(self, race_id: str) -> set[str]:
        """The ids of the blocks that are written."""
        with self._using(f"read the blocks of race '{race_id}'") as connection:
            self._require(connection, race_id)
            return {id for (id,) in connection.execute("SELECT id FROM blocks WHERE race = ?", (race_id,)).fetchall()}

    def outcomes(self, race_id: str) -> list[Outcome]:
        """The outcomes, ordered by SQLite as UTF-8 bytes, which is Python's order of str."""
        with self._using(f"read the outcomes of race '{race_id}'") as connection:
            self._require(connection, race_id)
            return [outcome_of_row(row) for row in connection.execute(SELECT_OUTCOMES, (race_id,)).fetchall()]

    def write_note(self, race_id: str, key: str, value: dict[str, Any]) -> bool:
        """Keep a note unless its key is there."""
        text = dump_object(f"note '{key}' of race '{race_id}'", value)
        with self._using(f"write note '{key}' of race '{race_id}'") as connection, schema.transaction(connection):
            self._require(connection, race_id)
            return _wrote_one(
                connection,
                "INSERT INTO notes (race, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (race_id, key, text),
            )

    def notes(self, race_id: str) -> dict[str, dict[str, Any]]:
        """Every note of the race, in the order of the keys."""
        with self._using(f"read the notes of race '{race_id}'") as connection:
            self._require(connection, race_id)
            rows = connection.execute("SELECT key, value FROM notes WHERE race = ? ORDER BY key", (race_id,)).fetchall()
            return {key: load_object(f"note '{key}' of race '{race_id}'", text) for key, text in rows}

    def beat(self, race_id: str, session: str, said: dict[str, Any]) -> bool:
        """Say how the race goes, without waiting for the disk: in WAL mode that costs the last words at most."""
        row = (race_id, session, _now(), dump_object(f"pulse of race '{race_id}'", said))
        with self._using(f"write the pulse of race '{race_id}'") as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with schema.transaction(connection):
                    self._require(connection, race_id)
                    connection.execute(_BEAT, row)
                    (asked,) = connection.execute("SELECT stop FROM pulses WHERE race = ?", (race_id,)).fetchone()
            finally:
                connection.execute("PRAGMA synchronous = FULL")
        return asked == session

    def pulses(self) -> dict[str, Pulse]:
        """What was last said of each race."""
        with self._using("read the pulses") as connection:
            rows = connection.execute("SELECT race, session, number, at, said, stop FROM pulses").fetchall()
            return {
                race: Pulse(session, number, at, load_object(f"pulse of race '{race}'", said), stop == session)
                for race, session, number, at, said, stop in rows
            }

    def ask_to_stop(self, race_id: str) -> bool:
        """Ask the session that spoke last to stop."""
        with self._using(f"ask race '{race_id}' to stop") as connection, schema.transaction(connection):
            self._require(connection, race_id)
            return _wrote_one(connection, "UPDATE pulses SET stop = session WHERE race = ?", (race_id,))

    def statuses(self) -> dict[str, RaceStatus]:
        """Where each race stands, the newest first."""
        with self._using("read where the races stand") as connection:
            return dict(connection.execute("SELECT id, status FROM races ORDER BY number DESC").fetchall())

    def outcomes_after(self, race_id: str, mark: int) -> tuple[list[Outcome], int]:
        """The outcomes whose rows have a number above the mark: rows are numbered as they are written, and all stay."""
        with self._using(f"read the outcomes of race '{race_id}'") as connection:
            self._require(connection, race_id)
            rows = connection.execute(SELECT_NEW_OUTCOMES, (race_id, mark)).fetchall()
            return [outcome_of_row(row) for row in rows], rows[-1][-1] if rows else mark

    def changes(self) -> int:
        """SQLite's count of what other connections have written."""
        with self._using("look for changes") as connection:
            return connection.execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        """Let go of the file; the last one to do so puts the write-ahead log's content into it."""
        if self._process != os.getpid():
            return  # SQLite forbids to use, and so to close, a connection that came over a fork
        with self._lock, sentences(self.path, "be closed"):
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def _where(self) -> str:
        return f"the store at {self.path}"

    @contextmanager
    def _using(self, doing: str) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone; what SQLite raises becomes a sentence that names `doing`."""
        if self._process != os.getpid():
            raise StoreError(
                f"The store at {self.path} could not {doing}: it was opened by another process. "
                "Open it again in this one with open_store."
            )
        with self._lock, sentences(self.path, doing):
            if self._connection is None:
                raise StoreError(
                    f"The store at {self.path} could not {doing}: it is closed. Open it again with open_store."
                )
            yield self._connection

    def _require(self, connection: sqlite3.Connection, race: str) -> None:
        if connection.execute("SELECT 1 FROM races WHERE id = ?", (race,)).fetchone() is None:
            raise unknown_race(race, _ids(connection), self._where)


def _connect(path: Path, must_exist: bool, busy_timeout: float) -> sqlite3.Connection:
    # As a URI, whatever stands in the path is a path: ":memory:" is a file of that name.
    uri = f"{path.as_uri()}?mode={'rw' if must_exist else 'rwc'}"
    with sentences(path, "be opened"):
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            # FULL waits for the disk at each transaction. NORMAL would lose the last blocks with the power; a block
            # trains for seconds and the wait takes milliseconds.
            connection.execute("PRAGMA synchronous = FULL")
            schema.prepare(connection, path, busy_timeout)
            # After the preparation, because a migration may have to rebuild a table others refer to.
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def _make_folders(path: Path) -> list[Path]:
    """Create the folders that are missing above `path`, all or none; the ones created, the outermost first."""
    made: list[Path] = []
    folder = path.parent
    try:
        missing = [above for above in (folder, *folder.parents) if not above.exists()]
        for above in reversed(missing):
            above.mkdir(exist_ok=True)
            made.append(above)
    except OSError as error:
        for above in reversed(made):
            _remove_if_empty(above)
        raise StoreError(
            f"The store at {path} cannot be created: the folder {folder} cannot be made ({error.strerror}). "
            "Choose a path in a folder that can be written to."
        ) from error
    return made


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody else has put something there meanwhile, or removed it


def _ids(connection: sqlite3.Connection) -> list[str]:
    return [id for (id,) in connection.execute("SELECT id FROM races ORDER BY number DESC").fetchall()]


def _record(row: Sequence[Any]) -> RaceRecord:
    id, created, status, spec, plan, machine, version = row
    return RaceRecord(
        id=id,
        created=created,
        status=status,
        spec=load_object(f"spec of race '{id}'", spec),
        plan=load_object(f"plan of race '{id}'", plan),
        machine=load_object(f"machine of race '{id}'", machine),
        version=version,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _wrote_one(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> bool:
    return connection.execute(statement, values).rowcount == 1


def _repeated(connection: sqlite3.Connection, race: str, block: str, outcomes: Sequence[Outcome]) -> StoreError | None:
    """The error for the first trial that another block, or this one, has brought already; None if there is none."""
    seen: set[str] = set()
    for outcome in outcomes:
        row = connection.execute(
            "SELECT block FROM outcomes WHERE race = ? AND trial = ? AND block <> ?", (race, outcome.trial, block)
        ).fetchone()
        if row or outcome.trial in seen:
            there = f"in block '{row[0]}'" if row else "in the same block"
            return StoreError(
                f"Block '{block}' of race '{race}' was not written: trial '{outcome.trial}' is there already, {there}. "
                "A trial has one outcome in its race."
            )
        seen.add(outcome.trial)
    return None
