"""From the summaries of a suite's races to a plain dict: the suite's JSON, and all that a renderer shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from gradrace._version import __version__
from gradrace.report import suite_sentences as sentences
from gradrace.report.summary import FEW_STUDIES
from gradrace.verdict.across import (
    Normalized,
    Scale,
    interquartile_means,
    levels_of,
    normalized,
    performance_profiles,
    probability_of_improvement,
)
from gradrace.verdict.ranks import mean_ranks

SCHEMA = 1
TAUS = (1.0, 1.5, 2.0, 3.0, 4.0)
SEED = 0
"""Of the bootstrap: the same races give the same intervals."""


def summarize_suite(
    name: str,
    summaries: Sequence[Mapping[str, Any]],
    cards: Mapping[str, Mapping[str, str]] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The whole of a suite as JSON types: verdict, workloads, averages over them, ranks, the table and warnings.

    Races that have not finished are named in a warning and left out; so are, from everything but the list of workloads,
    those in which no contender has a working configuration.

    Args:
        name: of the suite.
        summaries: what ``summarize`` returned for each race, in the order in which they are to be shown.
        cards: for each label the ``idea`` and ``use`` that are claimed of its optimizer, where there are any.
        skipped: for each workload that was not raced on the reason, a sentence.

    Raises:
        ValueError: no race has finished, or the contenders are not the same in each.
    """
    finished = [summary for summary in summaries if summary["standings"]]
    if not finished:
        raise ValueError(f"No race of the suite '{name}' has finished, so there is nothing to summarize.")
    labels = list(finished[0]["plan"]["contenders"])
    for summary in finished:
        if set(summary["plan"]["contenders"]) != set(labels):
            raise ValueError(
                f"Every race of a suite needs the same contenders, {', '.join(labels)}; that on "
                f"{summary['workload']['name']} has {', '.join(summary['plan']['contenders'])}."
            )
    scales = {_name(summary): _scale(summary) for summary in finished}
    judged = [summary for summary in finished if _works(summary)]
    scores = {_name(s): {row["label"]: row["test"]["values"] for row in s["standings"]} for s in judged}
    scores = {workload: {label: of[label] for label in labels} for workload, of in scores.items()}
    directions = {_name(summary): summary["workload"]["direction"] for summary in judged}
    ranks = mean_ranks(scores, directions)
    averages = interquartile_means({_name(s): scales[_name(s)] for s in judged}, np.random.default_rng(SEED))
    improvements = probability_of_improvement(scores, directions, np.random.default_rng(SEED))
    profiles = performance_profiles(_times(labels, judged), TAUS)
    by_rank = list(ranks.mean) or labels
    ranked = {
        "mean": dict(ranks.mean),
        "critical_difference": ranks.critical_difference,
        "p": ranks.p,
        "alpha": ranks.alpha,
        "workloads": ranks.workloads,
        "apart": [
            [a, b] for place, a in enumerate(by_rank) for b in by_rank[place + 1 :] if judged and ranks.apart(a, b)
        ],
        "reason": ranks.reason,
    }
    missing = dict(skipped or {})
    return {
        "schema": SCHEMA,
        "gradrace": __version__,
        "suite": name,
        "contenders": labels,
        "verdict": sentences.verdict(labels, ranked),
        "workloads": [_workload(summary, scales[_name(summary)]) for summary in finished],
        "profiles": {
            "taus": list(profiles.taus),
            "shares": {label: list(shares) for label, shares in profiles.shares.items()},
            "scores": dict(profiles.scores),
            "workloads": list(profiles.workloads),
            "left_out": list(profiles.left_out),
        },
        "iqm": {
            label: {"value": of.value, "interval": _listed(of.interval)} for label, of in averages.items() if judged
        },
        "probability_of_improvement": [
            {"a": of.a, "b": of.b, "probability": of.probability, "interval": _listed(of.interval)}
            for of in improvements
        ],
        "ranks": ranked,
        "table": [_row(label, judged, (cards or {}).get(label, {})) for label in by_rank],
        "skipped": [{"workload": workload, "reason": reason} for workload, reason in missing.items()],
        "warnings": _warnings(summaries, judged, scales, profiles.left_out, missing),
    }


def _name(summary: Mapping[str, Any]) -> str:
    return summary["workload"]["name"]


def _works(summary: Mapping[str, Any]) -> bool:
    """Whether any contender has a working configuration."""
    return any(row["code"] for row in summary["standings"])


def _scale(summary: Mapping[str, Any]) -> Normalized:
    scores = {row["label"]: row["test"]["values"] for row in summary["standings"]}
    return normalized(scores, summary["workload"]["direction"], summary["plan"]["untrained"])


