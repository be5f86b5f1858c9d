"""Optimizers, workloads and races as tables and cards in a terminal. Duck-typed: this package does not import torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from gradrace.report.layout import columns
from gradrace.report.sentences import number


def explanation(
    name: str, card: Any, code: str, space: Mapping[str, Any], hyperparameters: Mapping[str, Any]
) -> RenderableType:
    """An optimizer's card: idea, formula, real use, PyTorch line, hyperparameters, paper, differences, relatives."""
    table = columns("hyperparameter", "default", "meaning", "tuned over")
    for key, known in hyperparameters.items():
        table.add_row(key, number(known.default), known.meaning, _range(key, space.get(key)))
    relatives = [Text.assemble((f"{other}: ", "bold"), words) for other, words in card.relatives.items()]
    parts: list[tuple[str, list[RenderableType]]] = [
        ("Idea", [Text(card.idea)]),
        ("Formula (at each step, for each parameter w)", [Text(line) for line in card.formula]),
        ("Real use", [Text(card.use)]),
        ("PyTorch", [Text(code, style="green", no_wrap=True, overflow="ignore")]),
        ("Hyperparameters", [table]),
        ("Paper", [Text(card.paper), Text(card.link)]),
        ("Where it departs from the paper", [Text(line) for line in card.differences]),
        ("Relatives", [*relatives]),
    ]
    shown: list[RenderableType] = [Text(f"{card.title}  [{name}]", style="bold")]
    for heading, lines in ((heading, lines) for heading, lines in parts if lines):
        shown += [Text(f"\n{heading}", style="bold"), *(Padding(line, (0, 0, 0, 2)) for line in lines)]
    return Group(*shown)


def _range(name: str, space: Any) -> str:
    if space is None:
        return "not tuned"
    values = space.to_dict()
    if values["scale"] == "choice":
        return f"one of {', '.join(number(value) for value in values['values'])}"
    scale = "log" if values["scale"] == "log" else "linear"
    what = f"1 - {name}: " if values.get("one_minus") else ""
    wide = f", from {space.from_trials} trials on" if space.from_trials > 1 else ""
    return f"{what}{number(space.low)} to {number(space.high)} ({scale}{wide})"


def optimizers(known: Mapping[str, Any]) -> Table:
    """All optimizers, with their line of PyTorch."""
    table = columns("optimizer", "what it is", "PyTorch")
    for name, optimizer in known.items():
        table.add_row(Text(name, style="bold"), optimizer.card.title, Text(optimizer.code({}), no_wrap=True))
    return table


def family_tree(known: Mapping[str, Any]) -> Tree:
    """Which optimizer is a variation of which, and what is different."""
    shown = Tree(Text("optimizers"))

    def grow(branch: Tree, parent: str) -> None:
        for name, optimizer in known.items():
            if optimizer.family is not None and optimizer.family[0] == parent:
                grow(branch.add(Text.assemble((name, "bold"), f": {optimizer.family[1]}")), name)

    for name, optimizer in known.items():
        if optimizer.family is None:
            grow(shown.add(Text.assemble((name, "bold"), f": {optimizer.card.title}")), name)
    return shown


def findings(found: Iterable[Any]) -> RenderableType:
    """What ``gradrace check`` found: one line for each check that passed, one for each sentence of what failed."""
    table = columns("", "check", "")
    for finding in found:
        word = Text("ok", style="green") if finding.passed else Text("failed", style="bold red")
        table.add_row(word, Text(finding.check, no_wrap=True), Text(finding.sentence))
    return table


def examined(found: Iterable[Any]) -> RenderableType:
    """What ``gradrace doctor`` saw: one line for each thing, with advice below what is not as it should be."""
    found = list(found)
    table = columns("", "what", "found, and what to do")
    words = {"ok": ("ok", "green"), "hint": ("hint", "yellow"), "fault": ("fault", "bold red")}
    for known in found:
        word, style = words[known.state]
        table.add_row(Text(word, style=style), Text(known.what, no_wrap=True), Text(known.found))
        if known.advice:
            table.add_row("", "", Text(f"-> {known.advice}", style="bold"))
    faults, hints = (sum(known.state == state for known in found) for state in ("fault", "hint"))
    end = "Nothing stands in the way of a race." if not faults else "Races fail here until the faults are mended."
    return Group(table, Text(f"\nFaults: {faults}, hints: {hints}. {end}"))


def workloads(known: Mapping[str, Any], further: str) -> RenderableType:
    """All workloads, with what they stand for, and below them a sentence on those that are not in the table."""
    table = columns("workload", "task", "stands for", "metric", "steps", "batch")
    for name, work in known.items():
        metric = f"{work.scored_by.name} ({work.scored_by.direction})"
        table.add_row(
            Text(name, style="bold"), work.title, work.stands_for, metric, str(work.steps), str(work.batch_size)
        )
    return Group(table, Text(f"\n{further}"))


def data(known: Mapping[str, Any]) -> RenderableType:
    """The wheels that workloads read their data from, and whether they are there."""
    table = columns("workload", "wheel", "MB", "cached", "terms of use")
    for name, work in known.items():
        for wheel in work.wheels:
            cached = Text("yes", style="green") if wheel.cached else Text("no")
            table.add_row(
                Text(name, style="bold"),
                Text(str(wheel), no_wrap=True),
                f"{wheel.megabytes:g}",
                cached,
                Text(wheel.terms),
            )
    if table.row_count:
        return table
    names = ", ".join(known)
    return Text(f"{names}: {'needs' if len(known) == 1 else 'need'} no data that must be fetched.")


def races(records: Iterable[Any]) -> RenderableType:
    """The races of a store."""
    table = columns("race", "created", "status", "workload", "contenders", "studies x trials")
    for record in records:
        labels = ", ".join(contender["label"] for contender in record.spec["contenders"])
        numbers = record.spec["race"]
        table.add_row(
            Text(record.id, style="bold"),
            record.created[:19].replace("T", " "),
            record.status,
            Text(record.plan["workload"]["name"]),
            Text(labels),
            f"{numbers['studies']} x {numbers['trials']}",
        )
    return table if table.row_count else Text("This store holds no races yet.")
