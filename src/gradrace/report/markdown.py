"""Summaries as Markdown: for a pull request, a wiki or a paper's notes. The same numbers as in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradrace.report import tables
from gradrace.report.tables import Table

_MARKED = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|~"})


def render(summary: Mapping[str, Any]) -> str:
    """The verdict, the line to paste, standings, pairs and warnings. Labels are escaped: they come from users."""
    recommendation, work, race = summary["recommendation"], summary["workload"], summary["race"]
    parts = [f"# {_text(work['name'])}: race {_text(race['id'])}", f"**{_text(recommendation['sentence'])}**"]
    if recommendation["code"]:
        parts.append(f"```python\n{recommendation['code']}\n```")
    for table in tables.of_race(summary):
        parts += [f"## {table.name.title()}\n\n{_text(table.title)}", _table(table)]
    if summary["warnings"]:
        parts += ["## To bear in mind", "\n".join(f"- {_text(warning)}" for warning in summary["warnings"])]
    plan = summary["plan"]
    if summary["imported"]:
        parts.append(" ".join(map(_text, summary["imported"]["how"])))
        return "\n\n".join(parts) + "\n"
    parts.append(
        f"{plan['studies']} studies of {plan['trials']} trials of {plan['steps']} steps for each contender, confirmed "
        f"on {plan['seeds']} seeds; seed {plan['seed']}, gradrace {summary['gradrace']}."
    )
    return "\n\n".join(parts) + "\n"


def evidence(document: Mapping[str, Any]) -> str:
    """The shipped evidence: the suite's verdict and its tables, and what came of the claims."""
    parts = [f"# Suite {_text(document['suite']['suite'])}", f"**{_text(document['suite']['verdict'])}**"]
    for table in tables.of_evidence(document):
        parts += [f"## {table.name.title()}\n\n{_text(table.title)}", _table(table)]
    parts.append(f"Measured on {document['created'][:10]} with gradrace {document['gradrace']}.")
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    names = [_text(name) for name, _ in table.columns]
    lines = [names, ["---"] * len(names), *([_text(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(words: str) -> str:
    """Text of which no character means anything to Markdown, on one line."""
    return " ".join(words.translate(_MARKED).split())
