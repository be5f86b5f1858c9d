"""The shipped evidence, and what it recommends, as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from gradrace.report import claims, suite_terminal
from gradrace.report.layout import heading, indented, line_of_code


def render(document: Mapping[str, Any]) -> RenderableType:
    """The suite with the primer's table, the claims in short, and what it was made with."""
    machine, settled = document["machine"], document["claims"]
    made = (
        f"Measured on {document['created'][:10]} with gradrace {document['gradrace']} and torch {machine['torch']} on "
        f"{machine['cores']} cores ({machine['processor']}, {machine['system']}), seed {document['seed']}, by: "
        f"{document['command']}. Nothing was raced for this table."
    )
    return Group(
        suite_terminal.render(document["suite"]),
        heading("Claims"),
        indented(claims.table(settled["claims"])),
        Text(f"\n{made}", style="dim"),
    )


def recommendation(document: Mapping[str, Any]) -> RenderableType:
    """The sentence, and the line to paste."""
    return Group(Text(f"\n{document['sentence']}"), line_of_code(document["code"]))
