"""What a summary reads of a stored race, and what stands in for what earlier versions did not write down."""

from __future__ import annotations

from typing import Any, Protocol

from gradrace.errors import StoreError

NEEDED = {
    "spec": ("contenders", "race"),
    "plan": ("workload", "contenders"),
    "race": ("studies", "trials", "seeds", "steps"),
    "workload": ("name", "metric", "direction"),
}
"""What a record must hold to be shown."""
BEFORE_IT_COULD_BE_ASKED: dict[str, Any] = {
    "halving": True, "currency": "gradients", "seed": 0, "schedule": "constant", "warmup": 0.0, "clip_norm": 0.0,
    "decoupled_weight_decay": 0.0, "ema": 0.0,
}  # fmt: skip
"""What a race had of which an earlier version, that knew nothing else, did not write it down."""
BEFORE_IT_WAS_PLANNED: dict[str, Any] = {
    "engine": "unknown", "reason": "", "stochastic": None, "parameters": None, "untrained": None,
    "block_trials": None, "evaluations": None,
}  # fmt: skip


class RaceRecord(Protocol):
    """What a summary reads of a stored race; the store's record is one."""

    @property
    def id(self) -> str:
        """The race's id."""
        ...

    @property
    def created(self) -> str:
        """When it was entered, ISO 8601 in UTC."""
        ...

    @property
    def status(self) -> str:
        """Running, finished or interrupted."""
        ...

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked for."""
        ...

    @property
    def plan(self) -> dict[str, Any]:
        """What was decided before the first block."""
        ...

    @property
    def machine(self) -> dict[str, Any]:
        """What it ran on."""
        ...

    @property
    def version(self) -> str:
        """The gradrace that entered it."""
        ...


def check(record: RaceRecord) -> None:
    """Raise a StoreError unless the record holds what every race that can be shown has."""
    parts = {"spec": record.spec, "plan": record.plan}
    parts |= {"race": record.spec.get("race", {}), "workload": record.plan.get("workload", {})}
    missing = [f"{part}.{name}" for part, names in NEEDED.items() for name in names if name not in parts[part]]
    if missing:
        raise StoreError(
            f"Race {record.id}, entered by gradrace {record.version}, cannot be shown: its record lacks "
            f"{', '.join(missing)}."
        )
    direction = parts["workload"]["direction"]
    if direction not in ("min", "max"):
        raise StoreError(
            f"Race {record.id} cannot be judged: the direction of its metric {parts['workload']['metric']} is "
            f"{direction!r} in the store; it must be 'min' or 'max', whichever is better."
        )
