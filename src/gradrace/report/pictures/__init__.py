"""The pictures of a race for papers and slides, drawn by matplotlib from the document of its page.

``draw`` makes a matplotlib figure of a kind, ``encoded`` the bytes of its file. Both compute nothing but ink: what they
show stands in the document. Nothing global of matplotlib's is changed, and no backend is chosen.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradrace.errors import SpecError, unknown_name
from gradrace.report.so_far import confirmed_curves
from gradrace.report.words import say, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENDINGS", "KINDS", "STYLES", "TITLES", "check_needed", "draw", "empty", "encoded"]

KINDS = (
    "standings", "pairs", "differences", "lr-sensitivity", "learning-curves", "budget", "probability-best",
    "steps-to-target", "rungs", "cost", "luck",
)  # fmt: skip
"""What can be drawn, in the order of the page."""

TITLES = {
    "standings": "standings.title", "pairs": "pairs.title", "differences": "pairs.title",
    "lr-sensitivity": "sensitivity.title", "learning-curves": "learning.title", "budget": "budget.title",
    "probability-best": "budget.title", "steps-to-target": "target.title", "rungs": "rungs.title", "cost": "cost.title",
    "luck": "luck.title",
}  # fmt: skip
"""What each is called on the page: keys of the catalogue."""

ENDINGS = ("png", "svg", "pdf")
"""Formats of a picture's file."""

STYLES = ("light", "dark")

LONGEST = 50.0
"""Inches that a picture may be wide or high."""
MOST_DOTS = 1200
"""Dots in an inch."""
SALT = "gradrace"
"""What matplotlib makes the names inside an SVG of: without it they would differ each time."""

_MISSING = re.compile(r"Glyph (\d+) .*missing from")


def draw(
    document: Mapping[str, Any],
    kind: str,
    lang: str = "en",
    width: float | None = None,
    height: float | None = None,
    style: str = "light",
) -> Figure:
    """A picture of a race as a matplotlib figure.

    Args:
        document: from ``page_document``.
        kind: one of ``KINDS``.
        lang: language of its words, "en" or "ko".
        width: in inches; by default as the kind needs.
        height: in inches; by default as many as the race's contenders need.
        style: "light" for paper, "dark" for dark slides.

    Raises:
        SpecError: matplotlib is not installed; there is no such kind, language or style; a size is not allowed; or the
            race has nothing of this kind to show, with the reason.
    """
    check_needed()
    checked(kind, lang, style)
    for name, inches in (("width", width), ("height", height)):
        if inches is not None and not 0 < inches <= LONGEST:
            raise SpecError(
                f"The {name} of a picture must be above 0 and at most {LONGEST:g} inches, but is {inches:g}."
            )
    if reason := empty(document, kind, lang):
        raise SpecError(f"There is nothing to draw of the kind '{kind}': {reason}")
    from gradrace.report.pictures.drawing import drawn

    return drawn(document, kind, lang, width, height, style)


def checked(kind: str, lang: str, style: str) -> None:
    """Raise a SpecError unless there are such a kind, language and style."""
    if kind not in KINDS:
        raise unknown_name("kind of picture", kind, KINDS)
    if style not in STYLES:
        raise unknown_name("style of pictures", style, STYLES)
    words(lang)


def empty(document: Mapping[str, Any], kind: str, lang: str = "en") -> str | None:
    """Why a race has nothing of a kind to show, in a sentence; None if it has."""
    summary, labels, trials = document["summary"], document["labels"], document["trials"]
    rows = summary["standings"]
    nothing = "sentence.nothing_worked" if rows else "standings.none"
    medians = [value for known in confirmed_curves(document).values() for value in known["median"]]
    budget = summary.get("budget")
    expected = [value for label in labels for value in budget["best_of_n"][label]] if budget else []
    rates = [rate for rate in trials["configuration"].get("lr", []) if rate is not None and rate > 0]
    trained = trials["contender"] or None
    reasons = {
        "standings": None if rows else "standings.none",
        "pairs": None if summary["pairs"] else "pairs.none",
        "differences": None if summary["pairs"] else "pairs.none",
        "lr-sensitivity": None if rates else "pictures.no_rates" if trained else "pictures.no_trials",
        "learning-curves": nothing if all(value is None for value in medians) else None,
        "budget": nothing if all(value is None for value in expected) else None,
        "probability-best": nothing if all(value is None for value in expected) else None,
        "steps-to-target": None if rows and summary["target"] else "target.none" if rows else "standings.none",
        "rungs": None if rates else "pictures.no_rates" if trained else "pictures.no_trials",
        "cost": None if any(row["step_seconds"] is not None for row in rows) else "cost.none",
        "luck": None if any(row["luck"] and row["luck"]["share_tuning"] is not None for row in rows) else "luck.none",
    }
    reason = reasons[kind]
    return None if reason is None else say(reason, lang)


def encoded(figure: Figure, ending: str, dpi: float = 200) -> tuple[bytes, str]:
    """The file of a picture that was just drawn, the same bytes each time, and the characters that no font has.

    Fonts are embedded in a PDF, and text stays text there and in an SVG, which is shown in the fonts of its reader: in
    it nothing is missing.

    Args:
        figure: from ``draw``.
        ending: one of ``ENDINGS``.
        dpi: dots in an inch, of a PNG, and of what has too many points to be drawn one by one.

    Raises:
        SpecError: there is no such format, or the picture is too small for what stands in it.
    """
    if ending not in ENDINGS:
        raise unknown_name("format of pictures", ending, ENDINGS)
    if not 0 < dpi <= MOST_DOTS:
        raise SpecError(f"The dots per inch of a picture must be above 0 and at most {MOST_DOTS}, but are {dpi:g}.")
    import matplotlib

    from gradrace.report.pictures.look import plain

    file = io.BytesIO()
    about = {
        "Title": str(figure.get_label()),
        **{"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[ending],
    }
    text_as_text: dict[Any, Any] = {
        "font.sans-serif": ["DejaVu Sans"],
        "svg.fonttype": "none",
        "svg.hashsalt": SALT,
        "svg.id": None,
        "pdf.fonttype": 42,
    }
    with matplotlib.rc_context(plain() | text_as_text), warnings.catch_warnings(record=True) as told, _without_talk():
        warnings.simplefilter("always")
        figure.savefig(file, format=ending, dpi=dpi, metadata=about)
    said = [str(warning.message) for warning in told]
    if any("constrained_layout not applied" in words for words in said):
        width, height = figure.get_size_inches()
        raise SpecError(
            f"A picture of {width:g} x {height:g} inches is too small for what stands in it. Give more width or height."
        )
    missing = sorted({chr(int(found[1])) for words in said if (found := _MISSING.match(words))})
    return file.getvalue(), "" if ending == "svg" else "".join(missing)


@contextmanager
def _without_talk() -> Iterator[None]:
    """What finds and embeds fonts logs a line for each weight and table that a font does not have."""
    logs = [logging.getLogger(name) for name in ("fontTools.subset", "matplotlib.font_manager")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def check_needed() -> None:
    """Raise a SpecError unless what draws pictures is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise SpecError(f"Pictures need {error.name}, which is not installed: pip install 'gradrace[plots]'") from None
