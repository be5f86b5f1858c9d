"""A suite's summary as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gradrace.report import suite_sentences as sentences
from gradrace.report.layout import bullet, columns, heading, indented
from gradrace.report.sentences import interval, number

LEGEND = (
    "first alone: detectably better than all others; first, tied: nothing is detectably better; beaten: something is. "
    "best here on: it has the best mean. step: seconds of a training step over those of the cheapest, median over "
    "workloads; state: memory per parameter."
)
MOST_COLUMNS = 5
"""Contenders side by side: more would not fit into 120 columns."""


def render(suite: Mapping[str, Any]) -> RenderableType:
    """Verdict, the table, lines to paste, workloads, averages over them, ranks and warnings."""
    parts: list[RenderableType] = [heading(f"Suite {suite['suite']}"), indented(Text(suite["verdict"]))]
    parts += [heading("What each is said to suit, and what was found here"), indented(_claims(suite))]
    parts += [indented(Text(LEGEND, style="dim"))]
    parts += _lines_to_paste(suite)
    parts += [heading("Workloads: mean of the test values [place]"), *_workloads(suite)]
    if suite["ranks"]["workloads"]:
        parts += [heading("Across workloads"), indented(_across(suite))]
        parts += [indented(Text(line, style="dim")) for line in _how(suite)]
    if suite["probability_of_improvement"]:
        title = "How often a study of the row's contender ends better than one of the column's, over workloads"
        parts += [heading(title), *_improvements(suite)]
    if suite["warnings"]:
        parts += [heading("To bear in mind"), *(bullet(warning) for warning in suite["warnings"])]
    return Group(*parts)


def _claims(suite: Mapping[str, Any]) -> Table:
    contenders, counted = len(suite["contenders"]), suite["ranks"]["workloads"]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 1, 0), expand=True)
    for name, ratio in (("optimizer", None), ("idea", 5), ("said to suit", 4), ("best here on", 6)):
        table.add_column(name, ratio=ratio)
    for name in (f"of {counted} workload{'s' if counted != 1 else ''}", "step", "state"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in suite["table"]:
        uses = "\n".join(f"- {sentences.use(known, contenders)}" for known in row["best_uses"])
        cost = row["cost"]
        state = cost["state_bytes_per_parameter"]
        table.add_row(
            Text(row["label"], style="bold"),
            Text(row["idea"] or "-"),
            Text(row["use"] or "-"),
            Text(uses or "none"),
            Text(sentences.evidence(row["evidence"])),
            "-" if cost["step"] is None else f"{cost['step']:.2f}x",
            "-" if state is None else f"{state:.0f} B",
        )
    return table


def _lines_to_paste(suite: Mapping[str, Any]) -> list[RenderableType]:
    """Each contender's line, on lines of their own: they are long, and must not be broken."""
    rows = [row for row in suite["table"] if row["code"]]
    if not rows:
        return []
    width = max(len(row["label"]) for row in rows)
    lines = [
        Text.assemble(
            (f"{row['label']:{width}}  ", "bold"),
            (row["code"], "green"),
            (f"  # {row['code_from']}", "dim"),
            no_wrap=True,
            overflow="ignore",
        )
        for row in rows
    ]
    head = Text("PyTorch, as chosen on the workload where its learning rate is the median over workloads", style="dim")
    return [Text(), *(indented(line) for line in (head, *lines))]


def _workloads(suite: Mapping[str, Any]) -> Iterator[RenderableType]:
    for labels in _side_by_side(suite):
        table = columns("workload", "metric")
        for label in labels:
            table.add_column(Text(label), justify="right")
        for work in suite["workloads"]:
            by_label = {row["label"]: row for row in work["standings"]}
            better = "higher" if work["direction"] == "max" else "lower"
            rows = [by_label[label] for label in labels]
            cells = [
                Text(f"{number(row['test']['mean'])} [{row['place']}]", style="bold" if row["place"] == 1 else "")
                if work["works"]
                else "-"
                for row in rows
            ]
            table.add_row(Text(work["name"], style="bold"), Text(f"{work['metric']} ({better})"), *cells)
        yield indented(table)


def _side_by_side(suite: Mapping[str, Any]) -> Iterator[list[str]]:
    """The contenders that fit into one table, best mean rank first, until there are no more."""
    labels = [row["label"] for row in suite["table"]]
    for start in range(0, len(labels), MOST_COLUMNS):
        yield labels[start : start + MOST_COLUMNS]


def _across(suite: Mapping[str, Any]) -> Table:
    profiles = suite["profiles"]
    table = columns("contender", Text("mean rank", justify="right"), "interquartile mean", "its 95 % interval")
    for tau in profiles["taus"] if profiles["shares"] else ():
        table.add_column("fastest" if tau == 1 else f"in {tau:g}x", justify="right")
    if profiles["shares"]:
        table.add_column("speed score", justify="right")
    for label, rank in suite["ranks"]["mean"].items():
        average = suite["iqm"][label]
        shares = [f"{share:.0%}" for share in profiles["shares"].get(label, ())]
        score = [f"{profiles['scores'][label]:.2f}"] if profiles["shares"] else []
        table.add_row(
            Text(label, style="bold"),
            f"{rank:.2f}",
            f"{average['value']:.3f}",
            interval(average["interval"]),
            *shares,
            *score,
        )
    return table


def _how(suite: Mapping[str, Any]) -> list[str]:
    lines = [
        sentences.judged(suite["ranks"]),
        "Interquartile mean: of the normalized scores of all studies (0 the untrained model, 1 the best contender's "
        "mean), the mean of the middle half. Its interval covers luck on these workloads, and says nothing of others.",
    ]
    profiles = suite["profiles"]
    if profiles["shares"]:
        count = len(profiles["workloads"])
        lines.append(
            f"fastest, in 2x, ...: share of {count} workload{'s' if count != 1 else ''} whose target it reached in at "
            "most so many times the steps of the fastest there; speed score: the mean of that share over factors from "
            "1 to 4."
        )
    return lines


def _improvements(suite: Mapping[str, Any]) -> Iterator[RenderableType]:
    labels = [row["label"] for row in suite["table"]]
    known: dict[tuple[str, str], str] = {}
    for of in suite["probability_of_improvement"]:
        low, high = of["interval"] or (None, None)
        for key, chance, ends in (
            ((of["a"], of["b"]), of["probability"], (low, high)),
            (
                (of["b"], of["a"]),
                1 - of["probability"],
                (None if high is None else 1 - high, None if low is None else 1 - low),
            ),
        ):
            span = "" if ends[0] is None or ends[1] is None else f" [{ends[0]:.0%}, {ends[1]:.0%}]"
            known[key] = f"{chance:.0%}{span}"
    for beside in _side_by_side(suite):
        table = columns("")
        for label in beside:
            table.add_column(Text(label), justify="right")
        for row in labels:
            table.add_row(Text(row, style="bold"), *(known.get((row, column), "") for column in beside))
        yield indented(table)
