"""Every trial of a race in columns: small enough for a page of ten thousand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from gradrace.outcomes import Outcome, Stage, Status
from gradrace.report.summary import Race
from gradrace.report.tuning import first_rung_values, studies_of
from gradrace.verdict.curves import thinned

DIGITS = 6
"""Significant digits of a trial's numbers in the page; the standings keep all of theirs."""
CURVE_POINTS = 200_000
"""Points of all curves together, about 2 MB: with more, each curve is thinned."""
FEWEST_POINTS = 8
LONGEST_ERROR = 200
"""Characters of an error's last line."""
STAGES, STATUSES = list(Stage), list(Status)


def first_rungs(race: Race) -> dict[str, float | None]:
    """By trial id each tuning trial's value at the last step that all of its study saw; None if it had diverged."""
    found: dict[str, float | None] = {}
    for trials in studies_of(race.outcomes).values():
        _, values = first_rung_values(trials)
        found |= {outcome.trial: _short(value) for outcome, value in zip(trials, values.tolist(), strict=True)}
    return found


def in_order(outcomes: Sequence[Outcome], labels: Sequence[str]) -> list[Outcome]:
    """Trials in the order of contender (as in ``labels``), stage, study, seed and point."""
    order = {label: index for index, label in enumerate(labels)}
    return sorted(outcomes, key=lambda o: (order[o.contender], STAGES.index(o.stage), o.study, o.seed, o.point))


def trial_table(race: Race, labels: Sequence[str], firsts: Mapping[str, float | None]) -> dict[str, Any]:
    """All trials, one list for each column, in the order of contender, stage, study, seed and point.

    ``contender``, ``stage``, ``status``, ``error`` and ``grid`` are indices into ``labels``, ``stages``, ``statuses``,
    ``errors`` and ``grids``; ``curve`` has the validation values at the steps of the grid. ``chosen`` are the rows
    whose configuration was confirmed. ``thinned`` is how many points a curve had at most and how many it has, or None.
    """
    order = {label: index for index, label in enumerate(labels)}
    rows = in_order(race.outcomes, labels)
    names = list(dict.fromkeys(name for outcome in rows for name in outcome.configuration))
    errors: dict[str, int] = {}
    grids: dict[tuple[int, ...], int] = {}
    curves, most, longest = [], _most_points(rows), max((len(outcome.curve.step) for outcome in rows), default=0)
    for outcome in rows:
        kept = thinned(outcome.curve.validation, most)
        grid = tuple(outcome.curve.step[index] for index in kept)
        curves.append((grids.setdefault(grid, len(grids)), [_short(outcome.curve.validation[i]) for i in kept]))
    return {
        "labels": list(labels),
        "stages": [stage.value for stage in STAGES],
        "statuses": [status.value for status in STATUSES],
        "contender": [order[outcome.contender] for outcome in rows],
        "stage": [STAGES.index(outcome.stage) for outcome in rows],
        "study": [outcome.study for outcome in rows],
        "seed": [outcome.seed for outcome in rows],
        "point": [outcome.point for outcome in rows],
        "status": [STATUSES.index(outcome.status) for outcome in rows],
        "steps": [outcome.steps for outcome in rows],
        "diverged_at": [outcome.diverged_at for outcome in rows],
        "validation": [_short(outcome.validation) for outcome in rows],
        "test": [_short(outcome.test) for outcome in rows],
        "seconds": [_short(outcome.seconds, 3) for outcome in rows],
        "first": [firsts.get(outcome.trial) for outcome in rows],
        "configuration": {name: [_short(outcome.configuration.get(name)) for outcome in rows] for name in names},
        "chosen": [index for index, outcome in enumerate(rows) if was_chosen(race, outcome)],
        "error": [
            None if outcome.error is None else errors.setdefault(_last_line(outcome.error), len(errors))
            for outcome in rows
        ],
        "errors": list(errors),
        "grids": [list(grid) for grid in grids],
        "grid": [grid for grid, _ in curves],
        "curve": [values for _, values in curves],
        "thinned": {"from": longest, "to": most} if longest > most else None,
    }


def _most_points(rows: Sequence[Outcome]) -> int:
    """How many points a curve may have."""
    return max(FEWEST_POINTS, CURVE_POINTS // max(1, len(rows)))


def was_chosen(race: Race, outcome: Outcome) -> bool:
    """Whether a trial's study chose its configuration, before it was confirmed."""
    choice = race.choices.get((outcome.contender, outcome.study))
    return outcome.stage is not Stage.CONFIRMATION and choice is not None and choice["point"] == outcome.point


def _last_line(error: str) -> str:
    lines = error.strip().splitlines() or [error]
    return lines[-1] if len(lines[-1]) <= LONGEST_ERROR else f"{lines[-1][:LONGEST_ERROR]}…"


@lru_cache(maxsize=1 << 16)  # a page that is drawn while its race runs has most of its numbers again
def _short(value: float | None, digits: int = DIGITS) -> float | None:
    """A number at so many significant digits; None where it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
