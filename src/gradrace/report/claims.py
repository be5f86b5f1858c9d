"""What came of claims, as a person reads it in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gradrace.report.layout import columns, indented
from gradrace.report.sentences import listed

STYLES = {"holds": "bold green", "does not hold": "bold red", "undecided": "bold yellow"}
MARKS = {True: Text("yes", style="green"), False: Text("no", style="bold red"), None: Text("open", style="yellow")}


def render(document: Mapping[str, Any]) -> RenderableType:
    """The count of each decision, a table of claims, then each claim with its parts."""
    found = document["claims"]
    counts = Counter(known["decision"] for known in found)
    words = listed(
        [f"{counts[decision]} {_verb(decision, counts[decision])}" for decision in STYLES if counts[decision]]
    )
    plural = "s" if len(found) != 1 else ""
    parts: list[RenderableType] = [
        Text(f"\nOf {len(found)} claim{plural} {words}.", style="bold"),
        Text(),
        table(found),
    ]
    for known in found:
        parts += _claim(known)
    if document["quick"]:
        parts.append(
            Text("\nThese were the short races (--quick). The full ones have more trials and steps.", style="dim")
        )
    return Group(*parts)


def table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One line for each claim: its name, its decision and what it says."""
    rows = columns("claim", "decision", "what it says")
    for known in found:
        decision = Text(known["decision"], style=STYLES[known["decision"]], no_wrap=True)
        rows.add_row(Text(known["claim"], style="bold", no_wrap=True), decision, Text(known["title"]))
    return rows


def statements(known: Mapping[str, Any]) -> RenderableType:
    """All claims with their source and what would refute them, before any race. Duck-typed."""
    parts: list[RenderableType] = []
    for name, claim in known.items():
        parts.append(Text.assemble((f"\n{name}", "bold"), f": {claim.title}"))
        lines = (claim.statement, f"Source: {claim.source}.", f"Refuted if: {claim.refuted_by}")
        parts += [indented(Text(line)) for line in lines]
    return Group(*parts)


def _verb(decision: str, count: int) -> str:
    if decision == "undecided":
        return "is undecided" if count == 1 else "are undecided"
    if decision == "holds":
        return "holds" if count == 1 else "hold"
    return "does not hold" if count == 1 else "do not hold"


def _claim(known: Mapping[str, Any]) -> list[RenderableType]:
    heading = Text.assemble((f"\n{known['claim']}", "bold"), ": ", (known["decision"], STYLES[known["decision"]]))
    table = Table.grid(padding=(0, 2, 0, 0))
    for check in known["checks"]:
        words = f"{check['part']}: {check['evidence']}."
        if check["more"]:
            words += f" {check['more']}"
        table.add_row(MARKS[check["so"]], Text(words))
    lines = (known["statement"], f"Source: {known['source']}.", f"Refuted if: {known['refuted_by']}")
    return [heading, *(indented(Text(line, style="dim")) for line in lines), indented(table)]
