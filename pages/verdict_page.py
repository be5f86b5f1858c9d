"""How to read a verdict, for people without statistics: with cases that the shipped evidence holds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from markup import page, table

from gradrace.evidence import evidence
from gradrace.report.sentences import interval, number


class Case(NamedTuple):
    """A pair of contenders in a shipped race, and the mean test value of each study."""

    workload: str
    race: Mapping[str, Any]
    pair: Mapping[str, Any]
    a: list[float]
    b: list[float]

    def wins(self) -> int:
        """Studies in which a is the better one."""
        sign = 1 if self.race["workload"]["direction"] == "max" else -1
        return sum(sign * (x - y) > 0 for x, y in zip(self.a, self.b, strict=True))


def cases() -> dict[str, Case]:
    """The clearest difference, the most equal pair, and the largest effect in which both were ahead at times."""
    known = list(_known())
    decided = [case for case in known if case.pair["decision"] != "no detectable difference"]
    open_ = [case for case in known if case.pair["decision"] == "no detectable difference"]
    mixed = [case for case in open_ if 0 < case.wins() < len(case.a)]
    return {
        "clear": min(decided, key=lambda case: case.pair["p_adjusted"]),
        "tie": min(open_, key=lambda case: abs(case.pair["effect_size"])),
        "luck": max(mixed, key=lambda case: abs(case.pair["effect_size"])),
    }


def _known() -> Iterator[Case]:
    for name, race in evidence()["races"].items():
        values = {row["label"]: [statistics.fmean(s) for s in row["test"]["values"]] for row in race["standings"]}
        for pair in race["pairs"]:
            if pair["reason"] is None:
                yield Case(name, race, pair, values[pair["a"]], values[pair["b"]])


def _shown(case: Case) -> list[str]:
    work, pair = case.race["workload"], case.pair
    better = "less is better" if work["direction"] == "min" else "more is better"
    studies = [f"study {count + 1}" for count in range(len(case.a))]
    rows = [[pair["a"], *map(number, case.a)], [pair["b"], *map(number, case.b)]]
    needed = pair["studies_to_decide"]
    more = f" About {needed} studies would decide it, if things go on as seen." if needed else ""
    undecided = pair["decision"] == "no detectable difference"
    said = pair["decision"].replace("a better", f"{pair['a']} better").replace("b better", f"{pair['b']} better")
    return [
        f"`{case.workload}`, {work['metric']}, {better}:",
        "",
        *table(("", *studies), rows),
        f"Difference {number(pair['difference'])} {interval(pair['interval'])}, adjusted p = "
        f"{number(pair['p_adjusted'])}. {pair['a']} was the better one in {case.wins()} of {len(case.a)} studies. "
        f"The verdict: **{said}**.{more if undecided else ''}",
        "",
    ]


def text() -> str:
    """The whole page."""
    found = cases()
    return page(
        [
            "# Read a verdict",
            "",
            "A race tunes every contender several times over. Each tuning is a *study*: it tries learning rates, picks "
            "one, and trains it on new seeds. If one contender is better in one study, that may be luck: other seeds, "
            "other rates tried, another winner. A verdict asks: **is the difference large beside what luck does from "
            "study to study?** The numbers below are from races that are shipped with gradrace.",
            "",
            "## A clear difference",
            "",
            *_shown(found["clear"]),
            "The two rows hardly come near each other. The interval of the difference does not hold 0.",
            "",
            "## A tie",
            "",
            *_shown(found["tie"]),
            "Which of the two is ahead changes from study to study. This does not show that they are equal. "
            "It shows that this race cannot tell; either may be used.",
            "",
            "## What looks like a difference, and may be luck",
            "",
            *_shown(found["luck"]),
            "Someone who had tuned once might have named a winner. The verdict does not: with this few studies and "
            "this many pairs compared at once, luck gives such a picture too often. The interval says how "
            "large the difference may be either way.",
            "",
            "## Words",
            "",
            "- **Interval**: where the true mean difference lies, in 95 of 100 races. Those of pairs are wider, as "
            "several pairs are looked at.",
            "- **Adjusted p**: how often luck alone gives a difference this large, counted up because many pairs are "
            "compared (Holm's correction). Below 0.05 it is called a difference.",
            "- **Place**: 1 + the number of contenders that are detectably better. Two may share the first place and "
            "still differ from a third in different ways.",
            "- **Learning rates that are safe**: a wide range forgives a guess; with a narrow one you have to tune.",
            "- **What to bear in mind**: warnings. A curve that still rises may end in another order; a range that was "
            "too narrow was widened, or says so.",
            "",
            "How the numbers come about: [How it judges](how-it-judges.md). Three verdicts worked out by hand: "
            "[Evidence](evidence.md#three-verdicts-worked-out-by-hand).",
        ]
    )
