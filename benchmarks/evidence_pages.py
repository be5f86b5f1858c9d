"""docs/evidence.md and the README's table of the shipped evidence: ``python benchmarks/evidence_pages.py``.

Nothing is raced. Three verdicts are worked out again by hand: with ``statistics`` and a t table, not with the package's
own test.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from gradrace.evidence import evidence
from gradrace.report.sentences import interval, listed, number

PAGE = Path(__file__).parent.parent / "docs" / "evidence.md"
README = PAGE.parents[1] / "README.md"
BEGIN, END = "<!-- evidence: python benchmarks/evidence_pages.py -->\n", "<!-- end of evidence -->\n"
ALPHA = 0.05


def differences(race: Mapping[str, Any], a: str, b: str) -> list[list[float]]:
    """Test values of a less those of b, [studies][seeds]."""
    values = {row["label"]: row["test"]["values"] for row in race["standings"]}
    return [[x - y for x, y in zip(*rows, strict=True)] for rows in zip(values[a], values[b], strict=True)]


def by_hand(race: Mapping[str, Any], a: str, b: str) -> dict[str, Any]:
    """The test of one pair, step by step."""
    table = differences(race, a, b)
    studies, seeds = len(table), len(table[0])
    means = [statistics.fmean(row) for row in table]
    between = statistics.stdev(means) / math.sqrt(studies)
    within = math.sqrt(statistics.fmean([statistics.variance(row) for row in table]) / (studies * seeds))
    error = max(between, within)
    mean = statistics.fmean(means)
    t = abs(mean) / error
    return {
        "means": means,
        "mean": mean,
        "between": between,
        "within": within,
        "t": t,
        "p": 2 * float(student.sf(t, studies - 1)),
        "error": error,
        "studies": studies,
        "seeds": seeds,
    }


def holm(race: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """All pairs of a race by hand, with Holm's levels: the smallest p faces alpha / m, the next alpha / (m - 1), ..."""
    pairs = {(pair["a"], pair["b"]): by_hand(race, pair["a"], pair["b"]) for pair in race["pairs"]}
    rising = sorted(pairs, key=lambda pair: pairs[pair]["p"])
    still, adjusted, level = True, 0.0, ALPHA
    for place, pair in enumerate(rising):
        known, left = pairs[pair], len(rising) - place
        adjusted = max(adjusted, min(1.0, known["p"] * left))
        if still:
            level = ALPHA / left
            still = known["p"] < level
        half = float(student.isf(level / 2, known["studies"] - 1)) * known["error"]
        known.update(p_adjusted=adjusted, level=level, decided=still)
        known["interval"] = (known["mean"] - half, known["mean"] + half)
    return pairs


def worked(name: str, race: Mapping[str, Any], pair: tuple[str, str]) -> list[str]:
    """One verdict in Markdown."""
    known, (a, b) = holm(race)[pair], pair
    better = known["mean"] < 0 if race["workload"]["direction"] == "min" else known["mean"] > 0
    verdict = f"**{a if better else b} better**" if known["decided"] else "**no detectable difference**"
    count = len(race["standings"])
    pairs = count * (count - 1) // 2
    root = known["studies"] * known["seeds"]
    return [
        f"**{a} against {b} on `{name}`** ({race['workload']['metric']}, {race['workload']['direction']}; race "
        f"{race['race']}).",
        "",
        f"1. Mean over {known['seeds']} seeds of ({a} − {b}), study by study: "
        f"{', '.join(number(mean) for mean in known['means'])}.",
        f"2. Their mean: {number(known['mean'])}. Standard error between studies, sd / √{known['studies']}: "
        f"{number(known['between'])}; from the seeds alone, √(W / {root}): {number(known['within'])}. The greater "
        f"counts: "
        f"{number(known['error'])}.",
        f"3. t = {number(abs(known['mean']))} / {number(known['error'])} = {number(known['t'])} with "
        f"{known['studies'] - 1} degrees of freedom, p = {number(known['p'])}.",
        f"4. Holm over {pairs} pairs: adjusted p = {number(known['p_adjusted'])}; the pair faces the level "
        f"{number(known['level'])}, and its interval is {interval(known['interval'])}.",
        f"5. Hence: {verdict}.",
        "",
    ]


def chosen(races: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, tuple[str, str]]]:
    """Three pairs to work out: the clearest decision, the decided pair nearest to the line, and the undecided "
    "nearest."""
    known = [
        (pair["p_adjusted"], name, (pair["a"], pair["b"]), pair["decision"] != "no detectable difference")
        for name, race in races.items()
        for pair in race["pairs"]
        if pair["reason"] is None
    ]
    decided = sorted(row[:3] for row in known if row[3])
    open_ = sorted(row[:3] for row in known if not row[3])
    return [(name, pair) for _, name, pair in (decided[0], decided[-1], open_[0])]


def rows(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *cells]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def primer(suite: Mapping[str, Any]) -> list[str]:
    """The primer's table with measured columns."""
    cells = []
    for row in suite["table"]:
        uses = [f"`{use['workload']}`{_ties(use, suite)}" for use in row["best_uses"]]
        found, cost = row["evidence"], row["cost"]
        state = cost["state_bytes_per_parameter"]
        cells.append(
            [
                f"**{row['label']}**",
                row["idea"] or "–",
                row["use"] or "–",
                "<br>".join(uses) or "none",
                f"{found['first_alone']} / {found['first_tied']} / {found['beaten']}",
                "–" if cost["step"] is None else f"{cost['step']:.2f}",
                "–" if state is None else f"{state:.0f} B",
                f"`{row['code']}`" if row["code"] else "–",
            ]
        )
    head = (
        "optimizer",
        "idea",
        "said to suit",
        "best mean here on",
        "first alone / tied / beaten",
        "step",
        "state",
        "line",
    )
    return rows(head, cells)


