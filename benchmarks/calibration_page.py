"""docs/calibration.md out of what ``gradrace calibrate --json`` wrote: ``python benchmarks/calibration_page.py [FILE "
"…]``.

Files given are put into docs/calibration.json first; without any, the page is made anew of what is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evidence_pages import rows

from gradrace.evidence._write import rounded
from gradrace.report.sentences import listed, number

DOCS = Path(__file__).parent.parent / "docs"
PAGE, DATA = DOCS / "calibration.md", DOCS / "calibration.json"

Calibration = Mapping[str, Any]


def percent(rate: Mapping[str, Any]) -> str:
    """A rate and its interval."""
    return f"{rate['rate'] * 100:.1f} [{rate['interval'][0] * 100:.1f}, {rate['interval'][1] * 100:.1f}]"


def budget_of(known: Calibration) -> str:
    """Trials, seeds and steps of the pool's studies."""
    pool = known["pool"]
    return f"{pool['trials']} trials, {pool['seeds']} seeds, {pool['steps']} steps"


def named(known: Calibration) -> str:
    """The workload and how its pool was raced."""
    pool = known["pool"]
    return f"`{known['workload']['name']}`, {budget_of(known)} ({pool['studies']} studies × {pool['entries']})"


def cells_of(known: Calibration) -> list[tuple[int, int]]:
    """Studies and contenders of the races that were drawn."""
    return [(cell["studies"], cell["contenders"]) for cell in known["tests"][0]["false_verdicts"]]


def head(found: Sequence[Calibration]) -> list[str]:
    """The columns K and C."""
    return [f"K={studies}, C={contenders}" for studies, contenders in cells_of(found[0])]


def chosen(known: Calibration) -> Mapping[str, Any]:
    """The test in use."""
    return next(test for test in known["tests"] if test["chosen"])


def in_use(found: Sequence[Calibration]) -> list[str]:
    """False verdicts of the test in use, by pool."""
    cells = [[named(known), *map(percent, chosen(known)["false_verdicts"])] for known in found]
    return rows(("pool", *head(found)), cells)


def candidates(found: Sequence[Calibration]) -> list[str]:
    """Of every candidate the highest rate of false verdicts over the pools."""
    titles = {test["name"]: (test["title"], test["chosen"]) for known in found for test in known["tests"]}
    cells = []
    for name, (title, used) in titles.items():
        tests = [test for known in found for test in known["tests"] if test["name"] == name]
        highest = [max(test["false_verdicts"][n]["rate"] for test in tests) for n in range(len(cells_of(found[0])))]
        cells.append([f"**{title}**" if used else title, *(f"{rate * 100:.1f}" for rate in highest)])
    return rows(("test", *head(found)), cells)


