"""Every sentence of a suite's summary, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradrace.report.sentences import listed, number

NOTHING_WORKED = (
    "No contender has a working configuration on any workload of the suite: every trial diverged or failed. "
    "Lower learning rates would come next."
)


def verdict(contenders: Sequence[str], ranks: Mapping[str, Any]) -> str:
    """What the suite found, in a sentence or two."""
    count, mean = ranks["workloads"], ranks["mean"]
    if not count:
        return NOTHING_WORKED
    over = f"over {count} workload{'s' if count != 1 else ''}"
    if len(contenders) == 1:
        return f"{contenders[0]} raced alone {over}, so this says nothing about other optimizers."
    lowest = min(mean.values())
    best = [label for label, rank in mean.items() if rank == lowest]
    if len(best) == len(contenders):
        return f"No detectable difference: all contenders have the same mean rank {over}."
    lead = (
        f"{listed(best)} {'has' if len(best) == 1 else 'share'} the best mean rank {over} "
        f"({lowest:.2f}, where 1 is first on each and {len(contenders)} is last)"
    )
    if ranks["p"] is None:
        return f"{lead}. {ranks['reason']}"
    beaten = [worse for better, worse in ranks["apart"] if better == best[0]]
    others = [label for label in contenders if label not in (*best, *beaten)]
    if beaten:
        rest = f" It cannot be told apart from {listed(others)}." if others else ""
        return f"{lead}, detectably better across them than {listed(beaten)}.{rest}"
    if ranks["p"] < ranks["alpha"]:
        return (
            f"{lead}. Not all contenders are equally good (Friedman's test, p = {number(ranks['p'])}), but it cannot "
            "be told which is the best."
        )
    test = "the sign test" if len(contenders) == 2 else "Friedman's test"
    luck = f"but their ranks could as well be luck ({test}, p = {number(ranks['p'])})"
    return f"No detectable difference across the suite: {lead}, {luck}."


def use(known: Mapping[str, Any], contenders: int) -> str:
    """A workload on which a contender is first, with those it shares the place with."""
    what = f"{known['workload']} ({known['stands_for']})" if known["stands_for"] else known["workload"]
    tied = known["tied_with"]
    if not tied:
        return what
    return f"{what}, tied with {'all others' if len(tied) == contenders - 1 > 1 else listed(tied)}"


def evidence(known: Mapping[str, int]) -> str:
    """How often a contender was first and how often beaten, in lines."""
    return f"{known['first_alone']} first alone\n{known['first_tied']} first, tied\n{known['beaten']} beaten"


def skipped(workload: str, reason: str) -> str:
    """Why a workload of the suite was not raced on."""
    return f"{workload} was left out: {reason}"


def unfinished(workload: str, race: str) -> str:
    """Why a race has no part in the suite's verdict."""
    return f"{workload} was left out: its race has not finished. Go on with: gradrace resume {race}"


def nothing_worked_on(workloads: Sequence[str]) -> str:
    """Workloads that say nothing."""
    return (
        f"On {listed(workloads)} no contender has a working configuration: every trial diverged or failed. "
        f"Averages, ranks and the table leave {'it' if len(workloads) == 1 else 'them'} out."
    )


def other_scale(workloads: Sequence[str]) -> str:
    """Where the scale does not begin at the untrained model."""
    return (
        f"On {listed(workloads)} no contender is better than the untrained model, or its value is not known: there the "
        "normalized score is 0 for the worst contender, which makes small differences look large."
    )


def no_difference(workloads: Sequence[str]) -> str:
    """Where nothing could be put on a scale."""
    return f"On {listed(workloads)} all contenders have the same mean: the normalized score is 1 for each."


def no_target(workloads: Sequence[str]) -> str:
    """Which workloads say nothing of speed."""
    return f"Steps to target leave out {listed(workloads)}: no contender reached a target there, or there is none."


def few_studies(fewest: int) -> str:
    """What few studies do to intervals."""
    if fewest < 2:
        return "There are no intervals: some race had a single study, which says nothing of luck."
    return f"With {fewest} studies in a race the intervals of averages are too narrow; take them as a rough guide."


def own_warnings(races: Mapping[str, str]) -> str:
    """Which races say more."""
    shown = ", ".join(f"{race} ({workload})" for workload, race in races.items())
    return f"Some races have warnings of their own, which gradrace show ID tells: {shown}."


def judged(ranks: Mapping[str, Any]) -> str:
    """How ranks were tested."""
    if ranks["p"] is None:
        return ranks["reason"]
    test = "the sign test" if len(ranks["mean"]) == 2 else "Friedman's test"
    what = f"Mean rank: by mean score on each of {ranks['workloads']} workloads. That all are equally good has "
    far = f"{ranks['critical_difference']:.2f} (Nemenyi's critical difference)"
    if ranks["p"] < ranks["alpha"]:
        return f"{what}p = {number(ranks['p'])} by {test}; mean ranks further apart than {far} differ detectably."
    return f"{what}p = {number(ranks['p'])} by {test}, so no two are told apart; that would also take more than {far}."
