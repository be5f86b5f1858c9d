"""How pictures look: the page's colours and marks, fonts, text that is shown as it stands, and scales."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from gradrace.report.sentences import number
from gradrace.report.words import say

# The same as in the page's script: a colour of Okabe and Ito's palette, a mark and a line style for each contender.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#B8A800")
MARKS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "x": "X", "star": "*",
    "pentagon": "p",
}  # fmt: skip
DASHES: dict[str, Any] = {
    "solid": "-", "dash": (0, (5, 2.5)), "dot": (0, (1.2, 1.8)), "dashdot": (0, (5, 2, 1.2, 2)),
    "longdash": (0, (9, 3)), "longdashdot": (0, (9, 2.5, 1.2, 2.5)),
}  # fmt: skip

LONGEST_LABEL = 24
"""Characters of a contender's label, as on the page."""
SMALL, PLAIN = 7.5, 9.0
"""Sizes of text in points."""

_OTHER_SCRIPTS = (
    "Noto Sans KR", "Noto Sans CJK KR", "NanumGothic", "Nanum Gothic", "Apple SD Gothic Neo", "AppleGothic",
    "Malgun Gothic", "UnDotum", "Baekmuk Dotum", "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans",
    "Source Han Sans KR", "Droid Sans Fallback", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip
"""Fonts that have Hangul; the first two of these that are installed are asked for what DejaVu Sans does not have."""
_KEPT = ("backend", "date.epoch", "docstring", "figure.max_open", "figure.raise", "interactive", "savefig.directory")
_KEPT += ("timezone", "tk.", "toolbar", "webagg", "keymap")
"""Settings of matplotlib's that say nothing of how a picture looks, and stay as the user has them."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Theme:
    """Colours by what they are for, those of the page."""

    text: str
    quiet: str
    paper: str
    line: str
    grid: str
    won: str
    lost: str


THEMES = {
    "light": Theme("#1b1f24", "#57606a", "#ffffff", "#d5dae0", "#e8ebef", "#dff2ea", "#fbe5db"),
    "dark": Theme("#e6e9ed", "#a3acb7", "#181c22", "#39414b", "#272d35", "#12382b", "#46281a"),
}


@dataclass(frozen=True)
class Style:
    """How a contender is told apart."""

    colour: str
    mark: str
    dash: Any


@dataclass(frozen=True)
class Sheet:
    """A figure that is being drawn, what it shows, and in which words and colours."""

    figure: Figure
    document: Mapping[str, Any]
    lang: str
    theme: Theme

    @property
    def summary(self) -> Mapping[str, Any]:
        """Of the race."""
        return self.document["summary"]

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The standings."""
        return self.summary["standings"]

    @property
    def labels(self) -> Sequence[str]:
        """The contenders, in the order of the standings."""
        return self.document["labels"]

    @property
    def metric(self) -> str:
        """What the race is judged by."""
        return shown(self.summary["workload"]["metric"])

    def say(self, key: str, **values: object) -> str:
        """Words of the catalogue."""
        return say(key, self.lang, **values)

    def style(self, label: str) -> Style:
        """A contender's colour, mark and line."""
        return style_of(self.labels.index(label))

    def spread(self, values: Iterable[float | None]) -> bool:
        """Whether values are better seen on a logarithmic scale; the page decides so, too."""
        widely = 8 if self.summary["workload"]["direction"] == "min" else 50
        known = [value for value in values if value is not None and math.isfinite(value)]
        return bool(known) and min(known) > 0 and max(known) / min(known) > widely

    def legend(self, handles: Sequence[Artist], names: Sequence[str]) -> None:
        """Names above the picture, in as many columns as it has room for."""
        room = self.figure.get_figwidth() * 72 - 20
        columns = max(1, min(len(names), int(room / (max(map(width_of, names), default=1) * PLAIN * 0.56 + 38))))
        made = self.figure.legend(
            handles,
            [f"contender {index}" for index in range(len(names))],  # its own texts would lose those that begin with _
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            fontsize=PLAIN,
            handlelength=2.6,
            columnspacing=1.4,
            borderpad=0.2,
        )
        for text, name in zip(made.get_texts(), names, strict=True):
            text.set_text(name)

    def contenders(self, labels: Sequence[str], lines: bool = True) -> None:
        """The legend of contenders."""
        self.legend([self.handle(label, lines) for label in labels], [shown(label) for label in labels])

    def handle(self, label: str, line: bool = True) -> Line2D:
        """A contender's mark on its line."""
        style = self.style(label)
        return Line2D(
            [], [], color=style.colour, linestyle=style.dash if line else "none", marker=style.mark, markersize=6
        )

    def names_down(self, axes: Axes, names: Sequence[str]) -> None:
        """Names on the left, the first on top."""
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)

    def filled(self, words: str, size: float = PLAIN, least: int = 12) -> str:
        """Words on as many lines as the figure's width makes of them."""
        room = self.figure.get_figwidth() * 72 / (size * 0.56)
        return textwrap.fill(words, max(least, int(room * len(words) / max(1, width_of(words)))))

    def beside(self, axes: Axes, row: int, words: str, gap: float = 0.02) -> Text:
        """Words to the right of a row."""
        where, colour = axes.get_yaxis_transform(), self.theme.quiet
        return axes.text(1 + gap, row, words, transform=where, va="center", fontsize=SMALL, color=colour)


