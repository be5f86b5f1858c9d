"""Pictures of bars: what a contender costs, and where its luck comes from."""

from __future__ import annotations

from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from gradrace.report.pictures.look import Sheet, shown
from gradrace.report.sentences import number, percent


def cost(sheet: Sheet) -> None:
    """Time of one training step, and memory that the optimizer keeps for each parameter."""
    left, right = sheet.figure.subplots(1, 2, sharey=True)
    for axes, name, factor, key in (
        (left, "step_seconds", 1e3, "cost.step"),
        (right, "state_bytes_per_parameter", 1.0, "cost.state"),
    ):
        for place, row in enumerate(sheet.rows):
            value = row[name]
            axes.barh(place, 0 if value is None else value * factor, 0.62, color=sheet.style(row["label"]).colour)
            words = number(None if value is None else value * factor)
            axes.annotate(
                words, (0 if value is None else value * factor, place), (4, 0), textcoords="offset points", va="center",
                fontsize=7.5, color=sheet.theme.quiet,
            )  # fmt: skip
        axes.margins(x=0.16)
        axes.set_xlim(left=0)
        axes.set_xlabel(sheet.say(key))
        sheet.names_down(axes, [shown(row["label"]) for row in sheet.rows])


def luck(sheet: Sheet) -> None:
    """How the spread of a contender's test scores splits between tuning and seeds."""
    known = [row for row in sheet.rows if row["luck"] and row["luck"]["share_tuning"] is not None]
    axes = sheet.figure.subplots()
    for place, row in enumerate(known):
        share, colour = row["luck"]["share_tuning"], sheet.style(row["label"]).colour
        axes.barh(place, share, 0.62, color=colour)
        axes.barh(place, 1 - share, 0.62, left=share, facecolor="none", edgecolor=colour, hatch="////", linewidth=0.8)
        sheet.beside(axes, place, f"{percent(share, sheet.lang)} / {percent(1 - share, sheet.lang)}")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel(sheet.say("pictures.share"))
    sheet.names_down(axes, [shown(row["label"]) for row in known])
    quiet = sheet.theme.quiet
    handles = [Patch(color=quiet), Patch(facecolor="none", edgecolor=quiet, hatch="////")]
    sheet.legend(handles, [sheet.say("luck.tuning"), sheet.say("luck.seed")])
