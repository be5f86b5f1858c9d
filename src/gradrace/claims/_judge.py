"""Parts of claims that many share: better, not worse by much, an interval on one side of a bound.

All of them rest on the test of the verdict, ``compare``: the study is the unit of replication. A claim of several parts
passes ``parts``, and each part is tested at 5 % divided by so many, so that a true claim of any number of parts is
refuted by luck in at most 5 % of suites.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gradrace.claims._base import Check
from gradrace.claims._raced import Raced
from gradrace.report.sentences import interval as bounds_in_words
from gradrace.report.sentences import number, reason
from gradrace.verdict import Decision, Direction, Pair, compare, mean_interval
from gradrace.verdict.scores import sign

LEVEL = 0.05
SHARE = 0.05
"""As good: within this share of what the best contender gained over the untrained model."""


def better(raced: Raced, label: str, other: str, parts: int = 1) -> Check:
    """``label`` is detectably better than ``other``; refuted where it is detectably worse."""
    pair = _pair(raced.scores(label), raced.scores(other), raced.direction, parts)
    return _checked(
        f"{label} is better than {other} on {raced.name}",
        pair,
        len(raced.scores(label)),
        f"{raced.metric} {number(raced.mean(label))} against {number(raced.mean(other))}",
    )


def not_worse(
    raced: Raced, label: str, other: str, parts: int = 1, share: float = SHARE, margin: float | None = None
) -> Check:
    """``label`` is not worse than ``other`` by more than a margin: non-inferiority.

    With the difference signed so that more is better: if its interval lies above minus the margin, it is as good; if
    below, it is not. p and the studies that would decide are those of ``label`` with the margin as a present. The same
    value on every seed of every study is as good by any margin above 0.

    Args:
        raced: the race.
        label: who is to be as good.
        other: as whom.
        parts: of the claim.
        share: the margin as a share of the best contender's gain over the untrained model.
        margin: instead of ``share``: in the metric's units.
    """
    margin = share * raced.gain() if margin is None else margin
    better = sign(raced.direction)
    first, second = raced.scores(label), raced.scores(other)
    pair, given = (_pair(first + better * gift, second, raced.direction, parts) for gift in (0.0, margin))
    decision = Decision.UNDECIDED
    if pair.interval is not None:
        low, high = sorted(better * end for end in pair.interval)
        decision = Decision.A_BETTER if low > -margin else Decision.B_BETTER if high < -margin else decision
    judged = replace(given, difference=pair.difference, interval=pair.interval, decision=decision)
    check = _checked(
        f"{label} is as good as {other} on {raced.name}, or better (margin {number(margin)})",
        judged,
        len(first),
        f"{raced.metric} {number(raced.mean(label))} against {number(raced.mean(other))}",
    )
    return replace(check, numbers={**check.numbers, "margin": margin})


def less(part: str, first: np.ndarray, second: np.ndarray, what: str, parts: int = 1) -> Check:
    """The mean of ``first`` [K] over studies is below that of ``second``; refuted where it is detectably above."""
    usable = np.isfinite(first) & np.isfinite(second)
    few = _too_few(part, usable)
    if few is not None:
        return few
    pair = _pair(first[usable][:, None], second[usable][:, None], "min", parts)
    evidence = f"{what} {number(float(first[usable].mean()))} against {number(float(second[usable].mean()))}"
    return _checked(part, pair, int(usable.sum()), evidence, _left_out(usable))


def below(part: str, values: np.ndarray, bound: float, what: str, parts: int = 1) -> Check:
    """The mean of ``values`` [K] over studies is below a bound; refuted where its interval lies above."""
    return within(part, values, -math.inf, bound, what, parts)


def above(part: str, values: np.ndarray, bound: float, what: str, parts: int = 1) -> Check:
    """The mean of ``values`` [K] over studies is above a bound; refuted where its interval lies below."""
    return within(part, values, bound, math.inf, what, parts)


def within(part: str, values: np.ndarray, low: float, high: float, what: str, parts: int = 1) -> Check:
    """The mean of ``values`` [K] over studies lies in a range: its interval does; refuted where it lies outside."""
    usable = np.isfinite(values)
    few = _too_few(part, usable)
    if few is not None:
        return few
    mean, ends = mean_interval(values[usable], 1 - LEVEL / parts)
    assert ends is not None
    inside = low <= ends[0] and ends[1] <= high
    outside = ends[1] < low or ends[0] > high
    so = True if inside else False if outside else None
    more = None
    if so is None:
        more = f"The interval reaches over {number(high if ends[1] > high else low)}; more studies would narrow it."
    evidence = f"{what} {number(mean)} {bounds_in_words(ends)}{_left_out(usable)}"
    numbers = {"mean": mean, "interval": list(ends), "bounds": [_finite(low), _finite(high)]}
    return Check(part, so, evidence, more, numbers)


def _too_few(part: str, usable: np.ndarray) -> Check | None:
    if usable.sum() >= 3:
        return None
    count = int(usable.sum())
    return Check(part, None, f"only {count} of {len(usable)} studies have a value", "At least 3 studies are needed.")


def _left_out(usable: np.ndarray) -> str:
    return "" if usable.all() else f", over the {int(usable.sum())} of {len(usable)} studies that have a value"


def _pair(first: np.ndarray, second: np.ndarray, direction: Direction, parts: int) -> Pair:
    return compare({"first": first, "second": second}, direction, LEVEL / parts)[0]


def _checked(part: str, pair: Pair, studies: int, means: str, left_out: str = "") -> Check:
    so = {Decision.A_BETTER: True, Decision.B_BETTER: False, Decision.UNDECIDED: None}[pair.decision]
    more = None
    if so is None:
        more = reason(pair.reason, studies) or "Too near to the line: no number of studies up to 1,000 would settle it."
        if pair.studies_to_decide is not None:
            more = f"About {pair.studies_to_decide} studies, if difference and spread are as seen."
    evidence = f"{means}, difference {number(pair.difference)} {bounds_in_words(pair.interval)}".rstrip() + left_out
    numbers = {
        "difference": pair.difference,
        "interval": None if pair.interval is None else list(pair.interval),
        "p": pair.p,
        "studies_to_decide": pair.studies_to_decide,
    }
    return Check(part, so, evidence, more, numbers)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def slopes(x: Sequence[float], y: np.ndarray) -> np.ndarray:
    """Least-squares slopes [K] of ``y`` [K, n] against ``x`` [n], one for each study."""
    away = np.asarray(x, dtype=float) - np.mean(x)
    return (y * away).sum(axis=1) / (away**2).sum()