@cache
def style_of(index: int) -> Style:
    """How the contender at this place is told apart."""
    turn = index + index // len(COLOURS)
    return Style(
        COLOURS[index % len(COLOURS)],
        list(MARKS.values())[turn % len(MARKS)],
        list(DASHES.values())[turn % len(DASHES)],
    )


def settings(theme: Theme) -> dict[Any, Any]:
    """All settings of matplotlib's while a picture is drawn, whatever the user's own are."""
    return plain() | {
        "text.parse_math": False,  # a label is text, also with dollars in it
        "font.family": [*families(), "sans-serif"],  # the last for those who open an SVG elsewhere
        "font.size": PLAIN,
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.line,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.labelsize": PLAIN,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.line,
        "ytick.color": theme.line,
        "xtick.labelcolor": theme.quiet,
        "ytick.labelcolor": theme.quiet,
        "xtick.labelsize": PLAIN,
        "ytick.labelsize": PLAIN,
        "figure.facecolor": theme.paper,
        "figure.edgecolor": theme.paper,
        "savefig.facecolor": "auto",
        "lines.linewidth": 1.8,
    }


def plain() -> dict[Any, Any]:
    """Matplotlib's own settings, as far as they say how a picture looks."""
    return {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith(_KEPT)}


def families() -> list[str]:
    """The fonts of pictures: matplotlib's own, and for what it lacks what is installed."""
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *[name for name in _OTHER_SCRIPTS if name in installed][:2]]


def shown(words: str, longest: int = LONGEST_LABEL) -> str:
    """Text as it stands, on one line, cut if it is long; what cannot be printed is shown as �."""
    line = "".join(character if character.isprintable() else "�" for character in " ".join(words.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def width_of(words: str) -> int:
    """The width of text in letters; those of Korean are two wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in words)


def interval_line(ends: Sequence[float] | None, mean: float | None) -> str:
    """A number and its interval, as in the tables."""
    return number(mean) if ends is None else f"{number(mean)} [{number(ends[0])}, {number(ends[1])}]"


def power(value: float, _: object = None) -> str:
    """A power of ten, or another number as it is."""
    if value <= 0:
        return ""
    exponent = round(math.log10(value))
    if not math.isclose(value, 10.0**exponent, rel_tol=1e-9):
        return number(value)
    return number(value) if -1 <= exponent <= 2 else f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def along_rates(axes: Axes) -> None:
    """A logarithmic scale of learning rates."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 30 else (1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(power))


def logarithmic(axes: Axes, which: str = "y") -> None:
    """A logarithmic scale of values, whose ticks are written out."""
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis = axes.yaxis if which == "y" else axes.xaxis
    low, high = axes.get_ylim() if which == "y" else axes.get_xlim()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 1e3 else (1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
