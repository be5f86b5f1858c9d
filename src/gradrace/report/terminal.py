"""The summary as a person reads it in a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradrace.report import others
from gradrace.report.layout import bullet, columns, heading, indented, line_of_code
from gradrace.report.sentences import interval, left_out, number, percent
from gradrace.report.sentences import target as target_words

PLAIN_WIDTH = 130
"""Columns of what is printed where there is no terminal whose width it would have to fit."""

_FEW_COLUMNS = 3

SURE = 0.95
"""The level of an interval that needs no excuse."""


def as_text(what: RenderableType) -> str:
    """What a terminal would show, as plain text without colours."""
    page = io.StringIO()
    # In a notebook rich would show what is printed here below the cell, and put nothing into the file.
    plain = Console(
        file=page, width=PLAIN_WIDTH, color_system=None, legacy_windows=False, force_jupyter=False, force_terminal=False
    )
    plain.print(what, crop=False)
    return "\n".join(line.rstrip() for line in page.getvalue().rstrip().split("\n"))


def render(summary: Mapping[str, Any]) -> RenderableType:
    """Verdict, line to paste, standings, pairs, warnings and how it was judged."""
    parts: list[RenderableType] = []
    recommendation = summary["recommendation"]
    parts += [heading("Verdict"), indented(Text(recommendation["sentence"]))]
    if recommendation["code"]:
        parts.append(line_of_code(recommendation["code"]))
    if summary["standings"]:
        parts += [heading(_standings_title(summary)), indented(_standings(summary))]
        parts += _others(summary)
        parts += [heading("Beside the verdict: how each contender got there"), indented(_beside(summary))]
        parts += [bullet(line) for line in _legend(summary)]
    if summary["pairs"]:
        parts += [heading("Pairs"), indented(_pairs(summary))]
    if summary["warnings"]:
        parts.append(heading("To bear in mind"))
        parts += [bullet(warning) for warning in summary["warnings"]]
    parts += [heading("How it was judged"), *(indented(Text(line)) for line in _how(summary))]
    return Group(*parts)


def _standings_title(summary: Mapping[str, Any]) -> str:
    work = summary["workload"]
    more = "higher is better" if work["direction"] == "max" else "lower is better"
    bounded = any(row["test"]["interval"] for row in summary["standings"])
    shown = "mean over studies" + (" and its 95 % interval" if bounded else "")
    return f"Standings on {work['name']}: test {work['metric']} ({more}), {shown}"


def _standings(summary: Mapping[str, Any]) -> Table:
    table = columns("place", "contender", "test", "interval", "configuration", "tied with")
    for name in ("diverged", "step", "state"):
        table.add_column(name, justify="right")
    for row in summary["standings"]:
        table.add_row(
            str(row["place"]),
            Text(row["label"], style="bold"),
            number(row["test"]["mean"]),
            interval(row["test"]["interval"]),
            Text(_configuration(row["configuration"])),
            Text(_ties(row, summary)),
            f"{row['diverged']}/{row['trials']}",
            _with_unit(row["step_seconds"], "{:.2f} ms", 1e3),
            _with_unit(row["state_bytes_per_parameter"], "{:.0f} B"),
        )
    return table


def _beside(summary: Mapping[str, Any]) -> Table:
    """What decides nothing, and tells how hard a contender is to tune, how fast it is and how far luck goes."""
    rows, trials = summary["standings"], summary["plan"]["trials"]
    table = columns("contender", "safe lr", "width", "best, 1 trial")
    counts = (1, trials) if trials > 1 else (1,)
    several = (f"{trials} trials",) if trials > 1 else ()
    for name in (*several, "steps to target", "seconds", "tuning / seeds"):
        table.add_column(name)
    regret = any(row["halving_regret"] for row in rows)
    if regret:
        table.add_column("halving costs")
    for row in rows:
        lost = row["halving_regret"]
        cells = [
            _range(row["lr_safe_range"]),
            _width(row["lr_robustness_decades"], row["lr_robustness_interval"]),
            *("-" if (chance := row["probability_best"].get(str(n))) is None else percent(chance) for n in counts),
            _until(row["steps_to_target"], row["steps_to_target_interval"], row["target_reached"]),
            _with_unit(row["seconds_to_target"], "{:.2g}"),
            _luck(row["luck"]),
        ]
        if regret:
            cells.append("-" if lost is None else f"{number(lost['mean'])} (most {number(lost['worst'])})")
        table.add_row(Text(row["label"], style="bold"), *cells)
    return table


def _legend(summary: Mapping[str, Any]) -> list[str]:
    """What the columns of the table beside the verdict mean, as far as they have anything to show."""
    rows, trials, step = summary["standings"], summary["plan"]["trials"], summary["budget"]["at_step"]
    lines = []
    if not summary["imported"] or any(row["lr_safe_range"] for row in rows):
        lines.append(
            f"safe lr: learning rates around the best one whose trials scored within 5 % of it at step {step} (the "
            "last that all trials saw), on average over studies. width: how many factors of ten they span (0.3 is a "
            "factor of 2, 1 one of 10), from the rates tried; the wider, the easier to tune."
        )
    if any(row["probability_best"] for row in rows):
        lines.append(
            "best: chance that a trial at random, "
            + (f"or the best of {trials}, " if trials > 1 else "")
            + f"beats that of every other contender, on the validation split at step {step}."
        )
    if summary["target"] is not None:
        lines.append(_target_legend(summary))
    if any(_luck(row["luck"]) != "-" for row in rows):
        lines.append(
            "tuning / seeds: of the variance of its test scores, the share that came from tuning (which trials were "
            "drawn, which was chosen) and from seeds (initial weights, order of batches)."
        )
    if any(row["halving_regret"] for row in rows):
        lines.append(
            f"halving costs: how much validation {summary['workload']['metric']} a study would have lost on average, "
            "had half of its trials been dropped at a quarter of the steps and half of the rest at half of them."
        )
    return lines


def _target_legend(summary: Mapping[str, Any]) -> str:
    words = target_words(summary["target"], summary["workload"]["metric"])
    line = f"target: {words}. Steps and seconds until half of a contender's runs reached it, and how many runs did."
    levels = {row["steps_to_target_level"] for row in summary["standings"] if row["steps_to_target_level"] is not None}
    if levels:
        (level,) = levels
        line += f" In brackets: between these lies the true median, with a certainty of {percent(level)}"
        line += " (95 % takes 6 studies)." if level < SURE else "."
    return line


def _others(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Further metrics of the test split, if there are any; as several tables where one would have too many columns."""
    head, rows = others.table(summary["standings"])
    if not rows:
        return []
    title = f"Beside {summary['workload']['metric']}: other metrics of the test split, which decide nothing"
    parts: list[RenderableType] = [heading(title)]
    for start in range(1, len(head), others.MOST_COLUMNS):
        part = slice(start, start + others.MOST_COLUMNS)
        # Side by side there is room for few; the interval of more stands below the mean.
        gap = " " if len(head[part]) <= _FEW_COLUMNS else "\n"
        table = columns(head[0], *map(Text, head[part]))
        for name, cells in rows:
            shown = cells[start - 1 : start - 1 + others.MOST_COLUMNS]
            table.add_row(
                Text(name, style="bold"), *(f"{number(mean)}{gap}{interval(ends)}".strip() for mean, ends in shown)
            )
        parts.append(Padding(table, (0 if start == 1 else 1, 0, 0, 2)))
    if sentence := left_out(summary["standings"]):
        parts.append(indented(Text(sentence)))
    return parts


