"""How long it takes to log a race of a thousand trials to TensorBoard and MLflow: ``python benchmarks/trackers.py``.

The race is made up and imported; each trial has a curve of 20 points.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from gradrace import RaceResult, import_runs
from gradrace.outcomes import Curve, Outcome
from gradrace.race.trackers import TARGETS
from gradrace.store import open_store

STEPS = list(range(10, 210, 10))


def with_curve(outcome: Outcome) -> Outcome:
    """An outcome with a point at each of the steps."""
    value = outcome.test or outcome.validation
    count = len(STEPS)
    return replace(outcome, steps=STEPS[-1], curve=Curve(STEPS, [0.5] * count, [value] * count, [0.1] * count))


def race_of_a_thousand(folder: Path) -> RaceResult:
    """Two contenders with ten studies of 40 trials, each confirmed on ten seeds."""
    rows = [
        {"contender": label, "study": study, "accuracy": 0.9 + index / 1e4, "lr": 0.1, **more}
        for label in ("a", "b")
        for study in range(10)
        for index in range(50)
        for more in [{"stage": "tuning"} if index < 40 else {"seed": index}]
    ]
    found = import_runs(rows, metric="accuracy", store=folder / "plain.db")
    with open_store(folder / "plain.db") as old, open_store(folder / "races.db") as new:
        record = old.race(found.id)
        new.create_race(record.id, record.spec, record.plan, record.machine, record.version)
        new.write_block(record.id, "all", [with_curve(outcome) for outcome in old.outcomes(record.id)])
        new.write_note(record.id, "choices", old.notes(record.id)["choices"])
        new.set_status(record.id, "finished")
    return RaceResult(found.to_json(), folder / "races.db")


def main() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory() as name:
        result = race_of_a_thousand(Path(name))
        for target in TARGETS:
            for time_of in ("first", "again"):
                began = time.perf_counter()
                result.log_to(target, Path(name) / target)
                print(f"{target}, {time_of}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
