"""From a stored race to all that its page shows: the summary, and what the pictures need. JSON types, without torch."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome, Stage
from gradrace.report.page.trials import first_rungs, trial_table
from gradrace.report.record import RaceRecord
from gradrace.report.so_far import SoFar
from gradrace.report.summary import Race, summaries
from gradrace.report.words import LANGUAGES, card
from gradrace.verdict import Direction
from gradrace.verdict.curves import band, binned_median
from gradrace.verdict.scores import sign

PAGE_SCHEMA = 1
SENSITIVITY_BINS = 10
"""Points of the line through a contender's trials; each then is the median of eight in a standard race."""


def page_document(
    record: RaceRecord,
    outcomes: Sequence[Outcome],
    notes: Mapping[str, Any],
    cards: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """All that the page of a race shows, as JSON types: the page computes nothing but pixels.

    Args:
        record: the stored race.
        outcomes: of its trials; of a race that runs, those there are.
        notes: of the race.
        cards: by the name of a contender's optimizer what is known of it, in English: ``title``, ``idea``, ``formula``
            (lines), ``use``, ``paper``, ``link``, ``differences`` (sentences) and ``code``; and ``korean``, its
            translation, if there is one. Optimizers that are not in it have no card.

    Returns:
        ``summary``: see ``gradrace.report.summarize``; ``labels``: the contenders, in the order of the standings;
        ``optimizers``: theirs, by label; ``brackets``: first and last index of each longest run of standings that all
        tie with each other; ``sentences``: verdict and warnings by language; ``sure``: how far the one recommended is
        ahead of each other; ``so_far``: who is ahead in a race that has not ended (see ``SoFar``), else None;
        ``sensitivity``, ``learning`` and ``rungs``, by label; ``trials``: the columns of the table of all trials;
        ``cards``, by optimizer and language; ``command``: which repeats the race, or None if no command line can.

    Raises:
        StoreError: the record cannot be judged.
    """
    race = Race(record, outcomes, notes)
    by_language = summaries(record, outcomes, notes, LANGUAGES)
    summary = by_language[LANGUAGES[0]]
    labels = [row["label"] for row in summary["standings"]] or race.labels
    names = {known["optimizer"] for known in record.plan["contenders"].values()}
    firsts = first_rungs(race)
    return {
        "page": PAGE_SCHEMA,
        "summary": summary,
        "labels": labels,
        "optimizers": {label: record.plan["contenders"][label]["optimizer"] for label in labels},
        "brackets": _brackets(summary["standings"]),
        "sentences": {lang: _sentences(said) for lang, said in by_language.items()},
        "sure": _sure(summary),
        "so_far": None if summary["standings"] else _so_far(race),
        "sensitivity": {label: _sensitivity(race, label, firsts) for label in labels},
        "learning": {label: _learning(_shown_learning(race, label), race.numbers, race.direction) for label in labels},
        "rungs": {label: _rungs(race.of(label, Stage.TUNING)) for label in labels},
        "trials": trial_table(race, labels, firsts),
        "cards": {
            name: {lang: card(lang, known) for lang in LANGUAGES}
            for name, known in (cards or {}).items()
            if name in names
        },
        "command": _command(record),
    }


def _so_far(race: Race) -> list[dict[str, Any]]:
    standings = SoFar(race.labels, race.direction)
    standings.add(race.outcomes)
    return standings.rows()


def _brackets(rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """The longest runs of neighbours in the standings of which every two tie: first and last index of each."""
    found: list[list[int]] = []
    for first in range(len(rows)):
        last = first
        while last + 1 < len(rows) and all(
            rows[last + 1]["label"] in row["tied_with"] for row in rows[first : last + 1]
        ):
            last += 1
        if last > first and (not found or last > found[-1][1]):
            found.append([first, last])
    return found


def _sentences(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary says in a language: verdict, what to bear in mind, and of imported runs how they were judged."""
    known = summary["imported"]
    return {
        "verdict": summary["recommendation"]["sentence"],
        "warnings": summary["warnings"],
        "how": known and known["how"],
    }


def _sure(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of every other contender how far the one recommended is ahead of it; negative where it is behind."""
    leader, direction = summary["recommendation"]["optimizer"], summary["workload"]["direction"]
    found = []
    for pair in summary["pairs"]:
        if leader not in (pair["a"], pair["b"]) or pair["p"] is None:
            continue
        ahead = sign(direction) * (1 if pair["a"] == leader else -1)
        ends = pair["interval"]
        found.append(
            {
                "other": pair["b"] if pair["a"] == leader else pair["a"],
                "difference": ahead * pair["difference"],
                "interval": None if ends is None else sorted(ahead * end for end in ends),
                "p_adjusted": pair["p_adjusted"],
                "decided": not pair["decision"].startswith("no "),
                "studies_to_decide": pair["studies_to_decide"],
            }
        )
    order = [row["label"] for row in summary["standings"]]
    return sorted(found, key=lambda pair: order.index(pair["other"]))


def _sensitivity(race: Race, label: str, firsts: Mapping[str, float | None]) -> dict[str, Any]:
    """The line through a contender's tuning trials: medians over neighbouring learning rates, at the first rung."""
    tuning = [outcome for outcome in race.of(label, Stage.TUNING) if outcome.configuration.get("lr", 0) > 0]
    rates = [outcome.configuration["lr"] for outcome in tuning]
    values = [np.nan if (value := firsts.get(outcome.trial)) is None else value for outcome in tuning]
    centres, medians = binned_median(rates, values, race.direction, SENSITIVITY_BINS)
    return {"lr": centres.tolist(), "median": _numbers(medians)}


def _shown_learning(race: Race, label: str) -> list[Outcome]:
    """The trials whose curves are shown: those of the confirmation; before it, each study's best one so far."""
    confirmed = race.of(label, Stage.CONFIRMATION)
    if confirmed or race.record.status == "finished":
        return confirmed
    best: dict[int, tuple[tuple[int, float], Outcome]] = {}
    for outcome in race.of(label, Stage.TUNING, Stage.EDGE):
        if outcome.validation is not None:
            found = (outcome.steps, sign(race.direction) * outcome.validation)
            if outcome.study not in best or found > best[outcome.study][0]:
                best[outcome.study] = (found, outcome)
    return [outcome for _, outcome in best.values()]


def _learning(shown: Sequence[Outcome], numbers: Mapping[str, Any], direction: Direction) -> dict[str, Any] | None:
    """Median and range over studies of these trials, at each step at which any of them was evaluated.

    In a race that runs still, seeds are missing; a study's first one then stands for them.
    """
    steps = sorted({step for outcome in shown for step in outcome.curve.step})
    if not steps:
        return None
    studies = {study: index for index, study in enumerate(sorted({outcome.study for outcome in shown}))}
    where = {step: index for index, step in enumerate(steps)}
    values = np.full((len(studies), numbers["seeds"], len(steps)), np.nan)
    there = np.zeros(values.shape[:2], dtype=bool)
    for outcome in shown:
        place = studies[outcome.study], max(0, outcome.seed - 1)
        there[place] = True
        for step, value in zip(outcome.curve.step, outcome.curve.validation, strict=True):
            values[*place, where[step]] = np.nan if value is None else value
    for study, seeds in enumerate(there):
        values[study, ~seeds] = values[study, np.argmax(seeds)]
    found = band(values, direction)
    return {
        "stage": shown[0].stage.value,
        "steps": steps,
        "median": _numbers(found.median),
        "low": _numbers(found.low),
        "high": _numbers(found.high),
        "studies": len(studies),
    }


def _rungs(tuning: Sequence[Outcome]) -> list[dict[str, int]]:
    """At each step at which trials of a contender ended: how many had come so far, and what became of them there."""
    ended = Counter((outcome.steps, outcome.status.value) for outcome in tuning)
    ends = Counter(outcome.steps for outcome in tuning)
    return [
        {
            "step": end,
            "reached": sum(count for step, count in ends.items() if step >= end),
            **{status: ended[end, status] for status in ("dropped", "diverged", "failed", "finished")},
        }
        for end in sorted(ends)
    ]


def _command(record: RaceRecord) -> str | None:
    """The command line that enters the same race, or None where only the script can that entered it."""
    work = record.plan["workload"].get("reference", {})
    contenders = record.spec["contenders"]
    known = record.plan["contenders"]
    plain = all(
        not (contender.get("space") or contender.get("hyper") or contender.get("scramble"))
        and not any(contender.get("options", {}).values())
        and known[contender["label"]].get("source") is None
        for contender in contenders
    )
    if not plain or work.get("kind") not in ("built-in", "file"):
        return None
    names = [(contender["label"], known[contender["label"]]["optimizer"]) for contender in contenders]
    words = ["gradrace", "race", work["name"] if work["kind"] == "built-in" else work["path"].rpartition("/")[2]]
    words += ["--optimizers", ",".join(name if label == name else f"{label}={name}" for label, name in names)]
    for name, value in record.spec["race"].items():
        flag = f"--{name.replace('_', '-')}"
        if name == "halving":
            words += [] if value else ["--no-halving"]
        elif value is True:
            words.append(flag)
        elif value not in (False, 0.0, "auto", "constant", "cpu", "gradients"):
            words += [flag, str(value)]
    return shlex.join(words)


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
