"""Where the seconds of a lane go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by purpose. A purpose within another takes its seconds from it, so that they add up to the time spent."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._purposes: list[str] = []
        self._since = 0.0

    def add(self, purpose: str, seconds: float) -> None:
        """Count seconds that were spent before."""
        self._seconds[purpose] = self._seconds.get(purpose, 0.0) + seconds

    @contextmanager
    def spending(self, purpose: str) -> Iterator[None]:
        """Count the seconds until the end of the block."""
        self._turn()
        self._purposes.append(purpose)
        try:
            yield
        finally:
            self._turn()
            self._purposes.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._purposes:
            self.add(self._purposes[-1], now - self._since)
        self._since = now

    def taken(self) -> dict[str, float]:
        """The seconds since this was asked last."""
        self._turn()
        taken, self._seconds = self._seconds, {}
        return taken
