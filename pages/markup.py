"""Small pieces of Markdown that the made pages share."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, and an empty line after it; no lines where there are no rows."""
    if not cells:
        return []
    lines = [head, ["---"] * len(head), *cells]
    return [*(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines), ""]


def code(lines: Sequence[str], language: str = "text") -> list[str]:
    """Lines of code as a block, and an empty line after it."""
    return [f"```{language}", *lines, "```", ""]


def page(lines: Sequence[str]) -> str:
    """The text of a page."""
    return "\n".join(lines).rstrip() + "\n"
