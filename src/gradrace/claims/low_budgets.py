"""Sivaprasad et al. 2020: whoever can try only a few configurations does best with Adam."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Check, Claim
from gradrace.claims._judge import less
from gradrace.claims._raced import Raced
from gradrace.claims._suite import suite_races
from gradrace.report.sentences import listed

LOW = (1, 2, 4)
"""Budgets in configurations."""


def chances(raced: Raced, n: int) -> dict[str, float]:
    """P(best of n is best) of each contender, the mean over studies; configurations are compared at the first rung."""
    by_n = raced.summary["budget"]["probability_best_by_n"]
    return {label: by_n[label][n - 1] for label in raced.labels}


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """At each low budget Adam is more often best than the next contender; workloads are the unit.

    The next one is known only afterwards, so each budget has as many parts as it might have been contenders.
    """
    checks = []
    for n in LOW:
        by_workload = {name: chances(raced, n) for name, raced in found.items()}
        labels = list(next(iter(by_workload.values())))
        table = {label: np.array([row[label] for row in by_workload.values()]) for label in labels}
        rival = max((label for label in labels if label != "adam"), key=lambda label: table[label].mean())
        check = less(
            f"the best of {n} random configuration{'s' if n > 1 else ''} of adam is more often the best than that of "
            f"the "
            f"best other contender ({rival})",
            -table["adam"],
            -table[rival],
            "chance, with the sign turned,",
            len(LOW) * (len(labels) - 1),
        )
        order = sorted(labels, key=lambda label: -table[label].mean())
        evidence = f"chance over {len(found)} workloads: {listed([f'{x} {table[x].mean():.2f}' for x in order])}"
        more = check.more and check.more.replace("studies", "workloads")
        checks.append(Check(check.part, check.so, evidence, more, {**check.numbers, "by workload": by_workload}))
    return checks


claim = Claim(
    name="low-budgets",
    title="Low budgets favour Adam",
    source="P. T. Sivaprasad, F. Mai, T. Vogels, M. Jaggi, F. Fleuret, Optimizer Benchmarking Needs to Account for "
    "Hyperparameter "
    "Tuning (2020), https://arxiv.org/abs/1910.11758",
    statement="With a budget of few configurations, drawn from its range, Adam is the most likely to give the best "
    "result.",
    refuted_by="Over the primer's workloads another optimizer's best of 1, 2 or 4 configurations is detectably more "
    "often the "
    "best than Adam's.",
    races=suite_races,
    judge=judge,
)
