"""What a trial produced. Plain data, without torch: the engine makes it, the store keeps it, the verdict reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a trial ended."""

    FINISHED = "finished"
    DROPPED = "dropped"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Stage(StrEnum):
    """Why a trial was trained: to choose a configuration, beyond the edge of a range, or to confirm a choice."""

    TUNING = "tuning"
    EDGE = "edge"
    CONFIRMATION = "confirmation"


@dataclass(frozen=True)
class Curve:
    """A trial over its steps. All lists have the same length; ``None`` stands for a value that is not finite.

    Attributes:
        step: number of training steps done at each point, rising.
        train_loss: mean training loss over the steps since the previous point.
        validation: the workload's metric on the validation split.
        validation_loss: the workload's loss on the validation split.
    """

    step: list[int] = field(default_factory=list)
    train_loss: list[float | None] = field(default_factory=list)
    validation: list[float | None] = field(default_factory=list)
    validation_loss: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What one trial produced.

    Attributes:
        trial: id, unique in its race: ``stage/label/study/seed/point``.
        stage: tuning, edge or confirmation.
        contender: the contender's label.
        study: index of the study, from 0.
        seed: index of the trial seed within the study: 0 while tuning, 1 to S in confirmation.
        point: index of the point within the study; in confirmation, the point of the study's choice.
        configuration: the tuned hyperparameters and their values.
        status: how it ended.
        steps: steps trained until then.
        diverged_at: the step whose loss was not finite, or None.
        error: the sentence of a failed trial, or None.
        validation: metric on the validation split at the last step, or None if it diverged or failed.
        validation_loss: loss there.
        test: metric on the test split at the last step (confirmation only), else None.
        test_loss: loss there.
        seconds: this trial's share of its block's training time, in seconds.
        curve: the trial over its steps.
        others: further metrics of the test split at the last step, by name, beside the one that is raced on. A value
            that is not finite is left out, so a name may be missing here that other outcomes of the race have.
    """

    trial: str
    stage: Stage
    contender: str
    study: int
    seed: int
    point: int
    configuration: dict[str, float]
    status: Status
    steps: int
    diverged_at: int | None = None
    error: str | None = None
    validation: float | None = None
    validation_loss: float | None = None
    test: float | None = None
    test_loss: float | None = None
    seconds: float = 0.0
    curve: Curve = field(default_factory=Curve)
    others: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Here, so that no store, report or JSON has to ask; float() also turns numpy's scalars into Python's.
        finite = {name: float(value) for name, value in self.others.items() if math.isfinite(value)}
        object.__setattr__(self, "others", finite)

    def to_dict(self) -> dict[str, Any]:
        """A plain dict of JSON types; ``from_dict`` of it is equal to this outcome."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """The outcome that ``to_dict`` described, by this version or by one whose outcomes had no ``others``."""
        values = dict(values)
        values["curve"] = Curve(**values["curve"])
        return cls(**{**values, "stage": Stage(values["stage"]), "status": Status(values["status"])})


def by_study(outcomes: Iterable[Outcome]) -> dict[tuple[str, int], list[Outcome]]:
    """Outcomes of each contender's studies, in the order of their points."""
    studies: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.point):
        studies.setdefault((outcome.contender, outcome.study), []).append(outcome)
    return studies


def notes_of(notes: Mapping[str, Mapping[str, Any]], what: str) -> dict[str, Mapping[str, Any]]:
    """Of a race's notes those on one thing, by what each is about: a note stays as it is first written.

    >>> notes_of({"costs": {"a": 1}, "memory 7": {"b": 2}}, "memory")
    {'7': {'b': 2}}
    """
    return {key.removeprefix(f"{what} "): note for key, note in notes.items() if key.startswith(f"{what} ")}
