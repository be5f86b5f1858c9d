"""What halving costs: ``python benchmarks/halving_regret.py [WORKLOAD …]``.

Races every contender without halving, then asks of each study what halving would have chosen, from the same curves:
with a constant schedule a dropped trial's curve is the beginning of the one it would have had. The regret is the final
validation value of the study's best trial less that of the trial that halving would have kept.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import gradrace
from gradrace.outcomes import Outcome
from gradrace.report.tuning import halving_regrets
from gradrace.store import open_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["digits", "linear"])
    print("| workload | contender | studies | mean regret | worst | studies without any |\n|---|---|---|---|---|---|")
    for name in parser.parse_args().workloads:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "races.db"
            summary = gradrace.race(name, halving=False, seeds=1, store=store).to_json()
            with open_store(store) as opened:
                outcomes = opened.outcomes(summary["race"]["id"])
        direction = "max" if summary["workload"]["direction"] == "max" else "min"
        of_contender: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            of_contender.setdefault(outcome.contender, []).append(outcome)
        for label, steps in summary["plan"]["steps_of"].items():
            values = halving_regrets(of_contender[label], steps, direction)
            if not values:
                continue
            none = sum(value == 0 for value in values)
            print(f"| {name} | {label} | {len(values)} | {statistics.mean(values):.4g} | {max(values):.4g} | {none} |")


if __name__ == "__main__":
    main()
