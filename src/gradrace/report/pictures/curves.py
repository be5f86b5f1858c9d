"""Pictures of curves: over training, and over smaller budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gradrace.report.pictures.look import Sheet, logarithmic
from gradrace.report.so_far import confirmed_curves

MOST_MARKS = 12
"""Marks on a line: with more points, some go without."""


def learning(sheet: Sheet) -> None:
    """Validation metric over steps: median over studies, and a band from the worst study to the best."""
    confirmed = confirmed_curves(sheet.document)
    known = {label: confirmed[label] for label in sheet.labels if label in confirmed}
    side = "high" if sheet.summary["workload"]["direction"] == "min" else "low"
    ends = [value for found in known.values() for value in found[side] if value is not None]
    # Where a study diverged the band is open: it is drawn as far as the worst value of any contender.
    worst = (max if side == "high" else min)(ends, default=math.nan)
    axes = sheet.figure.subplots()
    for label, found in known.items():
        bounds = [
            [
                math.nan if middle is None else worst if end is None else end
                for end, middle in zip(found[name], found["median"], strict=True)
            ]
            for name in ("low", "high")
        ]
        _line(sheet, axes, label, found["steps"], found["median"], bounds)
    axes.set_xlim(left=0)
    if sheet.spread(value for found in known.values() for value in found["median"]):
        logarithmic(axes)
    axes.set_xlabel(sheet.say("learning.axis_steps"))
    axes.set_ylabel(sheet.say("sensitivity.axis_y", metric=sheet.metric))
    sheet.contenders(list(known))


def budget(sheet: Sheet) -> None:
    """Expected validation metric of the best of n trials."""
    found = sheet.summary["budget"]
    axes = _by_trials(sheet, found["best_of_n"], found["best_of_n_band"])
    if sheet.spread(value for values in found["best_of_n"].values() for value in values):
        logarithmic(axes)
    axes.set_ylabel(sheet.say("budget.axis_y", metric=sheet.metric))


def chance(sheet: Sheet) -> None:
    """Chance that the best of n trials of a contender beats that of every other."""
    found = sheet.summary["budget"]
    axes = _by_trials(sheet, found["probability_best_by_n"], found["probability_best_band"])
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel(sheet.say("budget.axis_chance"))


def _by_trials(
    sheet: Sheet, values: Mapping[str, Sequence[float | None]], bands: Mapping[str, Sequence[Any]] | None
) -> Axes:
    axes = sheet.figure.subplots()
    for label in sheet.labels:
        counts = range(1, len(values[label]) + 1)
        band = [] if bands is None else [(math.nan, math.nan) if pair is None else pair for pair in bands[label]]
        bounds = [[pair[side] for pair in band] for side in (0, 1)] if band else None
        _line(sheet, axes, label, counts, values[label], bounds)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(sheet.say("budget.axis_x"))
    sheet.contenders(sheet.labels)
    return axes


def _line(
    sheet: Sheet,
    axes: Axes,
    label: str,
    x: Sequence[int],
    values: Sequence[float | None],
    bounds: Sequence[Sequence[float]] | None,
) -> None:
    style = sheet.style(label)
    if bounds is not None:
        axes.fill_between(x, bounds[0], bounds[1], color=style.colour, alpha=0.12, linewidth=0)
    axes.plot(
        x,
        [math.nan if value is None else value for value in values],
        color=style.colour,
        linestyle=style.dash,
        marker=style.mark,
        markersize=4.5,
        markevery=max(1, len(x) // MOST_MARKS),
    )
