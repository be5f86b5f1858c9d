"""Races and outcomes to store: each a function of its arguments alone, so that what comes back can be compared."""

from __future__ import annotations

import math
from typing import Any

from gradrace.outcomes import Curve, Outcome, Stage, Status

RACE = "5f1c0de5a3b9e7d4"
SPEC = {"workload": "digits", "contenders": [{"optimizer": "adam", "lr": [1e-5, 0.1]}], "label": "모멘텀 – 관성"}
PLAN = {"studies": 2, "rungs": [25, 100], "seeds": {"tuning": [0], "confirmation": [1, 2]}}
MACHINE = {"cpu": "unknown", "cores": 2, "gpu": None}

POINTS = 6


def race(id: str = RACE) -> dict[str, Any]:
    """The arguments of `create_race`."""
    return {"id": id, "spec": SPEC, "plan": PLAN, "machine": MACHINE, "version": "0.1.0"}


def outcome(number: int, *, curve_points: int = 4, contender: str = "Adam", **changes: Any) -> Outcome:
    """A finished trial of tuning, each value of which depends on `number`."""
    steps = [25 * (point + 1) for point in range(curve_points)]
    decay: list[float | None] = [math.exp(-step / 100) / (number + 3) for step in steps]
    values: dict[str, Any] = {
        "trial": f"tuning/{contender}/{number // POINTS}/0/{number % POINTS}",
        "stage": Stage.TUNING,
        "contender": contender,
        "study": number // POINTS,
        "seed": 0,
        "point": number % POINTS,
        "configuration": {"lr": 10 ** -(1 + number / 7), "beta1": 1 - 0.1 / (number + 1)},
        "status": Status.FINISHED,
        "steps": 100,
        "validation": 1 / (number + 3),
        "validation_loss": math.sqrt(number + 2),
        "seconds": 0.1 * number,
        "curve": Curve(step=steps, train_loss=decay, validation=decay[::-1], validation_loss=decay),
    }
    return Outcome(**{**values, **changes})


def block(number: int, size: int = 3) -> tuple[str, list[Outcome]]:
    """A block's id and outcomes; no two blocks share a trial."""
    return f"block-{number:05}", [outcome(number * size + place) for place in range(size)]


def of_every_kind() -> list[Outcome]:
    """One outcome for each status and stage, with the fields that belong to it."""
    return [
        outcome(0),
        outcome(1, status=Status.DROPPED, steps=25),
        outcome(
            2,
            status=Status.DIVERGED,
            steps=31,
            diverged_at=31,
            validation=None,
            validation_loss=None,
            curve=Curve([25, 31], [1.5, None], [0.25, None], [2.5, None]),
        ),
        outcome(3, status=Status.FAILED, steps=0, error="The loss of 'mine' has shape (3,): a scalar is needed."),
        outcome(4, status=Status.INTERRUPTED, steps=12, curve=Curve()),
        outcome(5, trial="edge/Adam/0/0/5", stage=Stage.EDGE, configuration={}),
        outcome(
            6,
            trial="confirmation/Adam/0/2/1",
            stage=Stage.CONFIRMATION,
            seed=2,
            point=1,
            test=0.96875,
            test_loss=0.1,
            others={"top 5": 1.0, "정확도": -0.0},
        ),
    ]
