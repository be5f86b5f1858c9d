"""Races on quadratics of rising condition number, and how fast SGD and Momentum close in on the minimum there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gradrace.claims._base import Asked
from gradrace.claims._judge import slopes
from gradrace.claims._raced import Raced
from gradrace.race.spec import Contender
from gradrace.space import LogUniform
from gradrace.workloads.quadratic import make

KAPPAS = (30.0, 100.0, 300.0, 1000.0)
TRIALS, SEEDS = 16, 4


def best_rates(label: str, kappa: float) -> dict[str, float]:
    """The constant rates under which the distance from the minimum shrinks fastest; curvatures from l to L.

    Gradient descent: lr = 2 / (L + l). Momentum: lr = 4 / (sqrt(L) + sqrt(l))^2, and momentum the square of
    (sqrt(kappa) - 1) / (sqrt(kappa) + 1). Source: Polyak 1964; Nesterov 2004, section 2.1.
    """
    most, least = math.sqrt(kappa), 1 / math.sqrt(kappa)
    if label == "sgd":
        return {"lr": 2 / (most + least)}
    root = math.sqrt(kappa)
    return {"lr": 4 / (math.sqrt(most) + math.sqrt(least)) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2}


def at_best(label: str) -> str:
    """What the contender is called that is held at the best rates."""
    return f"{label} at the best rates"


def quadratics(quick: bool) -> dict[str, Asked]:
    """For each condition number a race of SGD over 4 kappa steps, and one of Momentum over 5 sqrt(kappa).

    Each tuned, beside itself held at the best rates that theory knows. Apart, and each over a length of its own: over
    the other's length one would have arrived long before the end, where no rate can be read off, and the other would
    hardly have begun.
    """
    found = {}
    spaces = {"sgd": {}, "momentum": {"momentum": LogUniform(1e-2, 1, one_minus=True)}}
    for kappa in KAPPAS:
        for label, steps in (("sgd", round(4 * kappa)), ("momentum", round(5 * math.sqrt(kappa)))):
            held = Contender(label, label=at_best(label), hyper=best_rates(label, kappa))
            options = {"studies": 5 if quick else 16, "trials": TRIALS, "seeds": SEEDS}
            task = replace(make(kappa), steps=steps)
            found[f"{label} at {kappa:g}"] = Asked(task, (Contender(label, space=spaces[label]), held), options)
    return found


def steps_per_decade(found: Mapping[str, Raced], label: str, held: bool = False) -> np.ndarray:
    """Steps in which the excess loss falls by a factor of ten [studies, kappas], over the second half of the trials.

    ``held``: of the contender held at the best rates. The rate of a seed is (log10 at the half - log10 at the end) /
    steps between. Where a study's mean over seeds does not fall, NaN.
    """
    columns = []
    for kappa in KAPPAS:
        raced = found[f"{label} at {kappa:g}"]
        name = at_best(label) if held else label
        (begun, before), (ended, after) = raced.curve_at(name, 0.5), raced.curve_at(name, 1.0)
        rate = ((before - after) / (ended - begun)).mean(axis=1)
        columns.append(np.where(rate > 0, 1 / np.where(rate > 0, rate, 1.0), np.nan))
    return np.stack(columns, axis=1)


def in_theory(label: str, kappa: float) -> float:
    """Steps per decade of the excess loss at the best constant rates (Nesterov 2004, section 2.1; Polyak 1964).

    The distance from the minimum shrinks by (q - 1) / (q + 1) at each step, q = kappa for gradient descent and its root
    for Momentum; the loss by the square.
    """
    q = kappa if label == "sgd" else math.sqrt(kappa)
    return math.log(10) / (2 * math.log((q + 1) / (q - 1)))


def exponents(steps: np.ndarray) -> np.ndarray:
    """The power of kappa that the steps [K, kappas] grow by, one for each study [K]: the slope on log-log axes."""
    return slopes([math.log(kappa) for kappa in KAPPAS], np.log(steps))
