"""SQLite's errors as sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradrace.errors import StoreError

_ADVICE = {
    sqlite3.SQLITE_BUSY: "Another process held the store for too long: wait until it ends, or stop it, and try again.",
    sqlite3.SQLITE_LOCKED: "Another process held the store for too long: wait until it ends, and try again.",
    sqlite3.SQLITE_FULL: "Free some space on its disk and resume the race; everything written before is kept.",
    sqlite3.SQLITE_CORRUPT: "The file is damaged: restore it from a copy, or choose another store.",
    sqlite3.SQLITE_NOTADB: "The file is damaged: restore it from a copy, or choose another store.",
    sqlite3.SQLITE_READONLY: "Allow writing to the file and its folder, or choose another store.",
    sqlite3.SQLITE_PERM: "Allow writing to the file and its folder, or choose another store.",
    sqlite3.SQLITE_CANTOPEN: "Check that the folder is there and can be written to, or choose another store.",
    sqlite3.SQLITE_IOERR: "The disk failed to read or write: check it, or choose a store on another disk.",
}
_OTHERWISE = "Check that the file was not changed by another program, or choose another store."


@contextmanager
def sentences(path: Path, doing: str) -> Iterator[None]:
    """Re-raise what SQLite raises inside as a `StoreError` that says what was being done, where, and what helps."""
    try:
        yield
    except sqlite3.Error as error:
        # The extended codes (say, an I/O error while syncing) carry their kind in the low byte.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise StoreError(f"The store at {path} could not {doing}: {error}. {_ADVICE.get(code, _OTHERWISE)}") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise StoreError(
            f"The store at {path} could not {doing}: {error}. "
            "Whole numbers must fit 64 bits and text must be Unicode without lone surrogates."
        ) from error