def _ties(row: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    others = len(summary["standings"]) - 1
    return "all others" if others > 1 and len(row["tied_with"]) == others else ", ".join(row["tied_with"])


def _pairs(summary: Mapping[str, Any]) -> Table:
    table = columns("pair", "difference", "interval", "p adjusted", "decision", "studies to decide")
    for pair in summary["pairs"]:
        decision: str = pair["decision"]
        for side in ("a", "b"):
            decision = decision.replace(f"{side} better", f"{pair[side]} better")
        table.add_row(
            Text(f"{pair['a']} - {pair['b']}"),
            number(pair["difference"]),
            interval(pair["interval"]),
            number(pair["p_adjusted"]),
            Text(decision, style="" if pair["decision"].startswith("no ") else "bold"),
            f"about {pair['studies_to_decide']}" if pair["studies_to_decide"] else "",
        )
    return table


def _how(summary: Mapping[str, Any]) -> list[str]:
    plan, cost, machine = summary["plan"], summary["cost"], summary["machine"]
    if summary["imported"]:
        return [*summary["imported"]["how"], f"Race {summary['race']['id']}, gradrace {summary['gradrace']}."]
    halving = "halved twice on the way" if plan["halving"] else "all to the end"
    currency = "gradients" if plan["currency"] == "gradients" else "seconds of measured step time"
    return [
        f"{len(plan['contenders'])} contenders, each with {plan['studies']} studies of {plan['trials']} trials of "
        f"{plan['steps']} steps ({halving}); equal budgets in {currency}.",
        *_around(plan),
        f"Each study's choice was trained again on {plan['seeds']} fresh seeds and "
        f"{summary['workload'].get('tested', 'scored on the test split')}.",
        f"{cost['trials']} trials, {cost['trial_steps']:,} trial-steps"
        + (f", {cost['seconds']:.1f} s" if cost["seconds"] is not None else "")
        + f" on {machine['cores']} cores; engine: {_engine(plan)}. {plan['reason']}",
        *_measured(plan),
        f"Race {summary['race']['id']}, seed {plan['seed']}, gradrace {summary['gradrace']}, torch {machine['torch']}.",
    ]


def _measured(plan: Mapping[str, Any]) -> list[str]:
    if not plan["parameters"]:
        return []
    return [
        f"step: one training step with the optimizer on a model of {plan['parameters']:,} parameters, alone. "
        "state: memory per parameter."
    ]


def _engine(plan: Mapping[str, Any]) -> str:
    return plan["engine"] + (", compiled" if plan["compiled"] else "")


def profile(seconds: Mapping[str, float], meanings: Mapping[str, str]) -> RenderableType:
    """Where the seconds of a race went, and their sum."""
    total = sum(seconds.values())
    table = columns("", Text("seconds", justify="right"), Text("share", justify="right"), "what")
    for name, spent in seconds.items():
        table.add_row(name, f"{spent:.2f}", f"{spent / total:.1%}" if total else "-", meanings.get(name, "all else"))
    table.add_row("total", f"{total:.2f}", "", "wall time, in which what lanes do is counted as their mean")
    return table


def _around(plan: Mapping[str, Any]) -> list[str]:
    """What the race puts around every rule, if anything."""
    names = ("warmup", "clip_norm", "decoupled_weight_decay", "ema")
    parts = [f"{plan['schedule']} schedule", *(f"{name} {plan[name]:g}" for name in names if plan[name])]
    return [f"Around every rule: {', '.join(parts)}."] if len(parts) > 1 or plan["schedule"] != "constant" else []


def _configuration(values: Mapping[str, float] | None) -> str:
    if values is None:
        return "none works"
    return ", ".join(f"{name}={value:.3g}" for name, value in values.items())


def _with_unit(value: float | None, pattern: str, factor: float = 1.0) -> str:
    return "-" if value is None else pattern.format(value * factor)


def _range(ends: Sequence[float] | None) -> str:
    if ends is None:
        return "-"
    low, high = (f"{end:.2g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _width(decades: float | None, ends: Sequence[float] | None) -> str:
    return _with_unit(decades, "{:.1f}") + ("" if ends is None else f" [{ends[0]:.1f}, {ends[1]:.1f}]")


def _luck(split: Mapping[str, Any] | None) -> str:
    share = None if split is None else split["share_tuning"]
    return "-" if share is None else f"{percent(share)} / {percent(1 - share)}"


def _until(median: int | None, ends: Sequence[int | None] | None, reached: Sequence[int] | None) -> str:
    """Steps to the target with their interval, and how many runs of how many reached it."""
    if reached is None:
        return "-"
    shown = "not reached" if median is None else str(median)
    if ends is not None:
        shown += f" [{ends[0]}, {'later' if ends[1] is None else ends[1]}]"
    return f"{shown} {reached[0]}/{reached[1]}"
