"""A race as it goes: a live display in a terminal, plain lines elsewhere, both on standard error; or in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gradrace.outcomes import Outcome
from gradrace.report.counts import Counts
from gradrace.report.in_notebook import NotebookProgress, notebook

PLAIN_LINE_SECONDS = 2.0
REFRESHES = 3
"""Of the live display in a second. Eight took 4 % of the default race's seconds from the processor."""


class PlainProgress:
    """Lines, at most one in two seconds within a stage."""

    def __init__(self, direction: str = "max", stream: TextIO | None = None) -> None:
        self.counts, self.stream, self._last = Counts(direction), stream or sys.stderr, 0.0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, line: str) -> None:
        """One line."""
        print(line, file=self.stream, flush=True)

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        """See ``Watch``."""
        self.counts.begin(name, trials, trial_steps, afterwards)
        self.say(f"{name}: {trials} trials, {trial_steps:,} trial-steps to train")

    def steps(self, trial_steps: int) -> None:
        """See ``Watch``."""
        self.counts.add(trial_steps)

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        """See ``Watch``."""
        counts = self.counts
        counts.ended(outcomes)
        now = time.monotonic()
        if trained and (now - self._last >= PLAIN_LINE_SECONDS or counts.trials_done == counts.trials):
            self._last = now
            self.say(counts.told())


class LiveProgress:
    """One line that stays in place: stage, bar, trials, speed, time left, leader."""

    def __init__(self, console: Console, direction: str = "max") -> None:
        self.counts = Counts(direction)
        self._live = Live(console=console, get_renderable=self._line, refresh_per_second=REFRESHES, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """A line above the display."""
        self._live.console.print(Text(line))

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        """See ``Watch``."""
        self.counts.begin(name, trials, trial_steps, afterwards)

    def steps(self, trial_steps: int) -> None:
        """See ``Watch``."""
        self.counts.add(trial_steps)

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        """See ``Watch``."""
        self.counts.ended(outcomes)

    def _line(self) -> Table:
        counts = self.counts
        row = Table.grid(padding=(0, 2))
        if counts.steps == 0:
            row.add_row(Text(counts.stage, style="bold"), Text(f"{time.monotonic() - counts.began:.0f} s", style="dim"))
            return row
        row.add_row(
            Text(counts.stage, style="bold"),
            ProgressBar(total=counts.steps, completed=min(counts.steps_done, counts.steps), width=24),
            f"{counts.trials_done}/{counts.trials} trials",
            f"{counts.rate:,.0f} trial-steps/s",
            f"{counts.left()} left",
            Text(f"leader so far: {counts.leader()}" if counts.best else ""),
        )
        return row


def progress(direction: str = "max", stream: TextIO | None = None) -> PlainProgress | LiveProgress | NotebookProgress:
    """The display that suits a notebook's cell, if one runs this, or else standard error."""
    if stream is None and (show := notebook()) is not None:
        return NotebookProgress(show, direction)
    console = Console(file=stream or sys.stderr)
    return LiveProgress(console, direction) if console.is_terminal else PlainProgress(direction, stream)