def _times(labels: Sequence[str], judged: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    reached = {_name(s): {row["label"]: row["steps_to_target"] for row in s["standings"]} for s in judged}
    return {label: {workload: of[label] for workload, of in reached.items()} for label in labels}


def _workload(summary: Mapping[str, Any], scale: Normalized) -> dict[str, Any]:
    """One race, in short."""
    work, means = summary["workload"], scale.means()
    kept = ("label", "place", "tied_with", "steps_to_target", "step_seconds", "state_bytes_per_parameter")
    return {
        "name": work["name"],
        "stands_for": work.get("stands_for", ""),
        "metric": work["metric"],
        "direction": work["direction"],
        "target": work["target"],
        "race": summary["race"]["id"],
        "studies": summary["plan"]["studies"],
        "untrained": summary["plan"]["untrained"],
        "scale": scale.scale.value,
        "works": _works(summary),
        "standings": [
            {
                **{name: row[name] for name in kept},
                "test": {"mean": row["test"]["mean"], "interval": row["test"]["interval"]},
                "normalized": means[row["label"]],
            }
            for row in summary["standings"]
        ],
        "warnings": list(summary["warnings"]),
    }


def _row(label: str, judged: Sequence[Mapping[str, Any]], card: Mapping[str, str]) -> dict[str, Any]:
    """A contender's row of the table: what is claimed of it, and what was found."""
    rows = [(summary, _row_of(summary, label)) for summary in judged]
    firsts = [row for _, row in rows if row["place"] == 1]
    alone = sum(not row["tied_with"] for row in firsts) if judged and len(judged[0]["standings"]) > 1 else 0
    ratios = [ratio for summary, row in rows if (ratio := _relative_cost(summary, row)) is not None]
    states = [row["state_bytes_per_parameter"] for _, row in rows if row["state_bytes_per_parameter"] is not None]
    return {
        "label": label,
        "optimizer": rows[0][1]["optimizer"] if rows else None,
        "idea": card.get("idea"),
        "use": card.get("use"),
        "best_uses": [
            {
                "workload": _name(summary),
                "stands_for": summary["workload"].get("stands_for", ""),
                "tied_with": row["tied_with"],
            }
            for summary, row in rows
            if _leads(summary, row)
        ],
        "evidence": {
            "workloads": len(rows),
            "first_alone": alone,
            "first_tied": len(firsts) - alone,
            "beaten": len(rows) - len(firsts),
        },
        "cost": {
            "step": median(ratios) if ratios else None,
            "state_bytes_per_parameter": median(states) if states else None,
        },
        **_usual_code([(_name(summary), row) for summary, row in rows if row["code"]]),
    }


def _row_of(summary: Mapping[str, Any], label: str) -> dict[str, Any]:
    return next(row for row in summary["standings"] if row["label"] == label)


def _leads(summary: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether nothing scored better; no such thing where there is nothing else, or all score the same."""
    work = summary["workload"]
    means = np.array([other["test"]["mean"] for other in summary["standings"]])
    levels = levels_of(means if work["direction"] == "max" else -means)
    mine = summary["standings"].index(row)
    return levels.min() < levels[mine] == levels.max()


def _relative_cost(summary: Mapping[str, Any], row: Mapping[str, Any]) -> float | None:
    """Seconds of a step over those of the contender that is cheapest on this workload."""
    known = [other["step_seconds"] for other in summary["standings"] if other["step_seconds"] is not None]
    return None if row["step_seconds"] is None else row["step_seconds"] / min(known)


def _usual_code(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The line of the workload on which the recommended learning rate is the median of all (the lower of two)."""
    if not rows:
        return {"code": None, "code_from": None}
    rising = sorted(rows, key=lambda known: known[1]["configuration"].get("lr", 0.0))
    workload, row = rising[(len(rising) - 1) // 2]
    return {"code": row["code"], "code_from": workload}


def _warnings(
    summaries: Sequence[Mapping[str, Any]],
    judged: Sequence[Mapping[str, Any]],
    scales: Mapping[str, Normalized],
    without_time: Sequence[str],
    skipped: Mapping[str, str],
) -> list[str]:
    found = [sentences.skipped(workload, reason) for workload, reason in skipped.items()]
    found += [sentences.unfinished(_name(s), s["race"]["id"]) for s in summaries if not s["standings"]]
    names = [_name(summary) for summary in judged]
    if failed := [name for name in scales if name not in names]:
        found.append(sentences.nothing_worked_on(failed))
    if other := [name for name in names if scales[name].scale is Scale.CONTENDERS]:
        found.append(sentences.other_scale(other))
    if equal := [name for name in names if scales[name].scale is Scale.EQUAL]:
        found.append(sentences.no_difference(equal))
    if without_time:
        found.append(sentences.no_target(without_time))
    fewest = min((summary["plan"]["studies"] for summary in judged), default=FEW_STUDIES)
    if fewest < FEW_STUDIES:
        found.append(sentences.few_studies(fewest))
    if own := {_name(summary): summary["race"]["id"] for summary in summaries if summary["warnings"]}:
        found.append(sentences.own_warnings(own))
    return found


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
