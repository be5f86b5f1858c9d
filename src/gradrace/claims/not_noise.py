"""Kunstner et al. 2023: noise is not the reason; the gap between SGD and Adam stays as batches grow."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import above, better, slopes
from gradrace.claims._raced import Raced
from gradrace.report.sentences import number

BATCHES = (4, 16, 64)
PARTS = 2


def races(quick: bool) -> dict[str, Asked]:
    """SGD and Adam on prose, with batches of rising size and the same number of steps."""
    options = {"studies": 5, "trials": 8, "seeds": 2, "steps": 100 if quick else 225}
    sizes = BATCHES[:2] if quick else BATCHES
    return {f"batch {size}": Asked("language", ("sgd", "adam"), {**options, "batch_size": size}) for size in sizes}


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Adam is ahead at the largest batch, and its lead has not shrunk by half from the smallest."""
    gaps = {int(name.split()[1]): (r.scores("sgd") - r.scores("adam")).mean(axis=1) for name, r in found.items()}
    sizes = sorted(gaps)
    first = gaps[sizes[0]]
    table = np.stack([gaps[size] for size in sizes], axis=1)
    doublings = math.log2(sizes[-1] / sizes[0])
    change = slopes([math.log2(size) for size in sizes], table) * doublings
    # Study by study, so that the luck of the first gap counts as well as that of the change.
    kept = above(
        f"from batches of {sizes[0]} to {sizes[-1]} the gap does not shrink by more than half",
        change + first / 2,
        0.0,
        f"gap {number(float(first.mean()))} at {sizes[0]}, its change {number(float(change.mean()))}, change and half "
        "of the first gap together",
        PARTS,
    )
    by_size = {str(size): float(gaps[size].mean()) for size in sizes}
    return [
        better(found[f"batch {sizes[-1]}"], "adam", "sgd", PARTS),
        Check(kept.part, kept.so, kept.evidence, kept.more, {**kept.numbers, "gap by batch size": by_size}),
    ]


claim = Claim(
    name="not-noise",
    title="The gap between SGD and Adam is not due to noise",
    source="F. Kunstner, J. Chen, J. W. Lavington, M. Schmidt, Noise Is Not the Main Factor Behind the Gap Between "
    "SGD and Adam "
    "on Transformers, but Sign Descent Might Be (2023), https://arxiv.org/abs/2304.13960",
    statement="On a transformer the gap between SGD and Adam persists or grows as batches grow and the gradient's "
    "noise fades.",
    refuted_by="With the largest batches SGD is better than Adam, or the gap has shrunk by more than half from the "
    "smallest.",
    races=races,
    judge=judge,
)
