"""Duchi, Hazan and Singer 2011: where features are rare, and the rare ones tell, AdaGrad is ahead."""

from __future__ import annotations

from collections.abc import Mapping

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import better, less
from gradrace.claims._raced import Raced
from gradrace.workloads.rare_features import make

PARTS = 2


def races(quick: bool) -> dict[str, Asked]:
    """AdaGrad and SGD on rare features, and on the control where every feature is always there."""
    studies = 5 if quick else 8
    both = ("adagrad", "sgd")
    return {
        "sparse": Asked("rare-features", both, {"studies": studies}),
        "dense": Asked(make(sparse=False), both, {"studies": studies}),
    }


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Ahead where features are rare, and further ahead there than in the control."""
    lead = {
        name: raced.scores("sgd").mean(axis=1) - raced.scores("adagrad").mean(axis=1) for name, raced in found.items()
    }
    return [
        better(found["sparse"], "adagrad", "sgd", PARTS),
        less(
            "its lead is smaller in the control, where every feature is always there",
            lead["dense"],
            lead["sparse"],
            "lead in log loss, control against rare:",
            PARTS,
        ),
    ]


claim = Claim(
    name="sparse-features",
    title="Sparse features favour AdaGrad",
    source="J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning and Stochastic "
    "Optimization (2011)",
    statement="Where most features are rare and the rare ones carry the signal, AdaGrad learns better than SGD.",
    refuted_by="SGD is better than AdaGrad on rare features, or AdaGrad's lead is as great or greater where none is "
    "rare.",
    races=races,
    judge=judge,
)
