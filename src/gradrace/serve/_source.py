"""The store as a server reads it: opened when it is there, left when it is gone or another file took its place."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from gradrace.errors import StoreError
from gradrace.store import Store, open_store


class Source:
    """A store that may come and go.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._seen: int | None = None
        self.opened = 0
        """How often the store was opened: what was read before another opening may be of another file."""

    def store(self) -> Store:
        """The store.

        Raises:
            StoreError: it is not there, or cannot be read.
        """
        with self._lock:
            file = self._identity()
            if self._store is not None and file != self._file:
                self._leave()
            if self._store is None:
                self._store = open_store(self.path, must_exist=True)
                self._file, self._seen = self._identity(), None
                self.opened += 1
            return self._store

    def changed(self) -> bool:
        """Whether anything may have been written since this was asked last.

        Raises:
            StoreError: the store is not there, or cannot be read.
        """
        store = self.store()
        before, self._seen = self._seen, store.changes()
        return before != self._seen

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        if self._store is not None:
            with suppress(StoreError):  # its files may be gone
                self._store.close()
            self._store = None

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
