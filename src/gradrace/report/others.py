"""Further metrics of the test split, beside the one that is raced on: their means, and the table that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome
from gradrace.verdict import FEWEST_STUDIES, mean_interval

MOST_COLUMNS = 6
"""With more metrics than this, each gets a row instead, and the contenders get the columns."""

Cell = tuple[float | None, Sequence[float] | None]
"""A mean and its interval."""


def names_of(confirmed: Sequence[Outcome]) -> list[str]:
    """The names of all further metrics of these outcomes, in the order in which they first come."""
    return list(dict.fromkeys(name for outcome in confirmed for name in outcome.others))


def over_studies(confirmed: Sequence[Outcome], names: Sequence[str], trials: int) -> dict[str, dict[str, Any]]:
    """One contender's further metrics: mean over studies of the means over seeds, and its 95 % t interval.

    The metric that is raced on is censored where a trial has none: it counts as the worst value. These metrics say
    neither what is worst nor which way is better, so what is missing is left out and counted. Leaving it out flatters a
    contender that diverges: these numbers describe, and decide nothing.

    Args:
        confirmed: the contender's outcomes in confirmation.
        names: the metrics wanted; each is in what is returned, with None for a mean of nothing.
        trials: number of confirmation trials the race gives a contender (studies times seeds).

    Returns:
        For each name ``mean`` and ``interval`` in the metric's units (``interval`` is None with fewer than 3 studies),
        and ``missing``, the number of trials without a finite value.
    """
    found = {}
    for name in names:
        studies: dict[int, list[float]] = {}
        for outcome in confirmed:
            if name in outcome.others:
                studies.setdefault(outcome.study, []).append(outcome.others[name])
        by_study = [np.mean(studies[study]) for study in sorted(studies)]
        mean, bounds = mean_interval(by_study, fewest=FEWEST_STUDIES) if by_study else (None, None)
        missing = trials - sum(len(values) for values in studies.values())
        found[name] = {"mean": mean, "interval": None if bounds is None else list(bounds), "missing": missing}
    return found


def table(standings: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """The heads of the columns, and each row's name and cells; nothing of both if there are no further metrics.

    A row for each contender and a column for each metric, or the other way round above `MOST_COLUMNS` metrics.
    """
    names = list(standings[0]["others"]) if standings else []
    if not names:
        return [], []
    cells = [[(row["others"][name]["mean"], row["others"][name]["interval"]) for name in names] for row in standings]
    labels = [row["label"] for row in standings]
    if len(names) <= MOST_COLUMNS:
        return ["contender", *names], list(zip(labels, cells, strict=True))
    return ["metric", *labels], [(name, [row[index] for row in cells]) for index, name in enumerate(names)]
