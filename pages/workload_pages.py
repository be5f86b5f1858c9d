"""A page for each workload, out of its own file and the shipped evidence."""

from __future__ import annotations

from typing import Any

from markup import page, table

from gradrace.evidence import evidence
from gradrace.report.sentences import interval, listed, number
from gradrace.workloads import Workload, workloads


def pages() -> dict[str, str]:
    """Every workload's page and their index, by address."""
    known = workloads()
    rows = [[f"[{name}]({name}.md)", work.title, work.stands_for] for name, work in known.items()]
    index = [
        "# Workloads",
        "",
        "Every task that comes with gradrace. Each page is made of the workload's file and of the shipped evidence. "
        "[What was measured of all of them](../workloads.md).",
        "",
        *table(("name", "task", "stands for"), rows),
    ]
    return {"workloads/index.md": page(index), **{f"workloads/{name}.md": _page(work) for name, work in known.items()}}


def _page(work: Workload) -> str:
    metric = work.scored_by
    better = "more is better" if metric.direction == "max" else "less is better"
    facts = [
        ["stands for", work.stands_for],
        ["metric", f"{metric.name}, {better}"],
        ["target", "none" if work.target is None else number(work.target)],
        ["length", f"{work.steps} steps of {work.batch_size}"],
        ["order", "each batch is scored before it is learnt" if work.online else work.order],
        ["also scored", ", ".join(work.others) or "nothing"],
        ["data", work.source],
        ["terms", work.licence or "none needed"],
        ["fetched", listed([f"{wheel} ({wheel.megabytes:g} MB)" for wheel in work.wheels]) or "nothing"],
        ["extra", f"`gradrace[{work.extra}]`" if work.extra else "none"],
        ["suites", ", ".join(work.suites) or "none"],
    ]
    lines = [f"# {work.title[0].upper()}{work.title[1:]}", "", f"`gradrace race {work.name}`", ""]
    return page([*lines, *table(("", ""), facts), "## Evidence", "", *_evidence(work.name)])


def _evidence(name: str) -> list[str]:
    race: dict[str, Any] | None = evidence()["races"].get(name)
    if race is None:
        return ["The shipped evidence holds no race on it alone; [claims](../claims/index.md) may use it."]
    plan = race["plan"]
    rows = [
        [
            str(row["place"]),
            f"[{row['label']}](../optimizers/{row['optimizer']}.md)",
            f"{number(row['test']['mean'])} {interval(row['test']['interval'])}",
            listed(row["tied_with"]) or "nobody",
            f"`{row['code']}`",
        ]
        for row in race["standings"]
    ]
    return [
        f"{race['recommendation']['sentence']}",
        "",
        *table(("place", "contender", "test, with 95 % interval", "tied with", "line chosen"), rows),
        f"{plan['studies']} studies of {plan['trials']} trials each, {plan['seeds']} seeds, {plan['steps']} steps; "
        f"race {race['race']}. [All of the evidence](../evidence.md).",
    ]
