"""Summaries of what was measured, as Markdown. Pure: nothing is measured and nothing is written here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios; NaN of none."""
    return math.exp(statistics.fmean(math.log(value) for value in values)) if values else math.nan


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, round by round: what slows a round down slows both."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def number(value: float) -> str:
    """Three digits or all before the point.

    >>> [number(value) for value in (12345.6, 123.4, 12.34, 1.234, 0.01234)]
    ['12,346', '123', '12.3', '1.23', '0.0123']
    """
    if not math.isfinite(value):
        return "–"
    size = 0 if value == 0 else math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, 2 - size)}f}"


def spread(values: Sequence[float]) -> str:
    """Median, and least and greatest in brackets.

    >>> spread([3.0, 1.0, 2.0])
    '2.00 (1.00–3.00)'
    """
    if not values:
        return "–"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


@dataclass(frozen=True)
class Target:
    """What is wanted of a figure, and the figure. ``value`` is None where this run did not measure it."""

    what: str
    wanted: float
    value: float | None
    at_most: bool = False
    unit: str = ""

    @property
    def reached(self) -> str:
        """``reached``, ``missed`` or ``not measured in this run``."""
        if self.value is None or math.isnan(self.value):
            return "not measured in this run"
        good = self.value <= self.wanted if self.at_most else self.value >= self.wanted
        return "reached" if good else "missed"

    def cells(self) -> list[str]:
        """Its line in the table of targets."""
        sign, figure = "≤" if self.at_most else "≥", "–" if self.value is None else number(self.value)
        return [self.what, f"{sign} {self.wanted:g}{self.unit}", f"{figure}{self.unit * (figure != '–')}", self.reached]


def targets_table(targets: Sequence[Target]) -> list[str]:
    """All targets beside what was reached."""
    return table(["what", "target", "here", ""], [target.cells() for target in targets])
