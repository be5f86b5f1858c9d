"""From a pool of studies to the calibration of the verdict: a plain dict first, and the tables of it. Without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gradrace.outcomes import Outcome
from gradrace.report.layout import columns, heading, indented
from gradrace.report.sentences import listed, number
from gradrace.report.summary import SCHEMA, Race, RaceRecord
from gradrace.verdict.calibration import (
    ALPHA,
    Coverage,
    Pool,
    Rate,
    centred_false_verdicts,
    coverage,
    false_verdicts,
    power,
)
from gradrace.verdict.candidates import CANDIDATES, CHOSEN, Candidate

STUDIES = (3, 5, 8)
"""Of the races that are drawn: those of the presets."""
CONTENDERS = (2, 5)
POWER_RACES = 500
"""Bisection judges its races a dozen times; more of them would move power by less than a few per cent."""

RESAMPLED = (
    "Studies are drawn for each race without replacement, so races share studies. A study depends on the race's seed "
    "and its own number alone, so a drawn race is distributed as a fresh one, and the rate is right on average; the "
    "intervals allow for the sharing."
)
FRESH = (
    "No study is used twice, so these races are independent, and the same as races trained afresh. Intervals and power "
    "are of races drawn from the same pool, which share studies."
)
CENTRED = (
    "Each optimizer is shifted to the common mean over the pool: all are equally good, and scatter as they do. Studies "
    "are drawn with replacement, since shifted scores sum to 0 over the pool; the intervals allow for shared studies."
)


def pool_of(record: RaceRecord, outcomes: Sequence[Outcome]) -> Pool:
    """The test values of every entry and study of a stored race, NaN where there is none."""
    race = Race(record, outcomes, {})
    known = race.scores()
    scores = np.array([known[label] for label in race.labels], dtype=float)
    return Pool(scores, race.direction, race.workload["worst"])


def summarize_pool(
    record: RaceRecord, pool: Pool, *, own_studies: int, races: int, fresh: bool, candidates: bool
) -> dict[str, Any]:
    """The calibration as JSON types.

    Args:
        record: the pool's race.
        pool: its scores.
        own_studies: of the preset that the pool has its trials, seeds and steps from.
        races: to draw for each number of studies and contenders; for power at most 500.
        fresh: draw races that share no study for the false verdicts.
        candidates: all candidates for the test, not only the one in use.
    """
    numbers, work, plan = record.spec["race"], record.plan["workload"], record.plan["contenders"]
    names = [known["optimizer"] for known in plan.values()]
    centred = len(set(names)) > 1
    cells = list(product(STUDIES, sorted({min(size, pool.entries) for size in CONTENDERS})))

    def rng(studies: int, contenders: int) -> np.random.Generator:
        # The same for every test, so that they judge the same races.
        return np.random.default_rng([numbers["seed"], studies, contenders])

    def rate(candidate: Candidate, studies: int, contenders: int) -> Rate:
        drawn = (pool, studies, contenders, races, candidate.test, rng(studies, contenders))
        return centred_false_verdicts(*drawn) if centred else false_verdicts(*drawn, disjoint=fresh)

    def needed(candidate: Candidate, studies: int, contenders: int) -> dict[str, Any]:
        few = min(races, POWER_RACES)
        found = power(pool, studies, contenders, few, candidate.test, rng(studies, contenders))
        return {"difference": found.difference, "in_deviations": found.in_deviations, "deviation": found.deviation}

    def held(studies: int, contenders: int) -> dict[str, Any]:
        found: Coverage = coverage(pool, studies, contenders, races, rng(studies, contenders))
        return {name: _rate(getattr(found, name)) for name in ("single", "joint", "mean")}

    def of_cells(make: Any) -> list[dict[str, Any]]:
        return [
            {"studies": k, "contenders": c, "own": k == own_studies, **make(studies=k, contenders=c)} for k, c in cells
        ]

    tests = [
        {
            "name": candidate.name,
            "title": candidate.title,
            "chosen": candidate is CHOSEN,
            "false_verdicts": of_cells(lambda candidate=candidate, **cell: _rate(rate(candidate, **cell))),
            "power": [] if centred else of_cells(lambda candidate=candidate, **cell: needed(candidate, **cell)),
        }
        for candidate in (CANDIDATES if candidates else [CHOSEN])
    ]
    return {
        "schema": SCHEMA,
        "gradrace": record.version,
        "race": {"id": record.id, "created": record.created, "status": record.status},
        "workload": {name: work[name] for name in ("name", "metric", "direction", "worst")},
        "pool": {
            "optimizers": names,
            "entries": pool.entries,
            "studies": pool.studies,
            **{name: numbers[name] for name in ("trials", "seeds", "steps", "seed")},
            "missing": int((~np.isfinite(pool.scores)).sum()),
        },
        "kind": "centred" if centred else "equal",
        "fresh": fresh and not centred,
        "races": races,
        "power_races": min(races, POWER_RACES),
        "alpha": ALPHA,
        "tests": tests,
        "coverage": [] if centred else of_cells(held),
        "sentence": _verdict(tests[0]["false_verdicts"]),
        "explanation": CENTRED if centred else FRESH if fresh else RESAMPLED,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {"rate": rate.value, "interval": list(rate.interval), "races": rate.races, "effective": rate.effective}


def _verdict(rates: Sequence[Mapping[str, Any]]) -> str:
    """Whether the test in use keeps its promise."""
    above = [rate for rate in rates if rate["interval"][0] > ALPHA]
    if not above:
        most = max(rate["rate"] for rate in rates)
        return (
            f"The test in use told equal contenders apart in at most {_percent(most)} % of races: nowhere detectably "
            f"more than the {_percent(ALPHA)} % allowed."
        )
    cases = [f"{_percent(rate['rate'])} % with {rate['studies']} studies of {rate['contenders']}" for rate in above]
    return (
        f"The test in use tells equal contenders apart detectably more often than in the {_percent(ALPHA)} % of races "
        f"allowed: in {listed(cases)} contenders."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


def render_all(document: Mapping[str, Any]) -> RenderableType:
    """Several calibrations, one below the other."""
    return Group(*map(render, document["calibrations"]))


def render(summary: Mapping[str, Any]) -> RenderableType:
    """Whether the test keeps its promise, and the tables of what was measured."""
    work, pool = summary["workload"], summary["pool"]
    parts: list[RenderableType] = [Text(_title(summary), style="bold"), indented(Text(summary["sentence"]))]
    parts += [
        heading(
            "False verdicts: share of races between equal contenders in which a pair is decided, % [95 % interval]"
        ),
        indented(_table(summary["tests"], "false_verdicts", _share)),
    ]
    if summary["coverage"]:
        parts += [
            heading("Intervals of the test in use: how often they hold the truth, %"),
            indented(_coverage(summary["coverage"])),
            heading(f"Power: the least difference that is found in 80 % of races, in {work['metric']} (and in sd)"),
            indented(_table(summary["tests"], "power", _difference)),
        ]
    parts.append(heading("How it was measured"))
    parts += [indented(Text(line)) for line in (_pool(pool, summary["race"]["id"]), *_notes(summary))]
    return Group(*parts)


def _title(summary: Mapping[str, Any]) -> str:
    pool = summary["pool"]
    if summary["kind"] == "centred":
        return f"\nCalibration on {summary['workload']['name']}: {listed(pool['optimizers'])}, made equally good"
    return f"\nCalibration on {summary['workload']['name']}: {pool['optimizers'][0]} raced against itself"


def _columns(first: str, cells: Sequence[Mapping[str, Any]]) -> Table:
    table = columns(first)
    for cell in cells:
        table.add_column(f"K={cell['studies']}{'*' if cell['own'] else ''}, C={cell['contenders']}", justify="right")
    return table


def _table(tests: Sequence[Mapping[str, Any]], what: str, shown: Any) -> Table:
    table = _columns("test", tests[0][what])
    for test in tests:
        table.add_row(Text(test["name"], style="bold" if test["chosen"] else ""), *map(shown, test[what]))
    return table


def _coverage(cells: Sequence[Mapping[str, Any]]) -> Table:
    table = _columns("interval", cells)
    for name, words in (("single", "of a pair"), ("joint", "of all pairs"), ("mean", "of a mean")):
        table.add_row(words, *(_share(cell[name]) for cell in cells))
    return table


def _share(rate: Mapping[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{_percent(rate['rate'])} [{_percent(low)}, {_percent(high)}]"


def _difference(found: Mapping[str, Any]) -> str:
    if found["difference"] is None:
        return "none"
    return f"{number(found['difference'])} ({found['in_deviations']:.2f})"


def _pool(pool: Mapping[str, Any], race: str) -> str:
    missing = f" {pool['missing']} values are missing and count as the worst." if pool["missing"] else ""
    return (
        f"{pool['entries']} entries, each with {pool['studies']} studies of {pool['trials']} trials of {pool['steps']} "
        f"steps, confirmed on {pool['seeds']} seeds: race {race}, seed {pool['seed']}.{missing}"
    )


def _notes(summary: Mapping[str, Any]) -> list[str]:
    cells = summary["tests"][0]["false_verdicts"]
    counts = sorted({cell["races"] for cell in cells})
    drawn = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    lines = [
        f"K: studies of a race{' (* the budget of the pool)' if any(cell['own'] for cell in cells) else ''}; C: its "
        f"contenders; {drawn} races for each, all tests on the same ones. {summary['explanation']}"
    ]
    if summary["coverage"]:
        lines.append(
            "sd: standard deviation over studies of the difference of two entries; none: no difference is found that "
            f"often. Power is of {summary['power_races']} races, and good to a few per cent."
        )
    if len(summary["tests"]) > 1:
        lines += [f"{test['name']}: {test['title']}{' (in use)' * test['chosen']}." for test in summary["tests"]]
    return lines
