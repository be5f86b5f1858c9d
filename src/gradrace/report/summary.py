"""From a stored race to a plain dict: the JSON of a race, and all that any renderer shows. Without torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome, Stage, Status, notes_of
from gradrace.report import imported, length, others, sentences
from gradrace.report.beside import halving_regret_of, own_target, to_target
from gradrace.report.record import BEFORE_IT_COULD_BE_ASKED, BEFORE_IT_WAS_PLANNED, RaceRecord, check
from gradrace.report.tuning import budget_curves, robustness_of
from gradrace.report.words import say
from gradrace.verdict import (
    FEWEST_STUDIES,
    Decision,
    Direction,
    Pair,
    Standing,
    censor,
    compare,
    inclusion_flags,
    standings,
    variance_split,
)

SCHEMA = 1
FEW_STUDIES = 5
"""With fewer studies a t test has so few degrees of freedom that it decides hardly anything."""


class Race:
    """A stored race with its outcomes sorted by what they are for."""

    def __init__(self, record: RaceRecord, outcomes: Sequence[Outcome], notes: Mapping[str, Any]) -> None:
        check(record)
        self.record, self.outcomes, self.notes = record, outcomes, notes
        self.workload: dict[str, Any] = {"worst": None, "target": None, **record.plan["workload"]}
        self.direction: Direction = self.workload["direction"]
        self.labels: list[str] = [contender["label"] for contender in record.spec["contenders"]]
        self.numbers: dict[str, Any] = {**BEFORE_IT_COULD_BE_ASKED, **record.spec["race"]}
        self.steps: dict[str, int] = dict.fromkeys(self.labels, int(record.spec["race"]["steps"]))
        self.steps.update(record.plan.get("steps", {}))
        kept = notes.get("choices", {"choices": [], "extensions": [], "left": []})
        self.choices = {(choice["contender"], choice["study"]): choice for choice in kept["choices"]}
        self.extensions: list[dict[str, Any]] = kept["extensions"]
        self.edges_left: list[tuple[str, int, str, str]] = kept["left"]
        self.costs: dict[str, Any] = notes.get("costs", {})
        self.imported: dict[str, Any] = record.plan.get("imported") or {}
        """How the runs of a race that was trained elsewhere are judged; empty for any other."""

    def studies_of(self, label: str) -> int:
        """How many studies a contender has: as many as any other, unless the race was imported."""
        return self.imported["studies"][label] if self.imported else self.numbers["studies"]

    def of(self, label: str, *stages: Stage) -> list[Outcome]:
        """A contender's outcomes in these stages."""
        return [o for o in self.outcomes if o.contender == label and o.stage in stages]

    def scores(self, of_outcome: str = "test") -> dict[str, list[list[float | None]]]:
        """Values of the studies' choices, [studies][seeds], None where there is none."""
        studies, seeds = self.numbers["studies"], self.numbers["seeds"]
        scores: dict[str, list[list[float | None]]] = {
            label: [[None] * seeds for _ in range(studies)] for label in self.labels
        }
        for outcome in self.outcomes:
            if outcome.stage is Stage.CONFIRMATION:
                scores[outcome.contender][outcome.study][outcome.seed - 1] = getattr(outcome, of_outcome)
        return scores


def summarize(
    record: RaceRecord, outcomes: Sequence[Outcome], notes: Mapping[str, Any], lang: str = "en"
) -> dict[str, Any]:
    """The whole of a race as JSON types: verdict, standings, pairs, costs and warnings.

    A race that has not finished has no standings; the sentence says how far it is. Sentences are in the language
    ``lang``; names, numbers and decisions are the same in each, and so is what the workload remarks about its data and
    what the engine says of itself, which are in English.

    Raises:
        SpecError: there is no such language.
        StoreError: the record lacks what every race has, or says neither of its metric that less is better nor more.
    """
    return summaries(record, outcomes, notes, (lang,))[lang]


