"""Pictures of every tuning trial by its learning rate: what it scored, and how far it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gradrace.report.pictures.look import PLAIN, SMALL, Sheet, along_rates, logarithmic, shown

MOST_POINTS = 3000
"""Points that are drawn one by one; more are put into one image inside the picture."""


def sensitivity(sheet: Sheet) -> None:
    """First validation value of every tuning trial against its learning rate, and above it the safe ranges."""
    found = sheet.document["trials"]
    rates, first, chosen = found["configuration"]["lr"], found["first"], set(found["chosen"])
    known = [value for value in first if value is not None]
    more_is_better = sheet.summary["workload"]["direction"] == "max"
    lost = (min if more_is_better else max)(known, default=1.0)
    ranges = {row["label"]: row["lr_safe_range"] for row in sheet.rows if row["lr_safe_range"]}
    axes = sheet.figure.subplots()
    for label in sheet.labels:
        style, mine = sheet.style(label), _tuning(sheet, label)
        look = {"linewidths": 0, "color": style.colour, "marker": style.mark, "rasterized": len(rates) > MOST_POINTS}
        plain = [i for i in mine if first[i] is not None and i not in chosen]
        axes.scatter([rates[i] for i in plain], [first[i] for i in plain], s=16, alpha=0.5, **look)
        gone = [i for i in mine if first[i] is None]
        if gone:
            mark = "v" if more_is_better else "^"
            outline = {"facecolors": "none", "edgecolors": style.colour, "linewidths": 1}
            axes.scatter(
                [rates[i] for i in gone], [lost] * len(gone), 34, marker=mark, clip_on=False, zorder=3, **outline
            )
        line = sheet.document["sensitivity"][label]
        medians = [math.nan if value is None else value for value in line["median"]]
        axes.plot(line["lr"], medians, color=style.colour, linestyle=style.dash)
        ringed = [i for i in mine if first[i] is not None and i in chosen]
        look |= {"linewidths": 1.2, "edgecolors": sheet.theme.text, "zorder": 4}
        axes.scatter([rates[i] for i in ringed], [first[i] for i in ringed], s=46, **look)
    along_rates(axes)
    if sheet.spread(known):
        logarithmic(axes)
    if not known:
        axes.set_yticks([])
    axes.set_xlabel(sheet.say("sensitivity.axis_x"))
    axes.set_ylabel(sheet.say("sensitivity.axis_y", metric=sheet.metric))
    if ranges:
        _safe(sheet, axes, ranges)
    sheet.contenders(sheet.labels)


def _safe(sheet: Sheet, axes: Axes, ranges: Mapping[str, Sequence[float]]) -> None:
    """A bar for each contender's safe range, above the axes."""
    height = 0.024
    for place, label in enumerate(reversed([label for label in sheet.labels if label in ranges])):
        y = 1.025 + (place + 0.5) * height
        # The ends are marks, as a range of one rate has no length.
        axes.plot(
            ranges[label], [y, y], transform=axes.get_xaxis_transform(), clip_on=False, color=sheet.style(label).colour,
            linewidth=2.6, solid_capstyle="butt", marker="|", markersize=6, markeredgewidth=1.6,
        )  # fmt: skip


def rungs(sheet: Sheet) -> None:
    """For each contender how far every tuning trial was trained, by its learning rate."""
    found = sheet.document["trials"]
    rates, steps, chosen = found["configuration"]["lr"], found["steps"], set(found["chosen"])
    marks = {"finished": "o", "dropped": "_", "diverged": "^", "failed": "x", "interrupted": "s"}
    grid = sheet.figure.subplots(len(sheet.labels), sharex=True, squeeze=False)[:, 0]
    seen = set()
    for axes, label in zip(grid, sheet.labels, strict=True):
        colour, mine = sheet.style(label).colour, _tuning(sheet, label)
        axes.vlines([rates[i] for i in mine], 0, [steps[i] for i in mine], color=colour, linewidth=0.8, alpha=0.45)
        for status, mark in marks.items():
            ours = [i for i in mine if found["statuses"][found["status"][i]] == status]
            for ringed in (False, True):
                those = [i for i in ours if (i in chosen) == ringed]
                if not those:
                    continue
                seen.add(status)
                filled = {"color": colour} if mark in "o_x" else {"facecolors": "none", "edgecolors": colour}
                ring = {"edgecolors": sheet.theme.text} if ringed and mark == "o" else {}
                axes.scatter(
                    [rates[i] for i in those], [steps[i] for i in those], s=42 if ringed else 18, marker=mark,
                    linewidths=1.3 if ringed or mark in "_x" else 0.9, clip_on=False, zorder=3, **filled | ring,
                )  # fmt: skip
        ends = {rung["step"] for rung in sheet.document["rungs"][label] if rung["dropped"] or rung["finished"]}
        axes.set_yticks(sorted(ends))
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.set_title(shown(label), loc="left", fontsize=SMALL + 1, color=sheet.theme.text, pad=7)
    along_rates(grid[-1])
    grid[-1].set_xlabel(sheet.say("sensitivity.axis_x"))
    sheet.figure.supylabel(sheet.say("rungs.step"), fontsize=PLAIN)
    those = [status for status in marks if status in seen]
    quiet = sheet.theme.quiet
    faces = [quiet if marks[status] == "o" else "none" for status in those]
    handles = [
        Line2D([], [], linestyle="none", marker=marks[status], color=quiet, markerfacecolor=face)
        for status, face in zip(those, faces, strict=True)
    ]
    sheet.legend(handles, [sheet.say(f"trials.status_{status}") for status in those])


def _tuning(sheet: Sheet, label: str) -> list[int]:
    """The rows of a contender's tuning trials that have a learning rate."""
    found = sheet.document["trials"]
    stage, contender = found["stages"].index("tuning"), found["labels"].index(label)
    rates = found["configuration"]["lr"]
    return [
        index
        for index, (who, what, rate) in enumerate(zip(found["contender"], found["stage"], rates, strict=True))
        if who == contender and what == stage and rate is not None and rate > 0
    ]
