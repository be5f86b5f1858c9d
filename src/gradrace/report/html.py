"""The standings as a fragment of HTML, for notebooks. Every text is escaped: labels come from users."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from gradrace.report.sentences import interval, number


def fragment(summary: Mapping[str, Any]) -> str:
    """The verdict, the line to paste and the standings."""
    recommendation = summary["recommendation"]
    parts = [f"<p><strong>{escape(recommendation['sentence'])}</strong></p>"]
    if recommendation["code"]:
        parts.append(f"<pre><code>{escape(recommendation['code'])}</code></pre>")
    if summary["standings"]:
        names = ("place", "contender", f"test {summary['workload']['metric']}", "95 % interval", "tied with")
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(cell)}</td>"
                for cell in (
                    str(row["place"]),
                    row["label"],
                    number(row["test"]["mean"]),
                    interval(row["test"]["interval"]),
                    ", ".join(row["tied_with"]),
                )
            )
            + "</tr>"
            for row in summary["standings"]
        )
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    parts += [f"<p>{escape(warning)}</p>" for warning in summary["warnings"]]
    return f'<div class="gradrace">{"".join(parts)}</div>'
