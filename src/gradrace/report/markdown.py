"""The summary as Markdown: for a pull request, a wiki or a paper's notes. The same numbers as in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradrace.report.sentences import interval, number

_MARKED = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|~"})


def render(summary: Mapping[str, Any]) -> str:
    """The verdict, the line to paste, standings, pairs and warnings. Labels are escaped: they come from users."""
    recommendation, work, race = summary["recommendation"], summary["workload"], summary["race"]
    parts = [f"# {_text(work['name'])}: race {_text(race['id'])}", f"**{_text(recommendation['sentence'])}**"]
    if recommendation["code"]:
        parts.append(f"```python\n{recommendation['code']}\n```")
    if summary["standings"]:
        more = "higher is better" if work["direction"] == "max" else "lower is better"
        parts += [f"## Standings\n\nTest {_text(work['metric'])}, mean over studies; {more}.", _standings(summary)]
    if summary["pairs"]:
        parts += ["## Pairs", _pairs(summary)]
    if summary["warnings"]:
        parts += ["## To bear in mind", "\n".join(f"- {_text(warning)}" for warning in summary["warnings"])]
    plan = summary["plan"]
    parts.append(
        f"{plan['studies']} studies of {plan['trials']} trials of {plan['steps']} steps for each contender, confirmed "
        f"on {plan['seeds']} seeds; seed {plan['seed']}, gradrace {summary['gradrace']}."
    )
    return "\n\n".join(parts) + "\n"


def _standings(summary: Mapping[str, Any]) -> str:
    rows = [
        [
            str(row["place"]),
            row["label"],
            number(row["test"]["mean"]),
            interval(row["test"]["interval"]),
            number(row["validation"]["mean"]),
            ", ".join(f"{name}={value:.3g}" for name, value in (row["configuration"] or {}).items()) or "none works",
            f"{row['diverged']}/{row['trials']}",
            ", ".join(row["tied_with"]),
        ]
        for row in summary["standings"]
    ]
    head = ("place", "contender", "test", "95 % interval", "validation", "configuration", "diverged", "tied with")
    return _table(head, rows)


def _pairs(summary: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{pair['a']} - {pair['b']}",
            number(pair["difference"]),
            interval(pair["interval"]),
            number(pair["p_adjusted"]),
            {"a better": f"{pair['a']} better", "b better": f"{pair['b']} better"}.get(
                pair["decision"], pair["decision"]
            ),
        ]
        for pair in summary["pairs"]
    ]
    return _table(("pair", "difference", "interval", "p adjusted", "decision"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(words: str) -> str:
    """Text of which no character means anything to Markdown, on one line."""
    return " ".join(words.translate(_MARKED).split())
