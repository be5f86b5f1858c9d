"""Whether the race was long enough: what its confirmation trials were worth on the way, and the warnings from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradrace.outcomes import Outcome
from gradrace.report import sentences
from gradrace.report.tuning import checkpoint, value_at
from gradrace.verdict import censor, late_gain, order_changes

LATE, LATE_SHARE = 0.75, 0.10
"""Curves have not flattened if after this part of the steps they improve by more than this share of the whole."""


def warnings(
    confirmed: Mapping[str, Sequence[Outcome]],
    steps: Mapping[str, int],
    numbers: Mapping[str, Any],
    workload: Mapping[str, Any],
    untrained: float | None,
    lang: str = "en",
) -> list[str]:
    """Sentences on pairs whose order changes between half of the steps and the end, and on curves still improving.

    A curve has about twenty checkpoints. Its value "at half of the steps" is that of the last checkpoint at or before
    them; where there is none the contender is left out. With a schedule that decays nothing is said: what a run is
    worth in the middle of a schedule does not tell what a shorter or longer race would find.

    Args:
        confirmed: each contender's confirmation outcomes.
        steps: each contender's length of a trial.
        numbers: the race's, of which ``studies``, ``seeds`` and ``schedule`` are read.
        workload: of which ``metric``, ``direction`` and ``worst`` are read.
        untrained: the metric before the first step; the first checkpoint stands in for None.
        lang: the language of the sentences.
    """
    if numbers["schedule"] != "constant":
        return []
    found = []
    for length in sorted(set(steps.values())):
        alike = {label: outcomes for label, outcomes in confirmed.items() if steps[label] == length}
        found += _order(alike, length, numbers, workload, lang)
    return found + _unflattened(confirmed, steps, numbers, workload, untrained, lang)


def _order(
    confirmed: Mapping[str, Sequence[Outcome]],
    steps: int,
    numbers: Mapping[str, Any],
    workload: Mapping[str, Any],
    lang: str,
) -> list[str]:
    """Changes of order among contenders whose trials are equally long."""
    half = checkpoint([outcome for outcomes in confirmed.values() for outcome in outcomes], steps / 2)
    if half is None:
        return []
    moments = _moments(confirmed, [half, None], numbers, workload)
    earlier, end = ({label: values[moment] for label, values in moments.items()} for moment in (0, 1))
    changes = order_changes(earlier, end, workload["direction"])
    return [sentences.order_change(change, half, steps, workload["metric"], lang) for change in changes]


def _unflattened(
    confirmed: Mapping[str, Sequence[Outcome]],
    steps: Mapping[str, int],
    numbers: Mapping[str, Any],
    workload: Mapping[str, Any],
    untrained: float | None,
    lang: str,
) -> list[str]:
    """Contenders that still improve late, in one sentence."""
    found: list[tuple[str, float, int, int]] = []
    for label, outcomes in confirmed.items():
        late = checkpoint(outcomes, LATE * steps[label])
        if late is None:
            continue
        first = min(at for outcome in outcomes for at in outcome.curve.step)
        start, later, end = _moments({label: outcomes}, [first, late, None], numbers, workload)[label]
        if untrained is not None:
            start = np.full_like(end, untrained)
        gain = late_gain(start, later, end, workload["direction"])
        if gain is not None and gain.detectable and gain.share > LATE_SHARE:
            found.append((label, gain.share, late, steps[label]))
    return [sentences.unflattened(found, lang)] if found else []


def _moments(
    confirmed: Mapping[str, Sequence[Outcome]],
    moments: Sequence[int | None],
    numbers: Mapping[str, Any],
    workload: Mapping[str, Any],
) -> dict[str, list[np.ndarray]]:
    """Each contender's validation values [K, S] at some checkpoints, None for the end.

    Censored together: a run that diverged early is as bad at every later moment, and seems to gain nothing.
    """
    seeds, width = numbers["seeds"], len(moments) * numbers["seeds"]
    table: dict[str, list[list[float | None]]] = {}
    for label, outcomes in confirmed.items():
        rows = table[label] = [[None] * width for _ in range(numbers["studies"])]
        for outcome in outcomes:
            for index, at in enumerate(moments):
                value = outcome.validation if at is None else value_at(outcome, at)
                rows[outcome.study][index * seeds + outcome.seed - 1] = value
    censored, _ = censor(table, workload["direction"], workload["worst"])
    return {label: np.split(values, len(moments), axis=1) for label, values in censored.items()}
