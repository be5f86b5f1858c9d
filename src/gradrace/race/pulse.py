"""A race tells its store how it goes and stops when it is asked to, for those who follow it from other processes."""

from __future__ import annotations

import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gradrace.errors import StoreError
from gradrace.outcomes import Outcome
from gradrace.store import Store

if TYPE_CHECKING:
    from gradrace.race.orchestrator import Watch

BEAT_SECONDS = 0.5
"""Between two pulses; each is a write that does not wait for the disk."""


class Pulsing:
    """Watches a race for its store, and passes on what it is told to another watch.

    A thread of its own writes, so that a race that trains a long block still has a pulse. Asked to stop, it raises
    ``KeyboardInterrupt`` when it is told something next, in the race's own thread, as Ctrl-C would.

    Args:
        race: its id.
        store: that holds it.
        direction: ``"min"`` or ``"max"``, whichever is better.
        lanes: how many train.
        watch: what else is told.
    """

    def __init__(self, race: str, store: Store, direction: str, lanes: int, watch: Watch) -> None:
        from gradrace.report.counts import Counts  # its package takes scipy along

        self.race, self.store, self.watch = race, store, watch
        self.session = uuid.uuid4().hex
        self.asked = False
        self._counts, self._began = Counts(direction), time.monotonic()
        self._about = {"process": os.getpid(), "host": platform.node(), "lanes": lanes}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def end(self) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join()

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        """See ``Watch``."""
        with self._lock:
            self._counts.begin(name, trials, trial_steps, afterwards)
        self.watch.stage(name, trials, trial_steps, afterwards)

    def steps(self, trial_steps: int) -> None:
        """See ``Watch``."""
        if trial_steps:
            with self._lock:
                self._counts.add(trial_steps)
            self.watch.steps(trial_steps)
        self._obey()

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        """See ``Watch``."""
        with self._lock:
            self._counts.ended(outcomes)
        self.watch.block(outcomes, trained)
        self._obey()

    def said(self) -> dict[str, Any]:
        """What is told: the stage with its trials and trial-steps, speed, time left, the leader, and who trains."""
        with self._lock:
            counts = self._counts
            best = counts.best_so_far
            return {
                **self._about,
                "stage": counts.stage,
                "trials": counts.trials,
                "trials_done": counts.trials_done,
                "trial_steps": counts.steps,
                "trial_steps_done": min(counts.steps, counts.steps_done),
                "afterwards": counts.afterwards,
                "rate": counts.rate,
                "seconds_left": counts.seconds_left,
                "seconds": time.monotonic() - self._began,
                "leader": None if best is None else best[0],
                "leader_validation": None if best is None else best[1],
            }

    def _obey(self) -> None:
        if self.asked:
            raise KeyboardInterrupt

    def _go_on(self) -> None:
        while True:
            # A store that cannot take it now (a full disk, a long writer) costs the race nothing but its pulse.
            with suppress(StoreError):
                self.asked = self.store.beat(self.race, self.session, self.said()) or self.asked
            if self._ended.wait(BEAT_SECONDS):
                return


@contextmanager
def pulse(race: str, store: Store, direction: str, lanes: int, watch: Watch) -> Iterator[Pulsing]:
    """While in this context, the store is told how the race goes; see ``Pulsing``."""
    pulsing = Pulsing(race, store, direction, lanes, watch)
    pulsing.start()
    try:
        yield pulsing
    finally:
        pulsing.end()
