"""Races that were never run: from plain arrays to what a claim sees, by way of the summary that real races have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradrace.claims import Raced
from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.report import summarize
from gradrace.verdict import Direction

STEPS = 100


def made(
    scores: Mapping[str, ArrayLike],
    *,
    name: str = "made",
    direction: Direction = "min",
    untrained: float | None = None,
    target: float | None = None,
    curves: Mapping[str, ArrayLike] | None = None,
    others: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    tuning: Mapping[str, ArrayLike] | None = None,
    costs: Mapping[str, tuple[float, float]] | None = None,
) -> Raced:
    """A race of trials of 100 steps. NaN anywhere stands for a value that is not there, as where a trial diverged.

    Args:
        scores: for each label the test values [K studies, S seeds].
        name: of the workload.
        direction: "min" or "max", whichever is better.
        untrained: the metric of the model before its first step.
        target: the workload's.
        curves: by label the validation values [K, S, P] of the confirmation at P points, evenly spaced up to the end;
            otherwise the test value, at the end.
        others: by label and name further test metrics [K, S].
        tuning: by label the final validation values [K, N] of the studies' trials.
        costs: by label the seconds of a step and the bytes of state for each parameter.
    """
    tables = {label: np.asarray(values, dtype=float) for label, values in scores.items()}
    studies, seeds = next(iter(tables.values())).shape
    tuned = {label: np.asarray(values, dtype=float) for label, values in (tuning or {}).items()}
    outcomes = []
    for label, table in tables.items():
        for (study, seed), test in np.ndenumerate(table):
            points = np.atleast_1d(np.asarray((curves or {}).get(label, table), dtype=float)[study, seed])
            beside = {known: float(np.asarray(of)[study, seed]) for known, of in (others or {}).get(label, {}).items()}
            outcomes.append(_trial(Stage.CONFIRMATION, label, study, seed + 1, 0, points, test, beside))
        for (study, point), value in np.ndenumerate(tuned.get(label, np.empty((0, 0)))):
            outcomes.append(_trial(Stage.TUNING, label, study, 0, point, np.array([value])))
    workload = {"name": name, "metric": "score", "direction": direction, "worst": untrained, "target": target}
    trials = max((table.shape[1] for table in tuned.values()), default=1)
    notes = {
        label: {"step_seconds": cost[0], "state_bytes_per_parameter": cost[1]} for label, cost in (costs or {}).items()
    }
    record = _record(list(tables), workload, untrained, studies, trials, seeds)
    return Raced(summarize(record, outcomes, {"costs": notes}), outcomes)


def around(mean: float, spread: float = 0.01, studies: int = 5, luck: int = 0) -> np.ndarray:
    """Values [K, 2] of exactly such a mean and standard deviation over studies; the seeds of a study are alike.

    Another ``luck`` is another pattern, so that differences, too, vary from study to study: those that do not are
    judged with more care.
    """
    drawn = np.random.default_rng(luck).standard_normal(studies)
    by_study = mean + spread * (drawn - drawn.mean()) / drawn.std(ddof=1)
    return np.stack([by_study, by_study], axis=1)


def tables(means: Mapping[str, float], spread: float = 0.01, studies: int = 5, luck: int = 0) -> dict[str, np.ndarray]:
    """Scores [K, 2] of such means, by label, each with a luck of its own."""
    return {label: around(mean, spread, studies, luck + place) for place, (label, mean) in enumerate(means.items())}


def _trial(
    stage: Stage,
    label: str,
    study: int,
    seed: int,
    point: int,
    values: np.ndarray,
    test: float = np.nan,
    others: Mapping[str, float] | None = None,
) -> Outcome:
    steps = [STEPS * (part + 1) // len(values) for part in range(len(values))]
    there = _listed(values)
    ended = np.isfinite(values[-1])
    return Outcome(
        trial=f"{stage}/{label}/{study}/{seed}/{point}",
        stage=stage,
        contender=label,
        study=study,
        seed=seed,
        point=point,
        configuration={"lr": 0.1},
        status=Status.FINISHED if ended else Status.DIVERGED,
        steps=STEPS,
        diverged_at=None if ended else 1,
        validation=there[-1],
        test=_listed([test])[0],
        curve=Curve(steps, there, there, there),
        others=dict(others or {}),
    )


def _listed(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _record(
    labels: Sequence[str], workload: Mapping[str, Any], untrained: float | None, studies: int, trials: int, seeds: int
) -> Any:
    """What the store would hold of it."""
    known = {"optimizer": "sgd", "special_cases": [], "dimensions": {}}
    plan = {
        "engine": "loop", "reason": "None.", "stochastic": False, "parameters": 1, "block_trials": 1, "evaluations": 1,
        "untrained": untrained, "steps": dict.fromkeys(labels, STEPS), "contenders": dict.fromkeys(labels, known),
        "workload": workload,
    }  # fmt: skip
    numbers = {
        "studies": studies, "trials": trials, "seeds": seeds, "steps": STEPS, "halving": False, "seed": 0,
        "currency": "gradients", "schedule": "constant",
    }  # fmt: skip
    return SimpleNamespace(
        id="made",
        created="2026-01-01T00:00:00",
        status="finished",
        spec={"race": numbers, "contenders": [{"label": label} for label in labels]},
        plan=plan,
        machine={},
        version="0",
    )
