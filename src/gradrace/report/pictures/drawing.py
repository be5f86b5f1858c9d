"""From a kind to the figure: which part draws it, how large it is, and what an unfinished race adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from gradrace.report.pictures import TITLES, bars, curves, encoded, intervals, trials
from gradrace.report.pictures.look import SMALL, THEMES, Sheet, settings, shown
from gradrace.report.words import say

NOTEBOOK_DPI = 96
"""Dots in an inch of a notebook, as browsers have it. Pictures have twice as many, for fine screens."""


class Part(NamedTuple):
    """What draws a kind, and its size: inches of width, of height, and of height for each contender (or pair)."""

    draw: Callable[[Sheet], None]
    width: float
    height: float
    more: float = 0.0


PARTS: dict[str, Part] = {
    "standings": Part(intervals.standings, 6.4, 0.9, 0.36),
    "pairs": Part(intervals.matrix, 1.4, 0.7, 0.62),
    "differences": Part(intervals.differences, 6.8, 0.9, 0.3),
    "lr-sensitivity": Part(trials.sensitivity, 6.4, 4.0, 0.09),
    "learning-curves": Part(curves.learning, 6.4, 4.0),
    "budget": Part(curves.budget, 6.4, 4.0),
    "probability-best": Part(curves.chance, 6.4, 4.0),
    "steps-to-target": Part(intervals.target, 6.4, 0.9, 0.36),
    "rungs": Part(trials.rungs, 6.4, 0.9, 1.05),
    "cost": Part(bars.cost, 6.4, 0.9, 0.34),
    "luck": Part(bars.luck, 6.4, 1.1, 0.34),
}


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot, which would set a backend for all the notebook."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.get_size_inches()
        content, _ = encoded(self, "png", 2 * NOTEBOOK_DPI)
        return content, {"width": round(width * NOTEBOOK_DPI), "height": round(height * NOTEBOOK_DPI)}


def drawn(
    document: Mapping[str, Any], kind: str, lang: str, width: float | None, height: float | None, style: str
) -> Figure:
    """See ``draw``, which has checked all this."""
    part, theme = PARTS[kind], THEMES[style]
    count = len(document["labels"])
    rows = len(document["summary"]["pairs"]) if kind == "differences" else count
    wide = part.width + (1.15 * count if kind == "pairs" else 0)
    size = (width or wide, height or part.height + part.more * rows)
    with matplotlib.rc_context(settings(theme)):
        figure = Picture(figsize=size, layout="constrained")
        sheet = Sheet(figure, document, lang, theme)
        figure.set_label(shown(title(document, kind, lang), 200))
        part.draw(sheet)
        if document["summary"]["race"]["status"] != "finished":
            _not_final(sheet)
    return figure


def title(document: Mapping[str, Any], kind: str, lang: str) -> str:
    """What a picture is called, with the race that it is of."""
    summary = document["summary"]
    race = say("page.title", lang, workload=summary["workload"]["name"], race=summary["race"]["id"])
    return f"{say(TITLES[kind], lang)} ({race})"


def _not_final(sheet: Sheet) -> None:
    """Says below the picture that the race has not ended."""
    words = sheet.document["sentences"][sheet.lang]["verdict"]
    sheet.figure.supxlabel(sheet.filled(words, SMALL + 0.3), x=0.01, ha="left", fontsize=SMALL, color=sheet.theme.quiet)
