"""A small race as a store would give it back, with outcomes worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from gradrace.outcomes import Curve, Outcome, Stage, Status

Table = Sequence[Sequence[float | None]]
LRS = (0.001, 0.01, 0.1, 1.0)


def outcome(
    label: str, study: int, *, seed: int = 0, point: int = 0, value: float | None = 0.9, **more: Any
) -> Outcome:
    """One trial whose curve has points at steps 10 and 20."""
    stage = more.pop("stage", Stage.TUNING)
    curve = Curve([10, 20], [1.0, 0.5], [value, value], [0.3, 0.2])
    return Outcome(
        trial=f"{stage}/{label}/{study}/{seed}/{point}",
        stage=stage,
        contender=label,
        study=study,
        seed=seed,
        point=point,
        configuration={"lr": LRS[point]},
        status=more.pop("status", Status.FINISHED),
        steps=20,
        validation=value,
        validation_loss=0.2,
        curve=more.pop("curve", curve),
        **more,
    )


def record(status: str = "finished", target: float | None = 0.8, **changes: Any) -> Any:
    """A stored race of two contenders: three studies of four trials, two seeds of confirmation, but for the changes."""
    workload = {"name": "w", "metric": "accuracy", "direction": "max", "worst": 0.0, "target": target}
    space = {"lr": {"scale": "log", "low": 1e-3, "high": 1.0, "one_minus": False, "from_trials": 1, "limit": None}}
    contenders = {
        "a": {"optimizer": "sgd", "special_cases": [], "dimensions": space},
        "b": {"optimizer": "momentum", "special_cases": ["sgd"], "dimensions": space},
    }
    plan = {
        "engine": "loop", "reason": "Because.", "stochastic": False, "parameters": 5, "block_trials": 24,
        "evaluations": 20,
        "steps": {"a": 20, "b": 20}, "contenders": contenders, "workload": workload,
    }  # fmt: skip
    numbers = {
        "studies": 3, "trials": 4, "seeds": 2, "steps": 20, "halving": True, "currency": "gradients", "seed": 0,
        "schedule": "cosine", "warmup": 0.05, "clip_norm": 0.0, "decoupled_weight_decay": 0.0, "ema": 0.0,
    }  # fmt: skip
    numbers |= changes
    return SimpleNamespace(
        id="abc123",
        created="2026-01-01T00:00:00",
        status=status,
        spec={"race": numbers, "contenders": [{"label": "a"}, {"label": "b"}]},
        plan=plan,
        machine={"cores": 2, "torch": "2"},
        version="0",
    )


def confirmed(a: Table, b: Table) -> list[Outcome]:
    """Confirmation outcomes from test values [studies][seeds]; None diverged."""
    found = []
    for label, table in (("a", a), ("b", b)):
        for study, row in enumerate(table):
            for seed, test in enumerate(row, start=1):
                ended = {} if test is not None else {"status": Status.DIVERGED, "diverged_at": 7}
                value = None if test is None else 0.9
                found.append(
                    outcome(label, study, seed=seed, point=2, stage=Stage.CONFIRMATION, value=value, test=test, **ended)
                )
    return found


def notes(**costs: Any) -> dict[str, Any]:
    choices = [
        {
            "contender": label,
            "study": study,
            "point": 2,
            "configuration": {"lr": 0.1 + study},
            "code": f"{label}{study}()",
        }
        for label in "ab"
        for study in range(3)
    ]
    cost = {"step_seconds": 0.002, "state_bytes_per_parameter": 4.0}
    return {
        "choices": {"choices": choices, "extensions": [], "left": []},
        "costs": costs or {"a": cost, "b": cost},
        "session 0000": {"seconds": 3.0},
        "session 0001": {"seconds": 4.5},
    }


A = [[0.90, 0.92], [0.91, 0.93], [0.92, 0.94]]
B = [[0.80, 0.82], [0.81, 0.83], [0.79, 0.85]]


def tuned() -> list[Outcome]:
    values = (0.5, 0.88, 0.9, 0.2)
    return [outcome(label, s, point=p, value=values[p]) for label in "ab" for s in range(3) for p in range(4)]
