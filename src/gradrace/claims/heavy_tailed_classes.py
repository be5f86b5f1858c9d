"""Kunstner et al. 2024: with heavy-tailed class imbalance SGD stalls on rare classes, Adam and sign descent do not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import better, less
from gradrace.claims._raced import Raced
from gradrace.race.spec import Contender
from gradrace.workloads.imbalance import make

PARTS = 4


def races(quick: bool) -> dict[str, Asked]:
    """SGD, Adam and sign descent on the imbalanced classes, and SGD and Adam on the balanced control."""
    m = 6 if quick else 7
    sign = Contender("signum", label="sign descent", hyper={"momentum": 0.0})
    options = {"studies": 5, "trials": 8, "seeds": 2, "steps": 60 if quick else 100}
    return {
        "imbalanced": Asked(make(m), ("sgd", "adam", sign), options),
        "balanced": Asked(make(m, balanced=True), ("sgd", "adam"), options),
    }


def lead(raced: Raced, group: str) -> np.ndarray:
    """SGD's loss less Adam's [K] on the classes of one size."""
    return raced.others("sgd", group).mean(axis=1) - raced.others("adam", group).mean(axis=1)


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Adam and sign descent ahead; by more on the rare classes than on the common; by less in the control."""
    raced, control = found["imbalanced"], found["balanced"]
    gaps = {name: each.scores("sgd").mean(axis=1) - each.scores("adam").mean(axis=1) for name, each in found.items()}
    groups = sorted(raced.row("sgd")["others"], key=lambda name: int(name.split()[0]))  # "2 samples", "4 samples", ...
    by_size = {label: {group: raced.row(label)["others"][group]["mean"] for group in groups} for label in raced.labels}
    rare = less(
        "adam's lead over sgd is greater on the rarest classes than on the commonest",
        lead(raced, groups[-1]),
        lead(raced, groups[0]),
        "lead in loss, commonest against rarest:",
        PARTS,
    )
    return [
        better(raced, "adam", "sgd", PARTS),
        better(raced, "sign descent", "sgd", PARTS),
        Check(rare.part, rare.so, rare.evidence, rare.more, {**rare.numbers, "loss by size of class": by_size}),
        less(
            "its lead is smaller in the balanced control",
            gaps["balanced"],
            gaps["imbalanced"],
            f"lead in {control.metric}, balanced against imbalanced:",
            PARTS,
        ),
    ]


claim = Claim(
    name="heavy-tailed-classes",
    title="With many rare classes SGD stalls, Adam and sign descent do not",
    source="F. Kunstner, R. Yadav, A. Milligan, M. Schmidt, A. Bietti, Heavy-Tailed Class Imbalance and Why Adam "
    "Outperforms "
    "Gradient Descent on Language Models (2024), https://arxiv.org/abs/2402.19449",
    statement="Where most classes are rare, as words are, SGD makes slow progress on the rare ones; Adam and sign "
    "descent "
    "do not. A balanced control shows no such gap.",
    refuted_by="SGD is better than Adam or sign descent on imbalanced classes, or Adam's lead is no greater on rare "
    "classes "
    "than on common ones, or no greater than where all classes are of one size.",
    races=races,
    judge=judge,
)
