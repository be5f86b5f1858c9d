"""A race as it goes, in a notebook: one place below the cell that is drawn anew, in Jupyter and in marimo.

Neither is a dependency: a notebook that runs has loaded its own, which is asked for in ``sys.modules``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape

from gradrace.outcomes import Outcome
from gradrace.report.counts import Counts

REFRESH_SECONDS = 0.4
"""Between two drawings: each is a message to the browser, which the notebook may keep."""

Show = Callable[[str, str], None]
"""Puts HTML, or plain text where there is no HTML, in the place of what was shown before."""


def notebook() -> Show | None:
    """What draws below the cell that runs now, or None where no cell of a notebook runs."""
    return _marimo() or _jupyter()


def _jupyter() -> Show | None:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not hasattr(shell, "kernel"):  # the IPython of a terminal has none
        return None
    from IPython.display import DisplayHandle, display

    place: DisplayHandle | None = None

    def show(html: str, plain: str) -> None:
        nonlocal place
        bundle = {"text/html": html, "text/plain": plain}
        if place is None:
            place = display(bundle, raw=True, display_id=True)
        else:
            place.update(bundle, raw=True)

    return show


def _marimo() -> Show | None:
    marimo = sys.modules.get("marimo")
    if marimo is None or not getattr(marimo, "running_in_notebook", lambda: False)():
        return None

    def show(html: str, plain: str) -> None:
        marimo.output.replace(marimo.Html(html))

    return show


class NotebookProgress:
    """Stage, bar, trials, speed, time left and leader below the cell; in the end only what was said stays there."""

    def __init__(self, show: Show, direction: str = "max") -> None:
        self.counts, self._show, self._said, self._last = Counts(direction), show, [], 0.0

    def __enter__(self) -> NotebookProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._draw(over=True)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._said.append(line)
        self._draw()

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        """See ``Watch``."""
        self.counts.begin(name, trials, trial_steps, afterwards)
        self._draw()

    def steps(self, trial_steps: int) -> None:
        """See ``Watch``."""
        self.counts.add(trial_steps)
        self._draw_now_and_then()

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        """See ``Watch``."""
        self.counts.ended(outcomes)
        self._draw_now_and_then()

    def _draw_now_and_then(self) -> None:
        if time.monotonic() - self._last >= REFRESH_SECONDS:
            self._draw()

    def _draw(self, over: bool = False) -> None:
        self._last = time.monotonic()
        counts, said = self.counts, "\n".join(self._said)
        html = "".join(f"<div>{escape(line)}</div>" for line in self._said)
        if not over:
            done, steps = min(counts.steps_done, counts.steps), max(1, counts.steps)
            told = counts.told()
            html += f'<div><progress value="{done}" max="{steps}"></progress> {escape(told)}</div>'
            said += f"\n{told}"
        self._show(f'<div class="gradrace">{html}</div>', said.strip())
