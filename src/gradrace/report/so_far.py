"""Who is ahead in a race that has not ended. No verdict: nothing is judged here, and the test split is not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from statistics import median
from typing import Any

from gradrace.outcomes import Outcome, Stage
from gradrace.verdict import Direction
from gradrace.verdict.scores import sign


class SoFar:
    """Standings by validation values, of the outcomes that were added so far.

    A contender's value is the median over studies: at first of each study's best trial among those trained furthest,
    and, once every contender has confirmed a choice, of the mean of each study's confirmation trials.

    Args:
        labels: the contenders.
        direction: "min" or "max", whichever is better.
    """

    def __init__(self, labels: Sequence[str], direction: Direction) -> None:
        self._sign = sign(direction)
        self._counts: dict[str, Counter[str]] = {label: Counter() for label in labels}
        self._tuned: dict[str, dict[int, tuple[int, float]]] = {label: {} for label in labels}
        self._confirmed: dict[str, dict[int, list[float]]] = {label: {} for label in labels}

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count more outcomes."""
        for outcome in outcomes:
            counts = self._counts.get(outcome.contender)
            if counts is None:
                continue
            counts["trials"] += 1
            counts[outcome.status.value] += 1
            confirms = outcome.stage is Stage.CONFIRMATION
            counts["confirmed"] += confirms
            if outcome.validation is None:
                continue
            value = self._sign * outcome.validation
            if confirms:
                self._confirmed[outcome.contender].setdefault(outcome.study, []).append(value)
            else:
                best, seen = self._tuned[outcome.contender], (outcome.steps, value)
                best[outcome.study] = max(seen, best.get(outcome.study, seen))

    def rows(self) -> list[dict[str, Any]]:
        """One row for each contender, the best first: its trials by how they ended, and its value so far or None."""
        confirmed = all(self._confirmed.values())
        rows = []
        for label, counts in self._counts.items():
            if confirmed:
                values = [fsum(of_study) / len(of_study) for of_study in self._confirmed[label].values()]
            else:
                values = [value for _, value in self._tuned[label].values()]
            rows.append(
                {
                    "label": label,
                    "validation": self._sign * median(values) if values else None,
                    "studies": len(values),
                    "by": "confirmation" if confirmed else "tuning",
                    **{name: counts[name] for name in ("trials", "confirmed", "dropped", "diverged", "failed")},
                }
            )
        return sorted(rows, key=lambda row: (row["validation"] is None, -self._sign * (row["validation"] or 0.0)))


def confirmed_curves(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a page's learning curves those of the confirmation, by label; other ones may still change."""
    found = document["learning"]
    return {label: known for label, known in found.items() if known and known["stage"] == Stage.CONFIRMATION}
