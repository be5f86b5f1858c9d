"""A store in memory that is watched."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gradrace.outcomes import Outcome
from gradrace.store import Pulse, RaceRecord, Store
from gradrace.store.contract import RaceStatus


class Broken(AssertionError):
    """Something happened that never may."""


class FakeStore(Store):
    """A store in memory that is watched: what is there never changes, and a trial is in one block of one race."""

    def __init__(self) -> None:
        self.record: RaceRecord | None = None
        self.status: RaceStatus = "running"
        self.written: dict[str, tuple[Outcome, ...]] = {}
        self.block_of: dict[str, str] = {}
        self.noted: dict[str, str] = {}
        self.mishap: Callable[[], None] = lambda: None

    def create_race(
        self, id: str, spec: dict[str, Any], plan: dict[str, Any], machine: dict[str, Any], version: str
    ) -> RaceRecord:
        self.mishap()
        if self.record is None:
            spec, plan = json.loads(json.dumps([spec, plan]))
            self.record = RaceRecord(id, "", "running", spec, plan, machine, version)
        self.mishap()
        return self.record

    def race(self, id: str) -> RaceRecord:
        assert self.record is not None
        return replace(self.record, status=self.status)

    def races(self) -> list[RaceRecord]:
        return [] if self.record is None else [self.race("")]

    def set_status(self, id: str, status: RaceStatus) -> None:
        self.mishap()
        self.status = status
        self.mishap()

    def write_block(self, race_id: str, block_id: str, outcomes: Sequence[Outcome]) -> bool:
        self.mishap()
        if block_id in self.written:
            raise Broken(f"Block {block_id} was trained though it is stored.")
        for outcome in outcomes:
            if self.block_of.setdefault(outcome.trial, block_id) != block_id:
                raise Broken(f"Trial {outcome.trial} is in two blocks.")
        if len({outcome.trial for outcome in outcomes}) != len(outcomes):
            raise Broken(f"Block {block_id} has a trial twice.")
        self.written[block_id] = tuple(outcomes)
        self.mishap()
        return True

    def blocks(self, race_id: str) -> set[str]:
        return set(self.written)

    def outcomes(self, race_id: str) -> list[Outcome]:
        return sorted((one for block in self.written.values() for one in block), key=lambda one: one.trial)

    def write_note(self, race_id: str, key: str, value: dict[str, Any]) -> bool:
        self.mishap()
        new = key not in self.noted
        self.noted.setdefault(key, json.dumps(value))
        self.mishap()
        return new

    def notes(self, race_id: str) -> dict[str, dict[str, Any]]:
        return {key: json.loads(value) for key, value in sorted(self.noted.items())}

    def beat(self, race_id: str, session: str, said: dict[str, Any]) -> bool:
        return False

    def pulses(self) -> dict[str, Pulse]:
        return {}

    def ask_to_stop(self, race_id: str) -> bool:
        return False

    def statuses(self) -> dict[str, RaceStatus]:
        return {} if self.record is None else {self.record.id: self.status}

    def outcomes_after(self, race_id: str, mark: int) -> tuple[list[Outcome], int]:
        found = self.outcomes(race_id)
        return found[mark:], len(found)

    def changes(self) -> int:
        return len(self.written)

    def close(self) -> None:
        return