def summaries(
    record: RaceRecord, outcomes: Sequence[Outcome], notes: Mapping[str, Any], languages: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """``summarize`` in several languages, by language: numbers are computed once."""
    race = Race(record, outcomes, notes)
    common = {
        "schema": SCHEMA,
        "gradrace": record.version,
        "race": {"id": record.id, "created": record.created, "status": record.status},
        "workload": race.workload,
        "plan": {**race.numbers, **_plan(race, notes.get("engine"))},
        "machine": record.machine,
        "cost": _cost(race),
    }
    judged = {lang: {**race.imported, "how": imported.how(race, lang)} if race.imported else None for lang in languages}
    if record.status != "finished":
        done = {lang: sentences.unfinished(record.id, record.status, len(outcomes), lang) for lang in languages}
        return {
            lang: {
                **common,
                "standings": [],
                "pairs": [],
                "recommendation": _nothing(done[lang]),
                "warnings": [],
                "imported": judged[lang],
            }
            for lang in languages
        }
    scores, validation, censored = _scores(race)
    pairs = _pairs(race, scores)
    ranked = standings(scores, pairs, race.direction)
    validated = {} if validation is None else _ranked(race, validation)
    budget = _budget(race)
    beside = others.names_of([outcome for outcome in race.outcomes if outcome.stage is Stage.CONFIRMATION])
    target = None if race.imported else _target(race, next(iter(validated.values())))
    rows = [
        _standing(race, standing, validated.get(standing.label), scores, budget, beside, target) for standing in ranked
    ]
    return {
        lang: {
            **common,
            "standings": rows,
            "pairs": [_pair(pair, min(map(race.studies_of, (pair.a, pair.b))), lang) for pair in pairs],
            "recommendation": _recommendation(race, rows, pairs, lang),
            "budget": budget,
            "target": target,
            "warnings": _warnings(race, rows, pairs, censored, lang),
            "imported": judged[lang],
        }
        for lang in languages
    }


def _scores(race: Race) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None, int]:
    """Test and validation scores, censored; of imported runs perhaps no validation; and how many were censored."""
    if race.imported:
        scores, censored = imported.scores_of(race)
        return scores, imported.validation_of(race), censored
    scores, censored = censor(race.scores(), race.direction, race.workload["worst"])
    return scores, censor(race.scores("validation"), race.direction, race.workload["worst"])[0], censored


def _pairs(race: Race, scores: Mapping[str, np.ndarray]) -> list[Pair]:
    return imported.pairs_of(race, scores) if race.imported else compare(scores, race.direction)


def _ranked(race: Race, scores: Mapping[str, np.ndarray]) -> dict[str, Standing]:
    return {standing.label: standing for standing in standings(scores, _pairs(race, scores), race.direction)}


def _budget(race: Race) -> dict[str, Any]:
    if race.imported and not imported.budget_known(race):
        return imported.no_budget(race.labels)
    return budget_curves(race.outcomes, race.labels, race.numbers, race.direction)


def _standing(
    race: Race,
    standing: Standing,
    validated: Standing | None,
    scores: Mapping[str, np.ndarray],
    budget: Mapping[str, Any],
    beside: Sequence[str],
    target: Mapping[str, Any] | None,
) -> dict[str, Any]:
    label = standing.label
    confirmed = race.of(label, Stage.CONFIRMATION)
    choice = _best_choice(race, label, validated)
    cost = race.costs.get(label, {})
    split = variance_split(scores[label])
    everything = race.of(label, *Stage)
    tuning = race.of(label, Stage.TUNING)
    comparable = not race.imported or imported.rates_known(tuning)
    rates = robustness_of(tuning, race.numbers["studies"], race.direction) if comparable else None
    return {
        "optimizer": race.record.plan["contenders"][label]["optimizer"],
        "label": label,
        "place": standing.place,
        "tied_with": list(standing.tied_with),
        "configuration": dict(choice["configuration"]) if choice else None,
        "code": choice["code"] if choice else None,
        "validation": {
            "mean": None if validated is None else validated.mean,
            "interval": None if validated is None else _listed(validated.interval),
        },
        "test": {
            "mean": standing.mean,
            "interval": _listed(standing.interval),
            "values": scores[label].tolist(),
        },
        "others": others.over_studies(confirmed, beside, len(confirmed) if race.imported else scores[label].size),
        "studies_without_choice": sum((label, study) not in race.choices for study in range(race.studies_of(label))),
        "lr_robustness_decades": None if rates is None else rates.decades,
        "lr_robustness_interval": None if rates is None else _listed(rates.interval),
        "lr_safe_range": None if rates is None else _listed(rates.safe),
        "diverged": sum(outcome.status is Status.DIVERGED for outcome in everything),
        "failed": sum(outcome.status is Status.FAILED for outcome in everything),
        "trials": len(everything),
        **to_target(confirmed, race.numbers, target, race.direction, cost.get("step_seconds")),
        "step_seconds": cost.get("step_seconds"),
        "state_bytes_per_parameter": cost.get("state_bytes_per_parameter"),
        "probability_best": budget["probability_best"][label],
        "luck": None
        if split is None
        else {"tuning": split.tuning, "trial": split.trial, "share_tuning": split.share_tuning},
        "halving_regret": halving_regret_of(tuning, race.steps[label], race.numbers, race.direction),
    }


def _target(race: Race, best: Standing) -> dict[str, Any] | None:
    """The validation value that steps are counted to: the workload's, or else the race's own."""
    if race.workload["target"] is not None:
        return {"value": race.workload["target"], "source": "workload"}
    confirmed = race.of(best.label, Stage.CONFIRMATION)
    return own_target(confirmed, best.mean, race.record.plan.get("untrained"), race.direction)