def least(found: Sequence[Calibration]) -> list[str]:
    """Of every candidate the difference found in 80 % of races, in standard deviations, the median over pools."""
    titles = {test["name"]: (test["title"], test["chosen"]) for known in found for test in known["tests"]}
    cells = []
    for name, (title, used) in titles.items():
        tests = [test for known in found for test in known["tests"] if test["name"] == name]
        shown = []
        for n in range(len(cells_of(found[0]))):
            sizes = sorted(test["power"][n]["in_deviations"] or float("inf") for test in tests)
            middle = sizes[len(sizes) // 2]
            shown.append("none" if middle == float("inf") else f"{middle:.1f}")
        cells.append([f"**{title}**" if used else title, *shown])
    return rows(("test", *head(found)), cells)


def coverage(found: Sequence[Calibration]) -> list[str]:
    """How often intervals hold the truth."""
    cells = []
    for known in found:
        for what, words in (("single", "of a pair"), ("joint", "of all pairs"), ("mean", "of a mean")):
            values = [percent(cell[what]) for cell in known["coverage"]]
            cells.append([named(known) if what == "single" else "", words, *values])
    return rows(("pool", "interval", *head(found)), cells)


def power(found: Sequence[Calibration]) -> list[str]:
    """The least difference that is found in 80 % of races, at the pool's own number of studies."""
    cells = []
    for known in found:
        own = [cell for cell in chosen(known)["power"] if cell["own"]]
        for cell in own:
            size = cell["difference"]
            shown = "none" if size is None else f"{number(size)} ({cell['in_deviations']:.1f} sd)"
            cells.append(
                [
                    f"`{known['workload']['name']}`",
                    f"{cell['studies']} studies of {budget_of(known)}",
                    str(cell["contenders"]),
                    known["workload"]["metric"],
                    shown,
                ]
            )
    return rows(("workload", "race", "contenders", "metric", "least difference found in 80 %"), cells)


def page() -> str:
    """The whole page."""
    document = json.loads(DATA.read_text(encoding="utf-8"))
    everything = document["calibrations"]
    same = [known for known in everything if known["kind"] == "equal" and not known["fresh"]]
    fresh = [known for known in everything if known["kind"] == "equal" and known["fresh"]]
    apart = [known for known in everything if known["kind"] == "centred"]
    compared = [known for known in same if len(known["tests"]) > 1]
    races = same[0]["races"]
    lines = [
        "# Calibration",
        "",
        "How often is a verdict false, how often do intervals hold the truth, and which difference would a race find? "
        "Answered with real trials: one optimizer (adam) is raced against itself, each entry at quasi-random points "
        "of its "
        "own, so that every decided pair is a false verdict. Family-wise: a race counts as false if any of its pairs "
        "is "
        "decided.",
        "",
        f"Each pool is one race of five entries and many studies. {races:,} races of K studies and C contenders are "
        f"drawn "
        "from it without replacement. A study is a function of the race's seed and its own number alone, of no other "
        "study "
        "and no other contender: a drawn race is distributed as a fresh one, so resampling is valid. Races share "
        "studies, "
        "which the 95 % intervals allow for. Where fresh is said, no study was used twice, which is fresh training.",
        "",
        "To repeat it: " + "; ".join(f"`{command}`" for command in document["commands"]) + ", then "
        "`python benchmarks/calibration_page.py FILE …`.",
        "",
        "## False verdicts of the test in use, %",
        "",
        *in_use([*same, *fresh]),
        "",
    ]
    if fresh:
        lines += [f"Fresh: {listed([named(known) for known in fresh])}.", ""]
    lines += [
        "## The candidates on equal contenders: the highest rate over the pools, %",
        "",
        *candidates(compared),
        "",
    ]
    if apart:
        lines += [
            "## Equal means, unequal spreads, %",
            "",
            f"The five default contenders, each put on the mean of all ({listed([named(known) for known in apart])}): "
            f"true "
            "differences are zero, spreads are those of real races. Drawn with replacement.",
            "",
            *[line for known in apart for line in ("", f"{named(known)}:", "", *candidates([known]))],
            "",
            "Where a contender fails outright in a few studies of a hundred, as Momentum does on `digits`, an equal "
            "mean makes "
            "it better in all the others, and few studies show only those: "
            "[decision 16](decisions/0016-the-test-by-calibration.md).",
            "",
        ]
    lines += [
        "## Least difference found in 80 % of races, in standard deviations: the median over the pools",
        "",
        *least(compared),
        "",
        "## Intervals of the test in use: how often they hold the truth, %",
        "",
        *coverage(same),
        "",
        "## Power of the presets",
        "",
        "The smallest true difference that the test in use finds in 80 % of races at each preset's own number of "
        "studies.",
        "",
        *power(same),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--commands", nargs="*", default=[], help="that wrote the files, for the page")
    given = parser.parse_args()
    if given.files:
        found = [known for file in given.files for known in json.loads(file.read_text("utf-8"))["calibrations"]]
        document = {"commands": given.commands, "calibrations": rounded(found)}
        DATA.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
