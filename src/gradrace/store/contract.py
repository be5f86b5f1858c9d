"""The contract of a store: what every implementation guarantees, and `tests/store/test_contract.py` holds it to."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, get_args

from gradrace.errors import StoreError
from gradrace.outcomes import Outcome

RaceStatus = Literal["running", "finished", "interrupted"]
"""Where a race stands, as far as the process that ran it could say: one that was killed is still ``running``."""

RACE_STATUSES: tuple[RaceStatus, ...] = get_args(RaceStatus)

SHORTEST_PREFIX = 4
"""A race may be named by the beginning of its id, if that is at least this long and fits no other race."""

_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class RaceRecord:
    """A race as it was entered, and where it stands.

    Attributes:
        id: hash of all that determines the race.
        created: when it was entered, ISO 8601 in UTC.
        status: running, finished or interrupted.
        spec: what was asked for, as JSON reads it (tuples became lists).
        plan: what will be trained, likewise.
        machine: what it was entered on, likewise.
        version: the gradrace that entered it.
    """

    id: str
    created: str
    status: RaceStatus
    spec: dict[str, Any]
    plan: dict[str, Any]
    machine: dict[str, Any]
    version: str


@dataclass(frozen=True)
class Pulse:
    """What the process that runs a race last said of how it goes.

    Attributes:
        session: stands for that process; each time a race goes on begins a new session.
        number: how often the session has spoken. While it grows, the process lives, whatever the clocks say.
        at: when it spoke, ISO 8601 in UTC.
        said: how the race goes, as JSON reads it.
        stopping: whether the session was asked to stop.
    """

    session: str
    number: int
    at: str
    said: dict[str, Any]
    stopping: bool


class Store(ABC):
    """Keeps races, their outcomes and their notes. What follows is what every implementation guarantees.

    **Written once.** One race id stands for one spec and one plan; they are written by the first `create_race` and
    never change (only the status does). The outcomes of a block are written once, in one transaction: all or none.
    Writing a block a second time does nothing and the first stays; training is deterministic, so both are equal. A
    trial belongs to one block of its race: a second block that brings it again is refused whole. Of two notes under
    one key the first stays.

    **Lasting.** What `create_race`, `set_status`, `write_block` or `write_note` returned from survives ``kill -9`` of
    any process at any moment, and loss of power as far as the disk keeps what it said it had written: the SQLite
    store waits for the disk at every transaction (WAL with ``synchronous=FULL``). A call that was killed before it
    returned left all of its work or nothing. A pulse is no result: `beat` does not wait for the disk, and what it wrote
    last may go with the power, and nothing else.

    **Shared.** Several processes may use one store at once, and the threads of a process may share one object (their
    calls take turns). Writers take turns. Readers never block the writer, nor it them, and they see whole blocks
    only. An object opened before a fork refuses to work in the child, which opens its own.

    **Exact.** Floats come back bit for bit: the least and the largest, and the sign of zero. An outcome's float that
    is not finite comes back as None (``seconds``, which has no None, as 0.0; ``others`` holds finite ones alone). Of
    text only lone surrogates change, and only in ``error``: they become escapes. Spec, plan, machine and notes are
    JSON objects with finite numbers.

    **Ordered.** `outcomes` come in the order of their trial ids as text, whatever the order of writing.

    **Told in sentences.** What fails raises `StoreError`, and a store that fails to open has written nothing.

    Ids are exact everywhere, but `race` also takes the beginning of one. A race that is unknown is an error.
    """

    @abstractmethod
    def create_race(
        self, id: str, spec: dict[str, Any], plan: dict[str, Any], machine: dict[str, Any], version: str
    ) -> RaceRecord:
        """Enter a race as ``running``. If the id is there already, what is there is returned, unchanged."""

    @abstractmethod
    def race(self, id: str) -> RaceRecord:
        """The race of this id, or the only one whose id begins so (with 4 characters or more)."""

    @abstractmethod
    def races(self) -> list[RaceRecord]:
        """Every race, the one entered last first."""

    @abstractmethod
    def set_status(self, id: str, status: RaceStatus) -> None:
        """Say where the race stands now."""

    @abstractmethod
    def write_block(self, race_id: str, block_id: str, outcomes: Sequence[Outcome]) -> bool:
        """Write a block's outcomes, all or none. True if they were written now, False if the block was there."""

    @abstractmethod
    def blocks(self, race_id: str) -> set[str]:
        """The ids of the blocks that are written."""

    @abstractmethod
    def outcomes(self, race_id: str) -> list[Outcome]:
        """The outcomes of all written blocks, ordered by trial id as text (study 10 comes before study 2)."""

    @abstractmethod
    def write_note(self, race_id: str, key: str, value: dict[str, Any]) -> bool:
        """Keep something measured once in a race. True if written now, False if the key was there."""

    @abstractmethod
    def notes(self, race_id: str) -> dict[str, dict[str, Any]]:
        """Every note of the race by its key, in the order of the keys."""

    @abstractmethod
    def beat(self, race_id: str, session: str, said: dict[str, Any]) -> bool:
        """Say how the race goes, in place of what was said before. True if this session was asked to stop."""

    @abstractmethod
    def pulses(self) -> dict[str, Pulse]:
        """What was last said of each race, by its id; nothing of those that never spoke."""

    @abstractmethod
    def ask_to_stop(self, race_id: str) -> bool:
        """Ask the session that spoke last to stop; a later one is not asked. False if there was none."""

    @abstractmethod
    def statuses(self) -> dict[str, RaceStatus]:
        """Where each race stands, by its id, the one entered last first: all of a race that changes, and cheap."""

    @abstractmethod
    def outcomes_after(self, race_id: str, mark: int) -> tuple[list[Outcome], int]:
        """The outcomes written since another call gave this mark (0: all), in the order of writing, and the next."""

    @abstractmethod
    def changes(self) -> int:
        """A number that differs from the one before if another object has written to the store in between."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the store. Closing twice is harmless; any other use after it is an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def resolve(asked: str, ids: Sequence[str], where: str) -> str:
    """The one of `ids` (newest first) that is `asked` or begins so; `where` names the store in the error.

    >>> resolve("abcd", ["abcdef", "012345"], "the store")
    'abcdef'
    """
    if asked in ids:
        return asked
    matches = [id for id in ids if id.startswith(asked)]
    if matches and len(asked) < SHORTEST_PREFIX:
        raise StoreError(
            f"'{asked}' is too short to name a race in {where}: "
            f"give the id, or at least its first {SHORTEST_PREFIX} characters. Known: {_listed(ids)}."
        )
    if len(matches) > 1:
        raise StoreError(f"'{asked}' names {len(matches)} races in {where}: {_listed(matches)}. Give more of the id.")
    if not matches:
        raise unknown_race(asked, ids, where)
    return matches[0]


def unknown_race(asked: str, ids: Sequence[str], where: str) -> StoreError:
    """The error for a race that is not there, with the nearest id and those that are known (newest first).

    >>> print(unknown_race("beef", ["bee1", "0123"], "the store at races.db"))
    There is no race 'beef' in the store at races.db. Did you mean 'bee1'? Known: bee1, 0123.
    """
    if not ids:
        return StoreError(f"There is no race '{asked}' in {where}: it holds no races yet.")
    near = difflib.get_close_matches(asked, ids, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return StoreError(f"There is no race '{asked}' in {where}.{hint} Known: {_listed(ids)}.")


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _NAMED_AT_MOST
    return ", ".join(ids[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
