"""Tables for papers: the numbers of the summary, any label as text, and a race that is not final says so."""

from __future__ import annotations

import re
from typing import Any

import pytest
from paged import HOSTILE, ODD, race
from stored_race import A, confirmed, tuned

from gradrace.evidence import evidence
from gradrace.report import latex, markdown, summarize, tables
from gradrace.report.sentences import interval, number

STRANGE = "a_b $x$ & 50% #1 {c} \\input{/etc/passwd} ~^ --''[*]|<>`\"\n%\x00"


def plain(words: str) -> str:
    """What LaTeX prints of what ``text`` wrote, by hand."""
    for macro, character in (
        (r"\textbackslash{}", "\0"), (r"\textasciicircum{}", "^"), (r"\textasciitilde{}", "~"), (r"\textless{}", "<"),
        (r"\textgreater{}", ">"), (r"\textbar{}", "|"), (r"\textasciigrave{}", "`"), (r"\textquotedbl{}", '"'),
        ("{[}", "["), ("{]}", "]"), ("{*}", "*"), ("-{}-", "--"), ("'{}'", "''"),
    ):  # fmt: skip
        words = words.replace(macro, character)
    return re.sub(r"\\([{}$&#%_])", r"\1", words).replace("\0", "\\")


def bodies(text: str) -> list[list[list[str]]]:
    """The cells between \\midrule and \\bottomrule of each table."""
    found = re.findall(r"\\midrule\n(.*?)\n\s*\\bottomrule", text, re.DOTALL)
    return [
        [re.split(r"(?<!\\) & ", line.strip().removesuffix(" \\\\")) for line in body.split("\n")] for body in found
    ]


def unescaped(text: str) -> str:
    """What of a LaTeX text has a meaning there: without comments and without escaped characters."""
    return re.sub(r"\\[{}$&#%_\\]", "", re.sub(r"(?m)(?<!\\)%.*$", "", text))


def test_the_numbers_are_those_of_the_summary_and_of_markdown() -> None:
    summary = summarize(*race())
    standings, pairs = bodies(latex.render(summary))
    assert len(standings) == 2
    for row, cells in zip(summary["standings"], standings, strict=True):
        shown = [plain(cell.replace("$", "")) for cell in cells]
        assert shown[:4] == [
            str(row["place"]),
            row["label"],
            number(row["test"]["mean"]),
            interval(row["test"]["interval"]),
        ]
        assert shown[6:] == [f"{row['diverged']}/{row['trials']}", ", ".join(row["tied_with"])]
    (pair,) = summary["pairs"]
    assert [plain(cell.replace("$", "")) for cell in pairs[0]] == [
        "a - b", number(pair["difference"]), interval(pair["interval"]),
        number(pair["p_adjusted"]).replace("e-05", r" \times 10^{-5}"), "a better",
    ]  # fmt: skip
    written = markdown.render(summary).replace("\\", "")
    for table in tables.of_race(summary):
        for cells in table.rows:
            assert f"| {' | '.join(cells)} |" in written


def test_ties_are_shown() -> None:
    entered, _, known = race()
    tied = summarize(entered, [*tuned(), *confirmed(A, A)], known)
    (first, second), _ = bodies(latex.render(tied))
    assert (first[-1], second[-1]) == ("b", "a")
    assert first[0] == second[0] == "$1$"
    assert "No detectable difference" in latex.render(tied)


def test_any_label_is_text() -> None:
    assert plain(latex.text(STRANGE)) == " ".join(STRANGE.replace("\x00", "").split())
    assert "--" not in latex.text("a--b")
    shown = latex.render(summarize(*ODD["hostile"]()))
    assert HOSTILE in {plain(cells[1]) for cells in bodies(shown)[0]}
    meaning = unescaped(shown)
    assert "<" not in meaning
    assert meaning.count("{") == meaning.count("}")
    assert meaning.count("$") % 2 == 0


@pytest.mark.parametrize("label", ["[1ex]", "*", "%", "\\", "a\nb", "& c"])
def test_no_label_ends_a_row_or_begins_an_option(label: str) -> None:
    table = tables.Table("t", label, [(label, "text"), ("n", "number")], [[label, "-1.5e-07"], [label, "[2, 3]"]])
    lines = latex._table(table, label).splitlines()
    rows = [line for line in lines if line.endswith("\\\\")]
    assert len(rows) == 3
    for row in rows:
        assert not row.strip().startswith(("[", "*", "%"))
        assert len(re.split(r"(?<!\\) & ", row)) == 2
    assert r"$-1.5 \times 10^{-7}$" in rows[1]
    assert "{[}$2$, $3${]}" in rows[2]


@pytest.mark.parametrize("name", ODD)
def test_every_odd_race_can_be_written(name: str) -> None:
    summary = summarize(*ODD[name]())
    for shown in (latex.render(summary), markdown.render(summary)):
        assert "None" not in shown
        assert "nan" not in shown
    unfinished = summary["race"]["status"] != "finished"
    assert ("\\begin{tabular}" in latex.render(summary)) != unfinished
    if unfinished:
        sentence = summary["recommendation"]["sentence"]
        assert f"\\emph{{{sentence}}}" in latex.render(summary)
        assert sentence in markdown.render(summary)
        assert "gradrace resume" in sentence


def test_the_evidence_has_all_its_tables_in_both() -> None:
    document = evidence()
    found = tables.of_evidence(document)
    assert [table.name for table in found] == ["primer", "workloads", "across", "claims"]
    shown, written = latex.evidence(document), markdown.evidence(document)
    assert [len(body) for body in bodies(shown)] == [len(table.rows) for table in found]
    for table in found:
        assert {len(row) for row in table.rows} == {len(table.columns)}
        for row in table.rows:
            assert any(line.startswith(f"| {row[0].replace('_', chr(92) + '_')} |") for line in written.splitlines())
    suite: dict[str, Any] = document["suite"]
    assert plain(latex.text(suite["verdict"])) in plain(shown)
    for label, rank in suite["ranks"]["mean"].items():
        assert any(cells[:2] == [label, f"${rank:.2f}$"] for cells in bodies(shown)[2])
