"""What a summary says of runs that were trained elsewhere: their scores, and what they cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradrace.outcomes import Outcome, Stage, Status
from gradrace.report.sentences import listed, too_few_studies
from gradrace.report.tuning import first_rung_values, studies_of
from gradrace.report.words import say
from gradrace.verdict import FEWEST_STUDIES, Pair, censor, compare, compare_unpaired

if TYPE_CHECKING:
    from gradrace.report.summary import Race

Scores = dict[str, np.ndarray]


def scores_of(race: Race) -> tuple[Scores, int]:
    """The scores of each contender's studies [K, S], censored, and how many were.

    K differs where contenders have different numbers of studies. Where studies have different numbers of seeds, the
    mean of each stands for them, and S is 1.
    """
    if race.imported["scored"] == "confirmed":
        return _censored(race, "test")
    rows: dict[str, list[list[float | None]]] = {
        label: [[None] for _ in range(race.studies_of(label))] for label in race.labels
    }
    for outcome in race.outcomes:
        choice = race.choices.get((outcome.contender, outcome.study))
        if choice is not None and choice["point"] == outcome.point:
            rows[outcome.contender][outcome.study] = [outcome.validation]
    return censor(rows, race.direction, race.workload["worst"])


def validation_of(race: Race) -> Scores | None:
    """The same of the validation split; None unless every confirmation run that finished has a value of it."""
    confirmed = [outcome for outcome in race.outcomes if outcome.stage is Stage.CONFIRMATION]
    known = [o.validation is not None for o in confirmed if o.status is Status.FINISHED]
    return _censored(race, "validation")[0] if known and all(known) else None


def _censored(race: Race, of_outcome: str) -> tuple[Scores, int]:
    rows: dict[str, list[list[float | None]]] = {
        label: [[] for _ in range(race.studies_of(label))] for label in race.labels
    }
    for outcome in sorted(race.outcomes, key=lambda outcome: outcome.seed):
        if outcome.stage is Stage.CONFIRMATION:
            rows[outcome.contender][outcome.study].append(getattr(outcome, of_outcome))
    flat = {label: [[value for row in studies for value in row]] for label, studies in rows.items()}
    values, censored = censor(flat, race.direction, race.workload["worst"])
    ends = {label: np.cumsum([len(row) for row in studies])[:-1] for label, studies in rows.items()}
    parts = {label: np.split(values[label][0], ends[label]) for label in rows}
    even = len({len(part) for studies in parts.values() for part in studies}) == 1
    if even:
        return {label: np.stack(studies) for label, studies in parts.items()}, censored
    return {label: np.array([[part.mean()] for part in studies]) for label, studies in parts.items()}, censored


def worked(race: Race, label: str) -> bool:
    """Whether an imported contender has a finite score at all."""
    of_outcome = "test" if race.imported.get("scored") == "confirmed" else "validation"
    return bool(race.imported) and any(getattr(outcome, of_outcome) is not None for outcome in race.of(label, *Stage))


def pairs_of(race: Race, scores: Mapping[str, np.ndarray]) -> list[Pair]:
    """The verdict on every pair, by the test that suits how the runs were made."""
    if race.imported["paired"]:
        return compare(scores, race.direction)
    return compare_unpaired(scores, race.direction)


def rates_known(tuning: Sequence[Outcome]) -> bool:
    """Whether a contender's tuning trials can be compared at one step: each that ended well has a value there."""
    for trials in studies_of(tuning).values():
        _, values = first_rung_values(trials)
        if any(o.validation is not None and not np.isfinite(v) for o, v in zip(trials, values, strict=True)):
            return False
    return bool(tuning)


def budget_known(race: Race) -> bool:
    """Whether all contenders have the same numbers of studies and of trials, comparable at one step."""
    counts = {key: len(trials) for key, trials in studies_of(race.outcomes).items()}
    wanted = {(label, study) for label in race.labels for study in range(race.numbers["studies"])}
    same = set(counts) == wanted and len(set(counts.values())) == 1
    return same and all(rates_known(race.of(label, Stage.TUNING)) for label in race.labels)


def no_budget(labels: Sequence[str]) -> dict[str, Any]:
    """What stands for curves of smaller budgets where nothing is known of them."""
    return {
        "at_step": 0,
        "best_of_n": {label: [] for label in labels},
        "best_of_n_band": None,
        "probability_best": {label: {} for label in labels},
        "probability_best_by_n": {label: [] for label in labels},
        "probability_best_band": None,
    }


def warnings(race: Race, lang: str) -> list[str]:
    """What the runs cannot tell, in sentences."""
    known, found = race.imported, []
    counts = known["studies"]
    few = [label for label, count in counts.items() if count < FEWEST_STUDIES]
    if len(few) == len(counts):
        found.append(too_few_studies(max(counts.values()), len(counts), lang))
    elif few:
        found.append(say("sentence.imported.few", lang, labels=listed(few, lang), fewest=FEWEST_STUDIES))
    if known["unit"] == "seed":
        found.append(say("sentence.imported.seed_unit", lang))
    elif max(known["studies"].values()) == 1 and race.numbers["seeds"] >= FEWEST_STUDIES:
        found.append(say("sentence.imported.one_study", lang))
    if known["scored"] == "best":
        found.append(say("sentence.imported.best", lang))
    if not any(known["tuning"].values()):
        found.append(say("sentence.imported.tuning_unknown", lang))
    elif len(set(known["tuning"].values())) > 1:
        counts = listed([f"{label} {count}" for label, count in known["tuning"].items()], lang)
        found.append(say("sentence.imported.tuning_unequal", lang, counts=counts))
    if len(set(known["steps"].values())) > 1:
        counts = listed([f"{label} {count}" for label, count in known["steps"].items()], lang)
        found.append(say("sentence.imported.steps_unequal", lang, counts=counts))
    return found


def how(race: Race, lang: str) -> list[str]:
    """How runs were judged, in sentences."""
    known = race.imported
    return [
        say(
            "sentence.imported.source",
            lang,
            runs=len(race.outcomes),
            contenders=len(race.labels),
            source=known["source"],
        ),
        say(f"sentence.imported.by.{known['unit'] if known['scored'] == 'confirmed' else 'best'}", lang),
        say(f"sentence.imported.test.{'paired' if known['paired'] else 'unpaired'}", lang),
        say("sentence.imported.repeat", lang),
    ]
