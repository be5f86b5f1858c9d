"""Successive halving within one study: pure functions of values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradrace.errors import SpecError

RUNGS = 3
"""Rungs with halving: at a quarter and at half of the steps half of a study's trials drop out; the last is the end."""


def check_halving(trials: int, steps: int) -> None:
    """Raise a SpecError unless a study of ``trials`` trials of ``steps`` steps can be halved at every rung."""
    share = 2 ** (RUNGS - 1)
    if trials % share:
        near = max(share, round(trials / share) * share)
        raise SpecError(
            f"The number of trials is {trials}, but halving over {RUNGS} rungs needs a multiple of {share}, "
            f"such as {near}; without halving any number will do."
        )
    if steps < share:
        raise SpecError(
            f"The number of steps is {steps}, but {RUNGS} rungs at a quarter, a half and the whole of a trial "
            f"need at least {share}; without halving one step is enough."
        )


def rung_steps(steps: int, halving: bool) -> tuple[int, ...]:
    """The step counts at which a study's trials are compared; the last one is ``steps``.

    >>> rung_steps(800, True)
    (200, 400, 800)
    >>> rung_steps(800, False)
    (800,)
    """
    if not halving:
        return (steps,)
    return tuple(max(1, steps * 2**rung // 2 ** (RUNGS - 1)) for rung in range(RUNGS))


def survivors(values: Sequence[tuple[float, float]], maximize: bool) -> list[int]:
    """Which trials of a study go on: the better half, at least one, in their order.

    ``values`` has (metric, loss) of each; the lower loss decides between equal metrics, then the lower index. A value
    that is not finite is worse than any other: a diverged trial goes on only to fill the half, and stays diverged.

    >>> survivors([(0.9, 1.0), (0.5, 1.0), (0.9, 0.5), (math.nan, 0.1)], maximize=True)
    [0, 2]
    """
    return sorted(ranking(values, maximize)[: max(1, math.ceil(len(values) / 2))])


def ranking(values: Sequence[tuple[float, float]], maximize: bool) -> list[int]:
    """Indices from best to worst, by the rules of ``survivors``."""
    sign = -1.0 if maximize else 1.0

    def key(index: int) -> tuple[bool, float, float, int]:
        metric, loss = values[index]
        if not _finite(values[index]):
            return True, 0.0, 0.0, index
        return False, sign * metric, loss, index

    return sorted(range(len(values)), key=key)


def _finite(value: tuple[float, float]) -> bool:
    return math.isfinite(value[0]) and math.isfinite(value[1])