def _best_choice(race: Race, label: str, validated: Standing | None) -> dict[str, Any] | None:
    """The configuration to recommend: of the studies' choices the one that confirmed best on the *validation* split.

    The test split judges the contender as a whole; choosing by it would use it up. Of imported runs that say nothing of
    the validation split it is the first study's.
    """
    sign = 1.0 if race.direction == "max" else -1.0
    studies = [study for study in range(race.studies_of(label)) if (label, study) in race.choices]
    if not studies:
        return None
    if validated is None:
        return race.choices[label, studies[0]]
    return race.choices[label, max(studies, key=lambda study: (sign * validated.values[study], -study))]


def _pair(pair: Pair, studies: int, lang: str) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": pair.difference,
        "interval": _listed(pair.interval),
        "p": pair.p,
        "p_adjusted": pair.p_adjusted,
        "decision": pair.decision.value,
        "studies_to_decide": pair.studies_to_decide,
        "effect_size": pair.effect_size,
        "reason": sentences.reason(pair.reason, studies, lang),
    }


def _nothing(sentence: str) -> dict[str, Any]:
    return {"optimizer": None, "code": None, "sentence": sentence}


def _recommendation(race: Race, rows: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], lang: str) -> dict[str, Any]:
    """The leader's line of code, and a sentence that says how far it can be trusted."""
    leader = next((row for row in rows if row["code"] is not None or imported.worked(race, row["label"])), None)
    if leader is None:
        return _nothing(sentences.nothing_worked(lang))
    tested = any(pair.p is not None for pair in pairs)
    sentence = sentences.verdict(leader, rows, race.workload, tested, lang)
    if race.imported.get("unit") == "seed":
        sentence = " ".join((sentence, say("sentence.imported.seed_verdict", lang)))
    return {"optimizer": leader["label"], "code": leader["code"], "sentence": sentence}


def _warnings(
    race: Race, rows: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], censored: int, lang: str
) -> list[str]:
    special = {
        row["label"]: [
            other["label"]
            for other in rows
            if other["optimizer"] in race.record.plan["contenders"][row["label"]].get("special_cases", ())
        ]
        for row in rows
    }
    found = [
        *race.record.plan["workload"].get("remarks", []),
        *sentences.inclusion(inclusion_flags(pairs, special), lang),
    ]
    found += sentences.edges(race.extensions, race.choices, race.numbers, lang)
    found += sentences.edges_left(race.edges_left, race.record.plan["contenders"], race.numbers["studies"], lang)
    found += sentences.without_choice(rows, race.numbers["studies"], lang)
    found += sentences.failures(race.outcomes, lang)
    if censored:
        found.append(sentences.censored(censored, race.workload, lang))
    if race.imported:
        found += imported.warnings(race, lang)
    elif race.numbers["studies"] < FEWEST_STUDIES:
        found.append(sentences.too_few_studies(race.numbers["studies"], len(rows), lang))
    elif race.numbers["studies"] < FEW_STUDIES and pairs and all(p.decision is Decision.UNDECIDED for p in pairs):
        found.append(sentences.little_power(race.numbers["studies"], len(rows), lang))
    confirmed = {label: race.of(label, Stage.CONFIRMATION) for label in race.labels}
    untrained = race.record.plan.get("untrained")
    found += length.warnings(confirmed, race.steps, race.numbers, race.workload, untrained, lang)
    if smaller := notes_of(race.notes, "memory"):
        found.append(sentences.little_memory({block: note["chunk"] for block, note in smaller.items()}, lang))
    if fallbacks := notes_of(race.notes, "fallback"):
        found.append(sentences.fallbacks({block: note["error"] for block, note in fallbacks.items()}, lang))
    if "error" in race.costs:
        found.append(sentences.costs_unknown(race.costs["error"], lang))
    return found


def _cost(race: Race) -> dict[str, Any]:
    notes = [note for key, note in race.notes.items() if key.startswith("session ")]
    sessions = [note["seconds"] for note in notes]
    purposes: Counter[str] = Counter()
    for note in notes:
        purposes.update(note.get("profile", {}))
    return {
        "trials": len(race.outcomes),
        "trial_steps": sum(outcome.steps for outcome in race.outcomes),
        "seconds": sum(sessions) if sessions else None,
        "seconds_training": math.fsum(outcome.seconds for outcome in race.outcomes),
        "seconds_compiling": float(purposes["compile"]),
        "profile": dict(purposes),
    }


def _plan(race: Race, settled: Mapping[str, Any] | None) -> dict[str, Any]:
    """``settled``: what became of a program that was compiled while the race ran."""
    plan = race.record.plan
    known = {name: plan.get(name, otherwise) for name, otherwise in BEFORE_IT_WAS_PLANNED.items()}
    if settled is not None:
        known["reason"] = f"{known['reason']} {settled['reason']}"
    compiled = bool(plan.get("compiled")) and (settled is None or settled["engine"] == "compiled")
    return {**known, "compiled": compiled, "steps_of": race.steps, "contenders": plan["contenders"]}


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [interval[0], interval[1]]
