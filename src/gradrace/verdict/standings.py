"""Contenders in order, with ties shown as ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from gradrace.verdict.compare import FEWEST_STUDIES, Decision, Pair, mean_interval
from gradrace.verdict.scores import Direction, checked, sign


@dataclass(frozen=True)
class Standing:
    """Where one contender stands.

    Attributes:
        label: the contender's.
        place: 1 + the number of contenders detectably better than it.
        tied_with: labels of those with no detectable difference from it, in the order of the standings.
        mean: over studies, in the metric's units.
        interval: 95 % t interval of the mean over studies, or None with fewer than 3 studies, as for a pair.
        values: each study's mean over seeds.
    """

    label: str
    place: int
    tied_with: tuple[str, ...]
    mean: float
    interval: tuple[float, float] | None
    values: tuple[float, ...]


def standings(scores: Mapping[str, ArrayLike], pairs: Sequence[Pair], direction: Direction) -> list[Standing]:
    """The contenders by mean score, best first; equal means by label.

    "No detectable difference" is not transitive: the first may beat the second and tie with the third. Hence a place is
    counted from the decided pairs alone, several may share it, and places need not rise down the list.

    Args:
        scores: for each label the test values [K studies, S seeds], as given to ``compare`` or ``compare_unpaired``.
        pairs: what ``compare`` said of them, one for every two labels.
        direction: "min" or "max", whichever is better.
    """
    better = sign(direction)
    if not scores:
        return []
    wanted = {frozenset((a, b)) for a in scores for b in scores if a != b}
    if {frozenset((pair.a, pair.b)) for pair in pairs} != wanted or len(pairs) != len(wanted):
        raise ValueError(f"One pair for every two of the contenders {', '.join(scores)} is needed; received others.")

    table = checked(scores)
    by_study = {label: values.mean(axis=1) for label, values in table.items()}
    summaries = {label: mean_interval(values, fewest=FEWEST_STUDIES) for label, values in table.items()}
    order = sorted(scores, key=lambda label: (-better * summaries[label][0], label))
    beaten_by = dict.fromkeys(scores, 0)
    ties: dict[str, set[str]] = {label: set() for label in scores}
    for pair in pairs:
        if pair.decision == Decision.A_BETTER:
            beaten_by[pair.b] += 1
        elif pair.decision == Decision.B_BETTER:
            beaten_by[pair.a] += 1
        else:
            ties[pair.a].add(pair.b)
            ties[pair.b].add(pair.a)
    return [
        Standing(
            label=label,
            place=1 + beaten_by[label],
            tied_with=tuple(other for other in order if other in ties[label]),
            mean=summaries[label][0],
            interval=summaries[label][1],
            values=tuple(float(value) for value in by_study[label]),
        )
        for label in order
    ]