def _ties(use: Mapping[str, Any], suite: Mapping[str, Any]) -> str:
    if not use["tied_with"]:
        return ", alone"
    everybody = len(use["tied_with"]) == len(suite["contenders"]) - 1
    return ", tied with all" if everybody else f", tied with {listed(use['tied_with'])}"


def workloads(suite: Mapping[str, Any]) -> list[str]:
    """Test values by workload and contender."""
    labels = [row["label"] for row in suite["table"]]
    cells = []
    for work in suite["workloads"]:
        by_label = {row["label"]: row for row in work["standings"]}
        values = [f"{number(by_label[name]['test']['mean'])} [{by_label[name]['place']}]" for name in labels]
        cells.append([f"`{work['name']}`", work["stands_for"], f"{work['metric']} ({work['direction']})", *values])
    return rows(("workload", "stands for", "metric", *labels), cells)


def across(suite: Mapping[str, Any]) -> list[str]:
    """Ranks and averages over workloads."""
    ranks, profiles = suite["ranks"], suite["profiles"]
    cells = []
    for label, rank in ranks["mean"].items():
        average = suite["iqm"][label]
        shares = [f"{share:.0%}" for share in profiles["shares"].get(label, ())]
        cells.append([label, f"{rank:.2f}", f"{average['value']:.3f} {interval(average['interval'])}", *shares])
    taus = [f"within {tau:g}×" for tau in profiles["taus"]]
    table = rows(("contender", "mean rank", "interquartile mean", *taus), cells)
    note = (
        f"Critical difference of mean ranks: {number(ranks['critical_difference'])} (Friedman p = "
        f"{number(ranks['p'])}). "
        f"Within n×: share of {len(profiles['workloads'])} workloads whose target it reached in at most n times the "
        f"steps "
        "of the fastest there."
    )
    return [*table, "", note]


MARKS = {True: "yes", False: "no", None: "open"}


def claims(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Claims, with what was found for each part."""
    cells = []
    for known in found:
        parts = [f"{MARKS[check['so']]}: {check['part']} – {check['evidence']}" for check in known["checks"]]
        more = [check["more"] for check in known["checks"] if check["more"]]
        cells.append(
            [
                f"`{known['claim']}`",
                f"{known['title']} ({known['source']})",
                f"**{known['decision']}**",
                "<br>".join([*parts, *(f"*To decide:* {words}" for words in dict.fromkeys(more))]),
            ]
        )
    return rows(("claim", "what it says", "decision", "evidence"), cells)


def page() -> str:
    """The whole page."""
    known = evidence()
    suite, machine = known["suite"], known["machine"]
    lines = [
        "# Evidence",
        "",
        f"What the primer's suite and the claims gave: `{known['command']}` on {known['created'][:10]}, gradrace "
        f"{known['gradrace']}, torch {machine['torch']}, {machine['cores']} cores ({machine['processor']}), seed "
        f"{known['seed']}. It is shipped with the package: `gradrace table` shows it without racing. This page is "
        f"made of it "
        "by `python benchmarks/evidence_pages.py`.",
        "",
        "## The primer's table, measured",
        "",
        suite["verdict"],
        "",
        *primer(suite),
        "",
        "Step: median over workloads of the seconds of a training step over those of the cheapest contender there. "
        "State: "
        "memory per parameter. Line: as chosen on the workload where the learning rate is the median.",
        "",
        "## Workloads",
        "",
        "Mean test value and place: 1 + the number of contenders that are detectably better.",
        "",
        *workloads(suite),
        "",
        "## Across workloads",
        "",
        *across(suite),
        "",
        "## Claims",
        "",
        "Each claim said beforehand what would refute it (`gradrace claims --list`); the decision follows from the "
        "races "
        "alone. A claim that fails here fails on these small tasks, with these budgets.",
        "",
        *claims(known["claims"]["claims"]),
        "",
        "## Three verdicts, worked out by hand",
        "",
        "From the values in the evidence file, with plain arithmetic: the clearest decision of the suite, the decided "
        "pair "
        "nearest to the line, and the undecided pair nearest to it. A test does the same for every pair of the suite.",
        "",
    ]
    for name, pair in chosen(known["races"]):
        lines += worked(name, known["races"][name], pair)
    return "\n".join(lines).rstrip() + "\n"


def short() -> str:
    """The primer's table in a few words, and what came of the claims, for the README."""
    known = evidence()
    suite = known["suite"]
    cells = [
        [
            f"**{row['label']}**",
            (row["use"] or "–").rstrip("."),
            ", ".join(f"`{use['workload']}`" for use in row["best_uses"]) or "none",
            str(row["evidence"]["beaten"]),
            "–" if row["cost"]["step"] is None else f"{row['cost']['step']:.2f}",
        ]
        for row in suite["table"]
    ]
    found: dict[str, list[str]] = {}
    for claim in known["claims"]["claims"]:
        found.setdefault(claim["decision"], []).append(f"“{claim['title']}”")
    lines = [
        *rows(("optimizer", "said to suit", "best mean here on", "detectably beaten on", "step"), cells),
        "",
        f"{suite['verdict']} Nearly all of the best means are ties. Step: its time beside the cheapest one's. Of the "
        "claims, by decision:",
        "",
        *(f"- **{decision}** ({len(titles)}): {'; '.join(titles)}." for decision, titles in found.items()),
        "",
        "They are small tasks and small budgets: [the numbers, and what would decide what is open](docs/evidence.md).",
    ]
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """The README with the table of the shipped evidence between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{short()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
