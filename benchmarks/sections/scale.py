"""What a trial costs in races of ten and of ten thousand, with one lane and with two."""

from __future__ import annotations

import json
import statistics
import tempfile
from typing import Any

from race_time import MEBIBYTE, timed
from tables import Target, number, spread, table

from ._common import Options, in_turns, say

SHAPES = {10: (1, 2), 100: (5, 4), 1_000: (10, 20), 10_000: (40, 50)}
"""Studies and trials of each study, for five contenders."""
LANES = (1, 2)
STEPS = 40
TITLE = "Scale: seconds per trial"
ABOUT = (
    f"Races on `linear` with trials of {STEPS} steps, without halving, from process start to verdict; one fresh "
    "seed for each choice, whose trials count too. Memory is that of all processes together at its highest."
)


def one(trials: int, lanes: int, kept: dict[str, Any]) -> float:
    """Seconds per trial of one race."""
    studies, each = SHAPES[trials]
    words = f"race linear --no-halving --seeds 1 --steps {STEPS} --studies {studies} --trials {each} --lanes {lanes}"
    with tempfile.TemporaryDirectory() as folder:
        seconds, _, peak, printed = timed([*words.split(), "--store", f"{folder}/races.db"])
    count = json.loads(printed)["cost"]["trials"]
    kept.setdefault("seconds", []).append(seconds)
    kept.setdefault("peak_mib", []).append(peak / MEBIBYTE)
    kept["trials"] = count
    return seconds / count


def measure(options: Options, absent: list[str], sizes: tuple[int, ...] = tuple(SHAPES)) -> dict[str, Any]:
    """Every size with each number of lanes, round by round."""
    found: dict[str, dict[str, Any]] = {
        f"{size} {lanes}": {"size": size, "lanes": lanes} for size in sizes for lanes in LANES
    }
    ways = {key: lambda kept=kept: one(kept["size"], kept["lanes"], kept) for key, kept in found.items()}
    for key, each in in_turns(options.rounds, ways).items():
        found[key]["seconds_per_trial"] = each
        say(f"scale, {key}: {spread(each)} s a trial")
    return {"races": list(found.values())}


def lines(found: dict[str, Any]) -> list[str]:
    """The table."""
    rows = []
    for row in found["races"]:
        smaller = [other for other in found["races"] if other["lanes"] == row["lanes"] and other["size"] < row["size"]]
        rows.append(
            [
                f"{row['size']:,}",
                str(row["lanes"]),
                f"{row['trials']:,}",
                spread(row["seconds"]),
                spread([1000 * each for each in row["seconds_per_trial"]]),
                number(1000 * further(max(smaller, key=lambda other: other["size"]), row)) if smaller else "–",
                number(statistics.median(row["peak_mib"])),
            ]
        )
    header = ["tuning trials", "lanes", "all trials", "seconds", "ms a trial", "ms a further trial", "peak MiB"]
    return table(header, rows)


def further(smaller: dict[str, Any], larger: dict[str, Any]) -> float:
    """Seconds of each trial that the larger race has more than the smaller: without what every race costs."""
    more = statistics.median(larger["seconds"]) - statistics.median(smaller["seconds"])
    return more / (larger["trials"] - smaller["trials"])


def growth(found: dict[str, Any]) -> float:
    """Seconds per trial of the largest race over the smallest's, the worse of both numbers of lanes."""
    worst = 0.0
    for lanes in LANES:
        rows = sorted((row for row in found["races"] if row["lanes"] == lanes), key=lambda row: row["size"])
        first, last = (statistics.median(row["seconds_per_trial"]) for row in (rows[0], rows[-1]))
        worst = max(worst, last / first)
    return worst


def targets(found: dict[str, Any] | None) -> list[Target]:
    """What was reached."""
    what = "cost per trial, 10,000 trials over 10"
    whole = found is not None and {row["size"] for row in found["races"]} >= {10, 10_000}
    return [Target(what, 1, growth(found) if found and whole else None, at_most=True)]
