"""One line for each built-in workload: ``python benchmarks/workloads.py [NAME …] [--budget quick]``.

Each race runs in a process of its own on an empty store, from process start to verdict, with its data in the cache. The
table says what the contenders reached (places in brackets), seconds, peak memory over all processes, the engine that
the race chose, and trial-steps per second over the whole race.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

from race_time import MEBIBYTE, timed

from gradrace.workloads import fetch_data, workloads


def line(name: str, budget: str, more: list[str]) -> str:
    """The table's line for one workload."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["race", name, "--budget", budget, "--store", f"{folder}/races.db", *more]
        seconds, _, peak, printed = timed(words)
    summary: dict[str, Any] = json.loads(printed)
    places = ", ".join(
        f"{row['label']} {row['test']['mean']:.4g} [{row['place']}]"
        + (" (" + ", ".join(f"{key} {value['mean']:.3f}" for key, value in row["others"].items()) + ")")
        * (0 < len(row["others"]) <= 2)
        for row in summary["standings"]
    )
    work, plan = summary["workload"], summary["plan"]
    return (
        f"| {name} | {work['metric']}, {'more' if work['direction'] == 'max' else 'less'} is better | {places} | "
        f"{seconds:.0f} | {peak / MEBIBYTE:,.0f} | {plan['engine']} | {summary['cost']['trial_steps'] / seconds:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--budget", default="quick")
    parser.add_argument("--optimizers", default="")
    arguments = parser.parse_args()
    names = list(fetch_data(arguments.names)) or list(workloads())
    print(
        "| workload | metric | test, by contender [place] | seconds | peak MiB | engine | trial-steps/s |\n"
        "|---|---|---|---|---|---|---|"
    )
    more = ["--optimizers", arguments.optimizers] if arguments.optimizers else []
    for name in names:
        print(line(name, arguments.budget, more), flush=True)


if __name__ == "__main__":
    main()
