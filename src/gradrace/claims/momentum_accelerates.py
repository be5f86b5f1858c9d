"""The primer on Momentum: it gathers speed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import above, below, less
from gradrace.claims._quadratics import exponents, quadratics, steps_per_decade
from gradrace.claims._raced import Raced
from gradrace.claims._suite import suite_races
from gradrace.verdict import arrival

PARTS = 3
MIDDLE = 0.75
"""Half-way between the powers 1/2 and 1 of the condition number."""


def races(quick: bool) -> dict[str, Asked]:
    """Quadratics of rising condition number, and the five at the game."""
    return {**quadratics(quick), "game": suite_races(quick)["game"]}


def steps_to_target(raced: Raced, label: str) -> np.ndarray:
    """Steps until the workload's target [K], the mean over seeds; a seed that never gets there counts as the length."""
    target, end = raced.summary["workload"]["target"], raced.summary["plan"]["steps_of"][label]
    table = np.full(raced.scores(label).shape, float(end))
    for outcome in raced.confirmed(label):
        curve = outcome.curve.step, outcome.curve.validation
        table[outcome.study, outcome.seed - 1] = min(end, arrival(curve, target, raced.direction))
    return table.mean(axis=1)


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Steps against the condition number, and steps to the target of the game."""
    power = exponents(steps_per_decade(found, "momentum"))
    plain = exponents(steps_per_decade(found, "sgd"))
    game = found["game"]
    return [
        below(
            "on quadratics momentum's steps grow by a power of the condition number below 0.75 (theory: 0.5)",
            power,
            MIDDLE,
            "power",
            PARTS,
        ),
        above("and sgd's by a power above 0.75 (theory: 1)", plain, MIDDLE, "power", PARTS),
        less(
            "on game momentum reaches the target in fewer steps than sgd",
            steps_to_target(game, "momentum"),
            steps_to_target(game, "sgd"),
            "steps (the whole length where it was not reached)",
            PARTS,
        ),
    ]


claim = Claim(
    name="momentum-accelerates",
    title="Momentum accelerates",
    source="the primer, on Momentum: game AI that must react fast",
    statement="Momentum remembers its direction and gathers speed, like inertia: it needs fewer steps than SGD.",
    refuted_by="On quadratics its steps grow with the condition number as fast as SGD's, or on `game` it needs more "
    "steps to the target than SGD.",
    races=races,
    judge=judge,
)
