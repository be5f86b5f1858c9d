"""The tables of a race or of the evidence as LaTeX, to be put into a paper: with booktabs, and all text escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gradrace.report import tables
from gradrace.report.tables import Table

PROSE = 0.82
"""Share of the text's width that all columns of sentences have together."""

_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # after the end of a row, LaTeX would read these as options of it
    "−": r"$-$",
}  # fmt: skip
_SPECIAL = str.maketrans(_ESCAPED)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")


def render(summary: Mapping[str, Any]) -> str:
    """Standings, with ties, and pairs. Of a race that has not finished a sentence that says so, and no numbers."""
    race, work = summary["race"], summary["workload"]
    sentence = summary["recommendation"]["sentence"]
    made = f"Race {race['id']} on {work['name']}, gradrace {summary['gradrace']}, seed {summary['plan']['seed']}."
    found = tables.of_race(summary)
    if not found:
        return _file(made, [f"\\emph{{{text(sentence)}}}"])
    first, *rest = found
    with_verdict = first._replace(title=f"{work['name']}: {first.title} {sentence}")
    notes = [f"% To bear in mind: {_line(warning)}" for warning in summary["warnings"]]
    return _file(made, ["\n".join(notes), *(_table(table, race["id"]) for table in (with_verdict, *rest))])


def evidence(document: Mapping[str, Any]) -> str:
    """The tables of the shipped evidence; the suite's verdict is the first one's caption."""
    first, *rest = tables.of_evidence(document)
    suite = document["suite"]
    with_verdict = first._replace(title=f"{first.title} {suite['verdict']}")
    made = f"Suite {suite['suite']}, measured on {document['created'][:10]} with gradrace {document['gradrace']}."
    return _file(made, [_table(table, suite["suite"]) for table in (with_verdict, *rest)])


def text(words: str) -> str:
    r"""Text of which no character means anything to LaTeX, on one line.

    >>> print(text("50 % of a_b"))
    50 \% of a\_b
    """
    return _line(words).translate(_SPECIAL).replace("--", "-{}-").replace("''", "'{}'")


def _line(words: str) -> str:
    """Words on one line: a comment ends with its line. What cannot be printed is left out."""
    return "".join(character for character in " ".join(words.split()) if character.isprintable())


def _file(made: str, parts: Sequence[str]) -> str:
    head = (
        f"% {_line(made)}\n% Needs \\usepackage{{booktabs}}; for text that is not in Latin script, XeLaTeX or LuaLaTeX."
    )
    return "\n\n".join([head, *(part for part in parts if part)]) + "\n"


def _table(table: Table, of: str) -> str:
    prose = sum(kind == "prose" for _, kind in table.columns)
    wide = f"p{{{PROSE / max(1, prose):.2f}\\textwidth}}"
    shapes = {"number": "r", "text": "l", "prose": wide}
    columns = "".join(shapes[kind] for _, kind in table.columns)
    kinds = [kind for _, kind in table.columns]
    rows = [" & ".join(_cell(cell, kind) for cell, kind in zip(row, kinds, strict=True)) for row in table.rows]
    lines = [
        f"\\begin{{table{'*' if prose > 1 else ''}}}",
        "  \\centering\\small",
        f"  \\caption{{{text(table.title)}}}",
        f"  \\label{{tab:gradrace-{re.sub('[^A-Za-z0-9-]', '-', of)}-{table.name}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        f"    {' & '.join(text(name) for name, _ in table.columns)} \\\\",
        "    \\midrule",
        *(f"    {row} \\\\" for row in rows),
        "    \\bottomrule",
        "  \\end{tabular}",
        f"\\end{{table{'*' if prose > 1 else ''}}}",
    ]
    return "\n".join(lines)


def _cell(words: str, kind: str) -> str:
    """A cell; numbers have the minus and the powers of ten of mathematics."""
    if kind != "number":
        return text(words)
    return _NUMBER.sub(lambda found: f"${_number(found[0])}$", words).replace("[", "{[}").replace("]", "{]}")


def _number(digits: str) -> str:
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa} \\times 10^{{{int(exponent)}}}" if exponent else mantissa
