"""The pieces that pages in a terminal are laid out of."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def heading(words: str) -> Text:
    """A bold line after an empty one."""
    return Text(f"\n{words}", style="bold")


def indented(what: RenderableType) -> Padding:
    """Two columns from the left."""
    return Padding(what, (0, 0, 0, 2))


def bullet(words: str) -> Table:
    """A point of a list, whose further lines hang under its first."""
    row = Table.grid(padding=(0, 1))
    row.add_row("  -", Text(words))
    return row


def columns(*names: str | Text) -> Table:
    """A table without lines, by the names of its columns."""
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        made.add_column(name)
    return made


def line_of_code(code: str) -> Group:
    """A line to paste, between empty ones: never wrapped and never cut, however narrow the terminal is.

    Printed with ``crop=False``; inside a ``Padding`` it would be cut in spite of that.
    """
    return Group(Text(), Text(f"    {code}", style="bold green", no_wrap=True, overflow="ignore"), Text())
