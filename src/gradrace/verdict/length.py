"""Whether a race was long enough: does its order change on the way, and do its curves still rise at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradrace.verdict.compare import Decision, compare
from gradrace.verdict.scores import Direction, sign


class OrderChange(NamedTuple):
    """Two contenders whose order at the end is not that of before. Values are means, in the metric's units.

    Attributes:
        first: label of the one ahead earlier.
        last: label of the one ahead at the end.
        earlier: values of ``first`` and ``last`` earlier.
        end: values of ``first`` and ``last`` at the end.
    """

    first: str
    last: str
    earlier: tuple[float, float]
    end: tuple[float, float]


def order_changes(
    earlier: Mapping[str, ArrayLike], end: Mapping[str, ArrayLike], direction: Direction
) -> list[OrderChange]:
    """The pairs whose mean difference has one sign earlier in a race and the other at its end.

    A pair is told if ``compare`` detects its difference at one of the two moments at least, by Holm's procedure over
    all pairs of that moment: two differences that are both luck change signs often and mean nothing. The two moments
    are of the same runs and tested each at 5 %, so a change is a hint, not a verdict.

    Args:
        earlier: for each label the values [K studies, S seeds] at the earlier moment, finite, in the metric's units.
        end: the same runs at the end, for the same labels.
        direction: "min" or "max", whichever is better.

    Returns:
        The changes, in the order of ``compare``.
    """
    better, changes = sign(direction), []
    pairs = (compare({label: moment[label] for label in earlier}, direction) for moment in (earlier, end))
    for before, after in zip(*pairs, strict=True):
        if np.sign(before.difference) * np.sign(after.difference) >= 0:
            continue
        if before.decision == after.decision == Decision.UNDECIDED:
            continue
        a_first = better * before.difference > 0
        first, last = (before.a, before.b) if a_first else (before.b, before.a)
        means = [(_mean(moment[first]), _mean(moment[last])) for moment in (earlier, end)]
        changes.append(OrderChange(first, last, means[0], means[1]))
    return changes


class LateGain(NamedTuple):
    """How much of a contender's improvement came late.

    Attributes:
        share: of the whole improvement, the part that came after the later moment; negative if it got worse again.
        detectable: the late improvement can be told from luck, by the test of ``compare``.
    """

    share: float
    detectable: bool


def late_gain(start: ArrayLike, later: ArrayLike, end: ArrayLike, direction: Direction) -> LateGain | None:
    """Which share of one contender's improvement came late: large where its curves have not flattened.

        share = mean(end - later) / mean(end - start),   means over studies and seeds.

    Whether the numerator is more than luck is tested as a pair of contenders is, on paired differences of the study
    means (``compare``), which needs 3 studies. No correction for the number of contenders asked about.

    Args:
        start: values [K studies, S seeds] at the beginning, finite, in the metric's units.
        later: the same runs at a later moment.
        end: the same runs at the end.
        direction: "min" or "max", whichever is better.

    Returns:
        The share, or None if there was no improvement to have a share of.
    """
    better = sign(direction)
    whole = better * (_mean(end) - _mean(start))
    if whole <= 0:
        return None
    (pair,) = compare({"end": end, "later": later}, direction)
    return LateGain(better * pair.difference / whole, pair.decision == Decision.A_BETTER)


def _mean(values: ArrayLike) -> float:
    return float(np.asarray(values, dtype=float).mean())
