"""Schmidt et al. 2021: trying many optimizers at their defaults is about as good as tuning one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import SHARE, above
from gradrace.claims._raced import Raced
from gradrace.optimizers import optimizer
from gradrace.race.spec import Contender
from gradrace.report.sentences import listed, number

MANY = (
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adam",
    "adamw",
    "adamax",
    "amsgrad",
    "nadam",
    "radam",
    "adan",
    "lion",
    "signum",
    "adopt",
)
WORKLOADS = ("digits", "clicks", "rare-words", "forecast")
QUICK_STEPS = {"digits": 150, "clicks": 546}
"""Where the quick claim races, and for how long: a quarter of a full trial."""
TUNED = "adam"


def races(quick: bool) -> dict[str, Asked]:
    """On each workload sixteen optimizers at their defaults, and Adam tuned in sixteen trials, in the same studies."""
    found = {}
    for name in QUICK_STEPS if quick else WORKLOADS:
        options = {"studies": 5, "seeds": 3, **({"steps": QUICK_STEPS[name]} if quick else {})}
        untuned = tuple(Contender(known, hyper=dict(optimizer(known).configure({}))) for known in MANY)
        found[f"defaults on {name}"] = Asked(name, untuned, {**options, "trials": 1, "halving": False})
        found[f"tuned on {name}"] = Asked(name, (TUNED,), {**options, "trials": len(MANY)})
    return found


def picked(raced: Raced) -> tuple[list[str], np.ndarray]:
    """By study the optimizer whose default did best on the validation split, and its test values there [K]."""
    sign = 1 if raced.direction == "max" else -1
    chosen = []
    for study in range(raced.summary["plan"]["studies"]):
        values = {label: raced.tuned(label, study)[0].validation for label in raced.labels}
        known = {label: sign * value for label, value in values.items() if value is not None}
        chosen.append(max(known, key=lambda label: known[label]) if known else raced.labels[0])
    return chosen, np.array([raced.scores(label)[study].mean() for study, label in enumerate(chosen)])


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """The pick is as good as the tuned one, on average over the workloads, in shares of what there is to gain."""
    beside, said = [], []
    for name in (name.removeprefix("tuned on ") for name in found if name.startswith("tuned on ")):
        defaults, tuned = found[f"defaults on {name}"], found[f"tuned on {name}"]
        chosen, values = picked(defaults)
        sign = 1 if tuned.direction == "max" else -1
        # Where nothing was gained there is nothing to be a share of.
        beside.append(sign * (values - tuned.scores(TUNED).mean(axis=1)) / (tuned.gain() or math.nan))
        best = max(set(chosen), key=chosen.count)
        said.append(f"{name} {number(values.mean())} (mostly {best}) against {number(tuned.mean(TUNED))}")
    check = above(
        f"the best of {len(MANY)} defaults is as good as {TUNED} tuned in {len(MANY)} trials, or better (margin "
        f"{SHARE:.0%} of the gain)",
        np.mean(beside, axis=0),
        -SHARE,
        "its lead as a share of the gain",
    )
    return [Check(check.part, check.so, f"{check.evidence}; {listed(said)}", check.more, check.numbers)]


claim = Claim(
    name="defaults",
    title="Trying many at their defaults is about as good as tuning one",
    source="R. M. Schmidt, F. Schneider, P. Hennig, Descending through a Crowded Valley (2021), "
    "https://arxiv.org/abs/2007.01547",
    statement="Evaluating many optimizers at their default hyperparameters works about as well as tuning those of one.",
    refuted_by="Adam, tuned in as many trials, is better than the best of sixteen defaults by more than 5 % of its "
    "gain.",
    races=races,
    judge=judge,
)
