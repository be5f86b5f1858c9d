"""The tables of a race and of the evidence, cell by cell: what Markdown and LaTeX both show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gradrace.report import suite_sentences
from gradrace.report.sentences import interval, number

Kind = Literal["text", "number", "prose"]
"""Of a column: words or names, numbers and intervals, or sentences that take several lines."""


class Table(NamedTuple):
    """A table of texts. ``name`` tells it from others of its race; ``columns`` are their names and kinds."""

    name: str
    title: str
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Sequence[str]]


def of_race(summary: Mapping[str, Any]) -> list[Table]:
    """Standings and pairs; none of a race that has not finished."""
    work = summary["workload"]
    better = "higher is better" if work["direction"] == "max" else "lower is better"
    found = []
    if summary["standings"]:
        title = f"Test {work['metric']}, mean over studies; {better}."
        found.append(Table("standings", title, _STANDINGS, [_standing(row) for row in summary["standings"]]))
    if summary["pairs"]:
        title = f"Differences in test {work['metric']}, with intervals that hold for all pairs at once."
        found.append(Table("pairs", title, _PAIRS, [_pair(pair) for pair in summary["pairs"]]))
    return found


_STANDINGS: tuple[tuple[str, Kind], ...] = (
    ("place", "number"), ("contender", "text"), ("test", "number"), ("95 % interval", "number"),
    ("validation", "number"), ("configuration", "text"), ("diverged", "number"), ("tied with", "text"),
)  # fmt: skip

_PAIRS: tuple[tuple[str, Kind], ...] = (
    ("pair", "text"), ("difference", "number"), ("interval", "number"), ("p adjusted", "number"), ("decision", "text"),
)  # fmt: skip


def _standing(row: Mapping[str, Any]) -> list[str]:
    return [
        str(row["place"]),
        row["label"],
        number(row["test"]["mean"]),
        interval(row["test"]["interval"]),
        number(row["validation"]["mean"]),
        "none works"
        if row["configuration"] is None
        else ", ".join(f"{name}={value:.3g}" for name, value in row["configuration"].items()),
        f"{row['diverged']}/{row['trials']}",
        ", ".join(row["tied_with"]),
    ]


def _pair(pair: Mapping[str, Any]) -> list[str]:
    better: dict[str, str] = {"a better": f"{pair['a']} better", "b better": f"{pair['b']} better"}
    return [
        f"{pair['a']} - {pair['b']}",
        number(pair["difference"]),
        interval(pair["interval"]),
        number(pair["p_adjusted"]),
        better.get(pair["decision"]) or pair["decision"],
    ]


def of_evidence(document: Mapping[str, Any]) -> list[Table]:
    """The primer's table with what was measured, the means behind it, averages over workloads, and the claims."""
    suite = document["suite"]
    labels = [row["label"] for row in suite["table"]]
    said = "What each is said to suit, and what was found."
    means = "Mean of the test values [place]."
    across = "Over workloads: mean rank, and the interquartile mean of normalized scores with its 95 % interval."
    return [
        Table("primer", said, _PRIMER, [_said(suite, row) for row in suite["table"]]),
        Table(
            "workloads",
            means,
            [("workload", "text"), ("metric", "text"), *((label, "number") for label in labels)],
            [_workload(work, labels) for work in suite["workloads"]],
        ),
        Table("across", across, _ACROSS, [_average(suite, label) for label in suite["ranks"]["mean"]]),
        Table(
            "claims",
            "What came of the claims.",
            [("claim", "text"), ("decision", "text"), ("what it says", "prose")],
            [[known["claim"], known["decision"], known["title"]] for known in document["claims"]["claims"]],
        ),
    ]  # fmt: skip


_PRIMER: tuple[tuple[str, Kind], ...] = (
    ("optimizer", "text"), ("idea", "prose"), ("said to suit", "prose"), ("best here on", "prose"),
    ("on all workloads", "prose"), ("step", "number"), ("state", "number"),
)  # fmt: skip

_ACROSS: tuple[tuple[str, Kind], ...] = (
    ("contender", "text"), ("mean rank", "number"), ("interquartile mean", "number"), ("95 % interval", "number"),
)  # fmt: skip


def _said(suite: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    contenders, cost = len(suite["contenders"]), row["cost"]
    state = cost["state_bytes_per_parameter"]
    return [
        row["label"],
        row["idea"] or "-",
        row["use"] or "-",
        "; ".join(suite_sentences.use(known, contenders) for known in row["best_uses"]) or "none",
        ", ".join(suite_sentences.evidence(row["evidence"]).splitlines()),
        "-" if cost["step"] is None else f"{cost['step']:.2f}x",
        "-" if state is None else f"{state:.0f} B",
    ]


def _workload(work: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    rows = {row["label"]: row for row in work["standings"]}
    better = "higher" if work["direction"] == "max" else "lower"
    cells = [f"{number(rows[label]['test']['mean'])} [{rows[label]['place']}]" for label in labels]
    return [work["name"], f"{work['metric']} ({better})", *(cells if work["works"] else ["-"] * len(labels))]


def _average(suite: Mapping[str, Any], label: str) -> list[str]:
    average = suite["iqm"][label]
    return [label, f"{suite['ranks']['mean'][label]:.2f}", f"{average['value']:.3f}", interval(average["interval"])]
