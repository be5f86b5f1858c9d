"""Polyak 1964: on a quadratic Momentum needs about the root of the steps that gradient descent needs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import within
from gradrace.claims._quadratics import KAPPAS, exponents, in_theory, quadratics, steps_per_decade
from gradrace.claims._raced import Raced

HALF, APART = 0.5, 0.2
"""The advantage grows with the condition number by this power, give or take."""
FACTOR = 2.0
"""Theory bounds the steps in the long run; a short one may need more or fewer by this."""


def races(quick: bool) -> dict[str, Asked]:
    """Quadratics of rising condition number."""
    return quadratics(quick)


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """The power of the advantage when both are tuned, and the steps at the best rates beside those of theory."""
    steps = {label: steps_per_decade(found, label) for label in ("sgd", "momentum")}
    advantage = steps["sgd"] / steps["momentum"]
    checks = [
        within(
            f"sgd's steps over momentum's grow by the power {HALF} of the condition number, give or take {APART}",
            exponents(advantage),
            HALF - APART,
            HALF + APART,
            "power",
            3,
        )
    ]
    for label in steps:
        theory = np.array([in_theory(label, kappa) for kappa in KAPPAS])
        beside = np.exp(np.log(steps_per_decade(found, label, held=True) / theory).mean(axis=1))
        part = f"held at its best rates, {label} needs the steps of theory, within a factor of {FACTOR:g}"
        checks.append(within(part, beside, 1 / FACTOR, FACTOR, "times as many", 3))
    return checks


claim = Claim(
    name="acceleration",
    title="Momentum needs about the root of the steps on a quadratic",
    source="B. T. Polyak, Some methods of speeding up the convergence of iteration methods (1964)",
    statement="On a quadratic of condition number kappa gradient descent needs a number of steps proportional to "
    "kappa, "
    f"Momentum one proportional to its root (here kappa from {KAPPAS[0]:g} to {KAPPAS[-1]:g}, "
    f"a factor of {math.sqrt(KAPPAS[-1] / KAPPAS[0]):.1f} between the ends).",
    refuted_by="Tuned, the advantage grows by another power than 0.5 (outside 0.3 to 0.7), or runs at the best rates "
    "miss the "
    "theoretical steps by more than a factor of two.",
    races=races,
    judge=judge,
)
