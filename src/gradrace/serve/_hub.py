"""Looks at the store while somebody reads, and tells all readers the same: the newest state, and never a backlog."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from gradrace.errors import StoreError
from gradrace.serve._followed import Followed, Life
from gradrace.serve._source import Source
from gradrace.store import Pulse, RaceStatus

Found = TypeVar("Found")

LOOK_SECONDS = 0.25
PATIENCE = 10
"""How nice the threads are that read and compute, from 0 to 19."""
LIST_SECONDS = 1.0
"""Between two messages about the list of races."""
SHARE = 0.02
"""Of every core's time that making documents may take while a race runs."""
LEAST_SECONDS = 0.8
"""Between two documents of a race that runs, however cheap they are."""
ASKED_SHARE = 0.1
"""Of one core's time that documents of other races may take meanwhile, which a reader asks for."""
MOST_FOLLOWED = 16
"""Races whose outcomes are kept in memory, beyond those that somebody reads."""
MANY = 8
"""Races that are new in the list: more are read all at once."""
LIST = ""
"""The key of the channel of the list of races; the others have a race's id."""


class Channel:
    """The newest message of one kind, and those who wait for the next."""

    def __init__(self) -> None:
        self.number, self.message = 0, b""
        self.readers = 0
        self.ended = False
        self._news = asyncio.Event()

    def publish(self, message: bytes) -> None:
        """Put a message in the place of the one before."""
        self.number, self.message = self.number + 1, message
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._wake()

    async def after(self, number: int, patience: float) -> bool:
        """Wait until there is a message after this one, or no more; False when patience (seconds) has run out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.number <= number and not self.ended:
                    await self._news.wait()
                return True
        return False

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Hub:
    """What is known of a store's races, and who is told.

    Args:
        source: the store.
        cards: of the optimizers; may be filled later.
        starting: by the id of a race what became of the wish to resume it, as far as it is on the way or failed.
    """

    def __init__(self, source: Source, cards: dict[str, Any], starting: Callable[[str], dict[str, Any]]) -> None:
        self.source, self.cards, self.starting = source, cards, starting
        self.channels: dict[str, Channel] = {}
        self.problem: str | None = None
        self._followed: OrderedDict[str, Followed] = OrderedDict()
        self._lives: dict[str, Life] = {}
        self._listed: dict[str, dict[str, Any]] = {}
        self._opened = self._changes = 0
        self._statuses: dict[str, RaceStatus] = {}
        self._pulses: dict[str, Pulse] = {}
        self._verdicts: dict[str, dict[str, str]] = {}
        self._list_due = self._asked_due = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._fresh, self._making = asyncio.Lock(), asyncio.Lock()
        # Threads of their own: a document that takes long keeps no pulse from being seen.
        self._reader = ThreadPoolExecutor(1, "reader", initializer=_step_back)
        self._maker = ThreadPoolExecutor(1, "documents", initializer=_step_back)

    @asynccontextmanager
    async def reading(self, key: str) -> AsyncIterator[Channel]:
        """A channel to read from; while it is open, the store is looked at."""
        channel = self.channels.setdefault(key, Channel())
        channel.readers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        try:
            yield channel
        finally:
            channel.readers -= 1
            if channel.readers == 0 and self.channels.get(key) is channel:
                del self.channels[key]

    async def followed(self, id: str) -> Followed:
        """A race, as it is now, with its document.

        Raises:
            StoreError: there is no such race, or no store.
        """
        await self._look(id)
        found = self._followed.get(id)
        if found is None:
            raise StoreError(self.problem or f"There is no race '{id}' in the store at {self.source.path}.")
        async with self._making:
            if found.version == 0 or found.due(time.monotonic()):
                if self._anything_runs():
                    await asyncio.sleep(max(0.0, self._asked_due - time.monotonic()))
                await self._make(found)
                self._asked_due = time.monotonic() + found.cost / ASKED_SHARE
        return found

    async def resolve(self, asked: str) -> str:
        """The whole id of the race that is asked for by its beginning.

        Raises:
            StoreError: there is none, or several, or no store.
        """
        return await self._in(self._reader, lambda: self.source.store().race(asked).id)

    async def now(self, id: str) -> Followed:
        """A race as it is now, whatever its document shows.

        Raises:
            StoreError: there is no such race, or no store.
        """
        await self._look(id)
        if id not in self._followed:
            raise StoreError(self.problem or f"There is no race '{id}' in the store at {self.source.path}.")
        return self._followed[id]

    async def act(self, act: Callable[[], Found]) -> Found:
        """Do something with the store where it is read."""
        return await self._in(self._reader, act)

    async def races(self) -> dict[str, Any]:
        """The list of races, the newest first."""
        await self._look(LIST)
        return self._list()

    async def look_once(self) -> None:
        """Tell every reader how it is now, with documents that show all of it."""
        async with self._fresh:
            await self._in(self._reader, lambda: self._read(set(self.channels)))
        for id, found in list(self._followed.items()):
            if id in self.channels and found.dirty:
                await self._make(found)
        self._publish()

    def close(self) -> None:
        """End every channel."""
        for channel in self.channels.values():
            channel.end()
        if self._looking is not None:
            self._looking.cancel()
        self._reader.shutdown(wait=False)
        self._maker.shutdown(wait=False)

    async def _look_on(self) -> None:
        making: asyncio.Task[None] | None = None
        while self.channels:
            async with self._fresh:
                await self._in(self._reader, lambda: self._read(set(self.channels)))
            self._publish()
            due = [found for id, found in self._followed.items() if id in self.channels and found.due(time.monotonic())]
            if (making is None or making.done()) and (due or self._unjudged()):
                making = asyncio.create_task(self._make_some(due))
            await asyncio.sleep(LOOK_SECONDS)

    async def _make_some(self, due: list[Followed]) -> None:
        async with self._making:
            for found in due:
                await self._make(found)
            if due:
                self._publish()
            elif (id := self._unjudged()) is not None and time.monotonic() >= self._asked_due:
                found = self._followed.get(id) or await self._in(self._reader, lambda: self._whole(id))
                if found.version == 0:
                    await self._make(found)
                self._verdicts[id] = found.verdict
                self._asked_due = time.monotonic() + (found.cost / ASKED_SHARE if self._anything_runs() else 0.0)

    async def _make(self, found: Followed) -> None:
        await self._in(self._maker, lambda: found.make(SHARE * (os.cpu_count() or 1), LEAST_SECONDS))
        if found.record.status == "finished":
            self._verdicts[found.record.id] = found.verdict

    async def _look(self, key: str) -> None:
        async with self._fresh:
            await self._in(self._reader, lambda: self._read({*self.channels, key}))

    def _read(self, keys: set[str]) -> None:
        """In the reader's thread: take in what was written."""
        try:
            changed = self.source.changed()
            if self.source.opened != self._opened:
                self._opened = self.source.opened
                self._followed.clear()
                self._lives.clear()
                self._listed.clear()
                self._verdicts.clear()
            store = self.source.store()
            if changed:
                self._changes += 1
                self._statuses, self._pulses = store.statuses(), store.pulses()
            for id in keys - {LIST}:
                if id not in self._statuses:
                    continue
                if id not in self._followed:
                    self._followed[id] = self._new(id)
                self._followed[id].read(store, self._changes, self._statuses[id], self._pulses.get(id))
                self._followed.move_to_end(id)
            for id in [id for id in self._followed if id not in self.channels][:-MOST_FOLLOWED]:
                del self._followed[id]
            if LIST in keys:
                new = [id for id in self._statuses if id not in self._listed]
                for record in store.races() if len(new) > MANY else map(store.race, new):
                    self._listed[record.id] = _entry(Followed(record, {}))
            self.problem = None
        except Exception as error:  # whatever is in a file, the server goes on and says what is wrong with it
            self.problem = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"

    def _new(self, id: str) -> Followed:
        return Followed(self.source.store().race(id), self.cards)

    def _whole(self, id: str) -> Followed:
        found = self._new(id)
        found.read(self.source.store(), self._changes, self._statuses[id], self._pulses.get(id))
        return found

    def _anything_runs(self) -> bool:
        return any(self._alive(id) for id, status in self._statuses.items() if status == "running")

    def _alive(self, id: str) -> bool:
        if id in self._followed and id in self.channels:
            return self._followed[id].alive
        created = self._listed.get(id, {}).get("created", "")
        return self._lives.setdefault(id, Life()).alive(self._statuses[id], self._pulses.get(id), created)

    def _unjudged(self) -> str | None:
        """A race that has ended whose verdict the list does not show yet."""
        if LIST not in self.channels:
            return None
        return next((id for id, now in self._statuses.items() if now == "finished" and id not in self._verdicts), None)

    def _list(self) -> dict[str, Any]:
        rows = []
        for id, status in self._statuses.items():
            if id not in self._listed:
                continue
            alive = status == "running" and self._alive(id)
            pulse = self._pulses.get(id)
            said = None
            if alive and pulse is not None:
                said = {name: pulse.said.get(name) for name in ("stage", "trials", "trials_done", "leader", "process")}
            now = {"status": "silent" if status == "running" and not alive else status, "pulse": said}
            rows.append({**self._listed[id], **now, "verdict": self._verdicts.get(id)})
        return {"races": rows, "store": str(self.source.path), "problem": self.problem}

    def _publish(self) -> None:
        """Give every channel what is new in it."""
        for key, channel in self.channels.items():
            if key == LIST:
                if time.monotonic() < self._list_due:
                    continue
                message: dict[str, Any] = self._list()
            elif key in self._followed:
                message = {**self._followed[key].light(), **self.starting(key), "problem": self.problem}
            else:
                message = {"problem": self.problem or f"There is no race '{key}' in the store at {self.source.path}."}
            try:
                text = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
            except ValueError as error:  # another program wrote a number that is none
                text = json.dumps({"problem": f"The store at {self.source.path} cannot be shown: {error}."}).encode()
            if text != channel.message:
                channel.publish(text)
                if key == LIST:
                    self._list_due = time.monotonic() + LIST_SECONDS

    async def _in(self, pool: ThreadPoolExecutor, act: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(pool, act)


def _step_back() -> None:
    """Let a race's lanes go before this thread. The process itself stays as it is: races that it resumes must not."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PATIENCE)


def _entry(race: Followed) -> dict[str, Any]:
    """What a list shows of a race that never changes."""
    return {
        "id": race.record.id,
        "created": race.record.created,
        "workload": str(race.workload.get("name", "")),
        "contenders": race.labels,
    }
