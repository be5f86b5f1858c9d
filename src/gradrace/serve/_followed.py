"""A race as its readers see it: what changes every second, and the document of its page."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gradrace.errors import StoreError
from gradrace.outcomes import Outcome
from gradrace.race.resuming import obstacle
from gradrace.report.page import page_document
from gradrace.report.so_far import SoFar
from gradrace.store import Pulse, RaceRecord, RaceStatus, Store

SILENT_SECONDS = 10.0
"""A race that runs speaks twice a second. One that has not for so long was killed, or its machine sleeps."""


class Life:
    """Whether a race that is said to run has a pulse. Two machines' clocks, or one set back, do not mislead it."""

    def __init__(self) -> None:
        self._beat: tuple[str, int] | None = None
        self._since = 0.0

    def alive(self, status: RaceStatus, pulse: Pulse | None, created: str) -> bool:
        """Whether the race runs, by what is known now."""
        if status != "running":
            return False
        beat = ("", 0) if pulse is None else (pulse.session, pulse.number)
        if beat != self._beat:
            # The first one that is seen may be old; any other has just come.
            age = _seconds_since(created if pulse is None else pulse.at) if self._beat is None else 0.0
            self._beat, self._since = beat, time.monotonic() - max(0.0, age)
        return time.monotonic() - self._since < SILENT_SECONDS


class Followed:
    """One race.

    Args:
        record: as it was entered.
        cards: of the optimizers, for its document.
    """

    def __init__(self, record: RaceRecord, cards: Mapping[str, Any]) -> None:
        self.record, self.cards = record, cards
        self.life = Life()
        workload, contenders = record.plan.get("workload"), record.spec.get("contenders")
        self.workload: Mapping[str, Any] = workload if isinstance(workload, dict) else {}
        entered = contenders if isinstance(contenders, list) else []
        self.labels = [str(known["label"]) for known in entered if isinstance(known, dict) and "label" in known]
        self.obstacle = obstacle(record)
        self.alive = False
        self.version = 0
        """Of the document that was made last; 0: none yet."""
        self.body = b""
        """That document as JSON, compressed."""
        self.verdict: dict[str, str] = {}
        """Its sentence in each language."""
        self.document: dict[str, Any] = {}
        """The same, as it is compared with another race's; empty until one was made."""
        self.cost = 0.0
        """Seconds of a processor that it took."""
        self._outcomes: list[Outcome] = []
        self._mark = 0
        self._changes: int | None = None
        self._light: dict[str, Any] = {}
        self._so_far = SoFar(self.labels, "min" if self.workload.get("direction") == "min" else "max")
        self._notes: dict[str, dict[str, Any]] = {}
        self._made_from: tuple[Any, ...] | None = None
        self._due = 0.0

    def read(self, store: Store, changes: int, status: RaceStatus, pulse: Pulse | None) -> None:
        """Take in what was written since the last time.

        Args:
            store: that holds the race.
            changes: differs from the last time's if anything was written in between.
            status: of the race now.
            pulse: the same.
        """
        if changes != self._changes:
            new, self._mark = store.outcomes_after(self.record.id, self._mark)
            self._outcomes += new
            self._so_far.add(new)
            if new or status != self.record.status or not self._notes:
                self._notes = store.notes(self.record.id)
            if status != self.record.status:
                self.record = store.race(self.record.id)
            self._changes = changes
        self.alive = self.life.alive(status, pulse, self.record.created)
        running = status == "running"
        self._light = {
            "id": self.record.id,
            "workload": str(self.workload.get("name", "")),
            "metric": str(self.workload.get("metric", "")),
            "status": "silent" if running and not self.alive else status,
            "stopping": self.alive and pulse is not None and pulse.stopping,
            "pulse": None if pulse is None else pulse.said,
            "so_far": self._so_far.rows() if running else None,
            "obstacle": self.obstacle,
        }

    def light(self) -> dict[str, Any]:
        """What changes every second, as JSON types."""
        return {**self._light, "version": self.version}

    @property
    def dirty(self) -> bool:
        """Whether the document that was made last does not show all that is known."""
        return self._made_from != self._now()

    def due(self, now: float) -> bool:
        """Whether another document may be made: while the race runs it has a share of the time, and no more."""
        return self.dirty and (now >= self._due or not self.alive)

    def make(self, share: float, least: float) -> None:
        """Make the document anew.

        Args:
            share: of the time that making documents may take while the race runs.
            least: seconds between two of them.
        """
        made_from = self._now()
        began = time.thread_time()
        try:
            document: dict[str, Any] = page_document(self.record, list(self._outcomes), dict(self._notes), self.cards)
        except Exception as error:  # a record of which another program, or an earlier version, made something else
            known = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
            document = {"problem": known}
        whole = {"version": self.version + 1, "document": document}
        self.body = gzip.compress(json.dumps(whole, allow_nan=False, separators=(",", ":")).encode(), 1, mtime=0)
        self.document = document
        sentences = document.get("sentences", {})
        self.verdict = {lang: said["verdict"] for lang, said in sentences.items()}
        self.cost = time.thread_time() - began
        self._due = time.monotonic() + max(least, self.cost / share)
        self.version, self._made_from = self.version + 1, made_from

    def _now(self) -> tuple[Any, ...]:
        return self.record.status, self._mark, len(self._notes), len(self.cards)


def _seconds_since(moment: str) -> float:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return SILENT_SECONDS
    return (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
