"""The primer on Adam: the all-rounder, good nearly everywhere."""

from __future__ import annotations

from collections.abc import Mapping

from gradrace.claims._base import Check, Claim
from gradrace.claims._judge import not_worse
from gradrace.claims._raced import Raced
from gradrace.claims._suite import suite_races
from gradrace.report.sentences import listed

NEARLY = 0.75
"""The share of workloads that is nearly everywhere."""


def places(found: Mapping[str, Raced], label: str) -> dict[str, bool | None]:
    """By workload: whether a contender is as good there as every other one; None where it cannot be told."""
    verdicts: dict[str, bool | None] = {}
    for name, raced in found.items():
        checks = [not_worse(raced, label, other, len(raced.labels) - 1).so for other in raced.labels if other != label]
        verdicts[name] = False if False in checks else True if all(checks) else None
    return verdicts


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Good in three quarters of the workloads, and of the best mean rank."""
    verdicts = places(found, "adam")
    known = {so: [name for name, verdict in verdicts.items() if verdict is so] for so in (True, False, None)}
    needed = NEARLY * len(verdicts)
    so = True if len(known[True]) >= needed else False if len(verdicts) - len(known[False]) < needed else None
    evidence = "; ".join(
        f"{words} {listed(names)}"
        for words, names in (
            ("as good as the best on", known[True]),
            ("worse by more than 5 % of the best one's gain on", known[False]),
            ("not to be told on", known[None]),
        )
        if names
    )
    more = f"More studies on {listed(known[None])}." if so is None else None
    everywhere = Check(
        f"adam is as good as the best in at least {NEARLY:.0%} of the workloads",
        so,
        evidence,
        more,
        {"by workload": verdicts},
    )
    return [everywhere, rank(found)]


def rank(found: Mapping[str, Raced]) -> Check:
    """No contender's mean rank is better by more than the critical difference."""
    from gradrace.verdict.ranks import mean_ranks  # which takes scipy.stats along: not for a list of the claims

    scores = {name: {label: raced.scores(label) for label in raced.labels} for name, raced in found.items()}
    ranks = mean_ranks(scores, {name: raced.direction for name, raced in found.items()})
    part = "no contender's mean rank over the workloads is better than adam's by the critical difference"
    if ranks.critical_difference is None:
        return Check(part, None, str(ranks.reason), "Races on at least three workloads.")
    first = min(ranks.mean, key=lambda label: ranks.mean[label])
    behind = ranks.mean["adam"] - ranks.mean[first]
    order = sorted(ranks.mean.items(), key=lambda item: item[1])
    evidence = f"mean ranks: {listed([f'{label} {value:.2f}' for label, value in order])}; critical difference "
    evidence += f"{ranks.critical_difference:.2f} over {len(found)} workloads"
    return Check(part, behind <= ranks.critical_difference, evidence, numbers={"mean rank": dict(ranks.mean)})


claim = Claim(
    name="adam-everywhere",
    title="Adam is good nearly everywhere",
    source="the primer, on Adam: image classification, language, translation, chatbots; and its conclusion",
    statement="Adam is a fast and stable all-rounder, and the one that is used most.",
    refuted_by="On more than a quarter of the primer's workloads another optimizer is better by more than 5 % of the "
    "best "
    "one's gain, or another one's mean rank is better by more than the critical difference.",
    races=suite_races,
    judge=judge,
)
