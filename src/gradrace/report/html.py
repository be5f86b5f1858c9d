"""The standings, with pictures, as a fragment of HTML, for notebooks. Every text is escaped: labels come from users."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gradrace.report import others
from gradrace.report.sentences import interval, left_out, number


def fragment(summary: Mapping[str, Any], pictures: Sequence[tuple[str, bytes]] = ()) -> str:
    """The verdict, the line to paste, the standings, further metrics if there are any, and pictures.

    Args:
        summary: see ``gradrace.report.summarize``.
        pictures: titles and SVGs. They stand in image elements, in which nothing of theirs can run or be asked for, and
            whose names cannot clash with those of another picture.
    """
    recommendation = summary["recommendation"]
    parts = [f"<p><strong>{escape(recommendation['sentence'])}</strong></p>"]
    if recommendation["code"]:
        parts.append(f"<pre><code>{escape(recommendation['code'])}</code></pre>")
    if summary["standings"]:
        names = ("place", "contender", f"test {summary['workload']['metric']}", "95 % interval", "tied with")
        rows = [
            [
                str(row["place"]),
                row["label"],
                number(row["test"]["mean"]),
                interval(row["test"]["interval"]),
                ", ".join(row["tied_with"]),
            ]
            for row in summary["standings"]
        ]
        parts.append(_table(names, rows))
    head, beside = others.table(summary["standings"])
    if beside:
        parts.append(f"<p>Beside {escape(summary['workload']['metric'])}: other metrics of the test split.</p>")
        cells = [[name, *(f"{number(mean)} {interval(ends)}" for mean, ends in row)] for name, row in beside]
        parts.append(_table(head, cells))
        if sentence := left_out(summary["standings"]):
            parts.append(f"<p>{escape(sentence)}</p>")
    for title, svg in pictures:
        source = f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
        parts.append(f'<p>{escape(title)}</p><img alt="{escape(title)}" src="{source}" style="max-width: 100%">')
    parts += [f"<p>{escape(warning)}</p>" for warning in summary["warnings"]]
    return f'<div class="gradrace">{"".join(parts)}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
