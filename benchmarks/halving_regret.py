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

import numpy as np

import gradrace
from gradrace.outcomes import Outcome, Stage
from gradrace.race.rungs import rung_steps
from gradrace.store import open_store
from gradrace.verdict import halving_regret


def regrets(outcomes: list[Outcome], steps: int, direction: str) -> dict[str, list[float]]:
    """The regret of each study, by contender."""
    found: dict[str, list[float]] = {}
    rungs = rung_steps(steps, halving=True)
    tuning = [outcome for outcome in outcomes if outcome.stage is Stage.TUNING]
    for label, study in sorted({(outcome.contender, outcome.study) for outcome in tuning}):
        trials = [outcome for outcome in tuning if (outcome.contender, outcome.study) == (label, study)]
        curves = [dict(zip(trial.curve.step, trial.curve.validation, strict=True)) for trial in trials]
        values = np.array([[np.nan if (v := curve.get(r)) is None else v for curve in curves] for r in rungs], float)
        if np.isfinite(values[-1]).any():
            found.setdefault(label, []).append(halving_regret(values, "max" if direction == "max" else "min"))
    return found


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
        found = regrets(outcomes, summary["plan"]["steps"], summary["workload"]["direction"])
        for label, values in found.items():
            none = sum(value == 0 for value in values)
            print(f"| {name} | {label} | {len(values)} | {statistics.mean(values):.4g} | {max(values):.4g} | {none} |")


if __name__ == "__main__":
    main()
