"""What a claim is: a published statement, the races that could refute it, and how the decision follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gradrace.claims._raced import Raced
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.workloads import Workload


class Decided(StrEnum):
    """What races say about a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Asked:
    """A race that a claim needs.

    Attributes:
        workload: a built-in one by name, or a variation of one.
        optimizers: as ``gradrace.race`` takes them.
        options: further keywords of ``gradrace.race``, such as ``{"budget": "quick"}``.
    """

    workload: str | Workload
    optimizers: tuple[Any, ...] = DEFAULT_CONTENDERS
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One part of a claim, and what came of it.

    Attributes:
        part: what has to be so.
        so: whether it is; None where the races cannot tell.
        evidence: the numbers, in a sentence.
        more: what would decide it, where ``so`` is None.
        numbers: the same as JSON types.
    """

    part: str
    so: bool | None
    evidence: str
    more: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.so is None) != (self.more is not None):
            raise ValueError(f"A check says what more would decide it exactly if it is open: {self}")


@dataclass(frozen=True)
class Claim:
    """A published statement about optimizers.

    Args:
        name: what it is called on the command line.
        title: what it says, in a few words.
        source: who said it, and where.
        statement: what was said, in our words.
        refuted_by: what would refute it, written before any race.
        races: the races it needs, by a name of their own; given whether they are to be quick. Where two claims ask for
            one race, it is run once.
        judge: the claim's parts, from those races. It holds if all of them are so, and does not if one is not so.
    """

    name: str
    title: str
    source: str
    statement: str
    refuted_by: str
    races: Callable[[bool], Mapping[str, Asked]]
    judge: Callable[[Mapping[str, Raced]], Sequence[Check]]


def decide(checks: Sequence[Check]) -> Decided:
    """What the parts say of the whole: one that is not so refutes it, one that is open leaves it open."""
    if not checks:
        raise ValueError("A claim without a part to check can neither hold nor fail.")
    if any(check.so is False for check in checks):
        return Decided.FAILS
    return Decided.HOLDS if all(check.so for check in checks) else Decided.UNDECIDED
