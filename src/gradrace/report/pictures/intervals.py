"""Pictures of numbers with their intervals: standings, pairs, and steps to the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from gradrace.report.pictures.look import PLAIN, SMALL, Sheet, interval_line, logarithmic, shown, width_of
from gradrace.report.sentences import interval, number


def standings(sheet: Sheet) -> None:
    """Test metric of each contender with its interval; lines on the right join those that tie."""
    axes = sheet.figure.subplots()
    ends = []
    for place, row in enumerate(sheet.rows):
        bounds = row["test"]["interval"]
        _whisker(sheet, axes, place, row["label"], row["test"]["mean"], bounds)
        ends += bounds or [row["test"]["mean"]]
    brackets = sheet.document["brackets"]
    for lane, (first, last) in enumerate(brackets):
        x = 1.025 + 0.022 * lane
        axes.plot(
            [x, x], [first - 0.22, last + 0.22], transform=axes.get_yaxis_transform(), clip_on=False,
            color=sheet.theme.text, linewidth=1.6, solid_capstyle="round",
        )  # fmt: skip
    for place, row in enumerate(sheet.rows):
        words = interval_line(row["test"]["interval"], row["test"]["mean"])
        sheet.beside(axes, place, words, 0.03 + 0.022 * len(brackets))
    sheet.names_down(axes, [f"{row['place']}  {shown(row['label'])}" for row in sheet.rows])
    if sheet.spread(ends):
        logarithmic(axes, "x")
    bounded = any(row["test"]["interval"] for row in sheet.rows)
    axes.set_xlabel(sheet.say("standings.test" if bounded else "pictures.test", metric=sheet.metric))


def differences(sheet: Sheet) -> None:
    """For each pair the difference in the test metric, with the interval that holds for all pairs at once."""
    pairs = sheet.summary["pairs"]
    axes = sheet.figure.subplots()
    axes.axvline(0, color=sheet.theme.quiet, linewidth=1)
    for place, pair in enumerate(pairs):
        better = {"a better": pair["a"], "b better": pair["b"]}.get(pair["decision"])
        colour = sheet.theme.quiet if better is None else sheet.style(better).colour
        _bar(axes, place, pair["interval"], colour)
        mark = "o" if better is None else sheet.style(better).mark
        face = sheet.theme.paper if better is None else colour
        axes.plot(pair["difference"], place, mark, color=colour, markerfacecolor=face, markersize=6)
        chance = "" if pair["p_adjusted"] is None else f"  {sheet.say('pairs.p', p=number(pair['p_adjusted']))}"
        sheet.beside(axes, place, interval_line(pair["interval"], pair["difference"]) + chance)
    sheet.names_down(axes, [f"{shown(pair['a'])} − {shown(pair['b'])}" for pair in pairs])
    axes.set_xlabel(sheet.filled(sheet.say("pictures.difference", metric=sheet.metric)))


def matrix(sheet: Sheet) -> None:
    """Every pair as a cell: row less column, its interval, and whether the row is detectably better or worse."""
    count = len(sheet.labels)
    axes = sheet.figure.subplots()
    axes.grid(visible=False)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    names = [shown(label) for label in sheet.labels]
    room = 72 * sheet.figure.get_figwidth() / (count + max(map(width_of, names)) / 13)
    cells = [
        (sheet.labels.index(b), sheet.labels.index(a), _Cell.of(sheet, pair, sign))
        for pair in sheet.summary["pairs"]
        for a, b, sign in ((pair["a"], pair["b"], 1), (pair["b"], pair["a"], -1))
    ]
    longest = max(len(line) for _, _, cell in cells for line in (cell.words, *cell.small))
    size = min(PLAIN - 0.5, room * 0.9 / (longest * 0.6))
    for x, y, cell in cells:
        box = Rectangle(
            (x - 0.48, y - 0.46), 0.96, 0.92, facecolor=cell.colour, edgecolor=sheet.theme.line, linewidth=0.8
        )
        axes.add_patch(box)
        axes.text(x, y - (0.21 if cell.small else 0), cell.words, ha="center", va="center", fontsize=size + 0.5)
        below = {"fontsize": size - 0.5, "color": sheet.theme.quiet}
        axes.text(x, y + 0.17, "\n".join(cell.small), ha="center", va="center", **below)
    axes.set_xticks(range(count), [shown(label, max(6, int(room / 5.5))) for label in sheet.labels])
    axes.set_yticks(range(count), names)
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    told = sheet.filled(sheet.say("pictures.matrix", metric=sheet.metric), SMALL + 0.5)
    axes.set_xlabel(told, fontsize=SMALL + 0.5, color=sheet.theme.quiet)


class _Cell(NamedTuple):
    """What a cell of the matrix says, and its colour."""

    words: str
    small: list[str]
    colour: str

    @classmethod
    def of(cls, sheet: Sheet, pair: Mapping[str, Any], sign: int) -> _Cell:
        """Of a pair as it is stored, or turned round."""
        undecided = pair["decision"].startswith("no ")
        won = not undecided and (pair["decision"] == "a better") == (sign > 0)
        ends = pair["interval"] and sorted(sign * end for end in pair["interval"])
        small = [interval(ends)] if ends else []
        small += [] if pair["p_adjusted"] is None else [sheet.say("pairs.p", p=number(pair["p_adjusted"]))]
        return cls(
            f"{'=' if undecided else '+' if won else '−'}  {number(sign * pair['difference'])}",
            small,
            "none" if undecided else sheet.theme.won if won else sheet.theme.lost,
        )


def target(sheet: Sheet) -> None:
    """Steps until half of a contender's runs had reached the target, with their interval."""
    found = sheet.summary["target"]
    longest = max(sheet.summary["plan"]["steps_of"].values())
    axes = sheet.figure.subplots()
    axes.set_xlim(0, longest * 1.03)
    for place, row in enumerate(sheet.rows):
        steps, ends = row["steps_to_target"], row["steps_to_target_interval"]
        reached, total = row["target_reached"]
        runs = sheet.say("target.reached_of", reached=reached, total=total)
        if steps is None:
            words = f"{sheet.say('target.not_reached')} ({runs})"
        else:
            _whisker(
                sheet, axes, place, row["label"], steps, ends and [ends[0], longest if ends[1] is None else ends[1]]
            )
            if ends and ends[1] is None:
                axes.plot(longest, place, ">", color=sheet.style(row["label"]).colour, markersize=5, clip_on=False)
            later = [sheet.say("target.later") if end is None else str(end) for end in ends or ()]
            words = f"{steps} [{', '.join(later)}] ({runs})" if later else f"{steps} ({runs})"
        sheet.beside(axes, place, words)
    sheet.names_down(axes, [shown(row["label"]) for row in sheet.rows])
    whose = sheet.say(f"target.{found['source']}")
    words = sheet.say("pictures.target", metric=sheet.metric, value=number(found["value"]), whose=whose)
    axes.set_xlabel(sheet.filled(words))


def _whisker(sheet: Sheet, axes: Axes, place: int, label: str, mean: float, ends: Any) -> None:
    style = sheet.style(label)
    _bar(axes, place, ends, style.colour)
    axes.plot(mean, place, style.mark, color=style.colour, markersize=6.5)


def _bar(axes: Axes, place: int, ends: Any, colour: str) -> None:
    if ends:
        axes.plot(ends, [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="butt")
