"""Races that a reader has asked to go on: each in a process of its own, which outlives the server."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from gradrace.errors import StoreError

ID = re.compile(r"[0-9a-f]{4,64}")
"""What an id of a race is like. A store may come from a stranger: anything else names no file."""
LOG_TAIL = 2000


class Resumed:
    """The processes that were started.

    Args:
        store: the database file; what a process prints goes to a file beside it.
    """

    def __init__(self, store: Path) -> None:
        self.store = store.absolute()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, id: str) -> None:
        """Have the race go on, unless it is about to already.

        Raises:
            StoreError: its id is no id, or the process cannot be started.
        """
        if not ID.fullmatch(id):
            raise StoreError(f"'{id}' is no id of a race: it must be 4 to 64 digits from 0 to f.")
        if self.starting(id):
            return
        command = [sys.executable, "-m", "gradrace", "resume", id, "--store", str(self.store), "--json", os.devnull]
        try:
            with self.log(id).open("wb") as log:
                self._processes[id] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
        except OSError as error:
            raise StoreError(f"Race {id} cannot be resumed from here: {error.strerror}.") from None

    def starting(self, id: str) -> bool:
        """Whether the process that was started last for the race lives."""
        process = self._processes.get(id)
        return process is not None and process.poll() is None

    def state(self, id: str) -> dict[str, Any]:
        """``starting``; and ``failed``: what the process said in the end, if it could not go on."""
        process = self._processes.get(id)
        failed = None
        if process is not None and process.poll() not in (None, 0, 130):
            failed = self._last_line(id) or f"the process ended with code {process.returncode}"
        return {"starting": self.starting(id), "failed": failed}

    def log(self, id: str) -> Path:
        """Where the process of a race writes what it prints."""
        return self.store.with_name(f"{self.store.name}.{id}.log")

    def _last_line(self, id: str) -> str:
        with contextlib.suppress(OSError), self.log(id).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL))
            lines = log.read().decode(errors="replace").strip().splitlines()
            return lines[-1].removeprefix("gradrace: ") if lines else ""
        return ""
