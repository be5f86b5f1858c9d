"""The conformance suite: what every optimizer and every workload is held to, ours and a stranger's alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle

from gradrace._discovery import load_file
from gradrace.check import facts, rules, runs, training_loops, workloads
from gradrace.check.findings import Finding, ran, with_exemptions
from gradrace.check.problems import PROBLEMS
from gradrace.errors import SpecError, WorkloadError, gathering
from gradrace.optimizers import Optimizer
from gradrace.workloads import Workload

__all__ = [
    "KINDS",
    "LOOP_CHECKS",
    "OPTIMIZER_CHECKS",
    "WORKLOAD_CHECKS",
    "Finding",
    "Kind",
    "check_file",
    "check_optimizer",
    "check_workload",
]

FACTS: dict[str, Callable[[Optimizer], list[str]]] = {
    "card": facts.card,
    "hyperparameters": facts.hyperparameters,
    "search space": facts.search_space,
}
STEPS: dict[str, Callable[[Optimizer], list[str]]] = {
    "pure": rules.each_case(rules.pure),
    "state": rules.each_case(rules.state),
    "zero gradient": rules.each_case(rules.zero_gradient),
    "huge gradient": rules.each_case(rules.huge_gradient),
    "odd shapes": rules.each_case(rules.odd_shapes),
    "elementwise": rules.each_case(rules.elementwise),
    "side by side": rules.each_case(rules.side_by_side),
    "traced": rules.traced,
    "diverged neighbour": rules.diverged_neighbour,
    "serialisation": runs.serialisation,
    **{name: runs.descends(name) for name in PROBLEMS},
}
RETURNS = "returns"
OPTIMIZER_CHECKS = {**FACTS, RETURNS: rules.each_case(rules.returns), **STEPS}
WORKLOAD_CHECKS: dict[str, Callable[[Workload], list[str]]] = {
    "data": workloads.data,
    "splits": workloads.disjoint,
    "initial weights": workloads.initialisation,
    "batches": workloads.batches,
    "start": workloads.start,
    "learning": workloads.learning,
    "engines": workloads.engines,
}
LOOP_CHECKS: dict[str, Callable[[Workload], list[str]]] = {
    "reports": training_loops.reports,
    "repeats": training_loops.repeats,
    "learning": training_loops.learning,
}


def check_optimizer(optimizer: Optimizer, skip: Collection[str] = ()) -> list[Finding]:
    """What every check of an optimizer found. A rule that cannot take a step ends the list early.

    Raises:
        SpecError: it declares an exemption from a check that there is not.
    """
    unknown = [name for name in optimizer.exempt if name not in OPTIMIZER_CHECKS]
    if unknown:
        known = ", ".join(OPTIMIZER_CHECKS)
        raise SpecError(f"Optimizer '{optimizer.name}' is exempt from '{unknown[0]}'. There is: {known}.")
    found: list[Finding] = []
    for name, check in FACTS.items():
        found += [] if name in skip else ran(name, check, optimizer)
    if not facts.fits(optimizer):
        return [*found, _not_tried([RETURNS, *STEPS])]
    returned = ran(RETURNS, OPTIMIZER_CHECKS[RETURNS], optimizer)
    found += returned
    if not returned[-1].passed and not rules.steps(optimizer):
        return [*found, _not_tried(STEPS)]
    for name, check in STEPS.items():
        found += ran(name, check, optimizer)
    return with_exemptions(found, optimizer.exempt)


def check_workload(workload: Workload) -> list[Finding]:
    """What every check of a workload found. Data that cannot be loaded end the list early."""
    found: list[Finding] = []
    for name, check in (LOOP_CHECKS if workload.training_loop else WORKLOAD_CHECKS).items():
        found += ran(name, check, workload)
        if name == "data" and "splits" not in workload.__dict__:
            found.append(_not_tried([known for known in WORKLOAD_CHECKS if known != "data"]))
            break
    return found


def _not_tried(checks: Collection[str]) -> Finding:
    return Finding("the rest", False, f"Because of this, {len(checks)} checks were not tried: {', '.join(checks)}.")


@dataclass(frozen=True)
class Kind:
    """What a file may define, by the name that it has there.

    Attributes:
        made: what it is made by.
        type: its type.
        check: all that it is found to do wrong and right; told whether its definition was refused something, which is
            not to be told again.
    """

    made: str
    type: type
    check: Callable[[Any, bool], list[Finding]]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "optimizer": Kind(
            "Optimizer", Optimizer, lambda item, refused: check_optimizer(item, ["search space"] if refused else [])
        ),
        "workload": Kind(
            "Workload",
            Workload,
            lambda item, refused: [_not_tried(WORKLOAD_CHECKS)] if refused else check_workload(item),
        ),
    }
)


def check_file(path: str | Path, kinds: Mapping[str, Kind] = KINDS) -> list[Finding]:
    """All that a ``.py`` file that defines ``optimizer`` or ``workload``, or both, is found to do wrong and right.

    Args:
        path: the file.
        kinds: what it may define; what there is above this package may add to it.

    Raises:
        SpecError: there is no such file.
        WorkloadError: it raises when it is loaded, or defines none of them.
    """
    path = Path(path)
    if not path.is_file():
        raise SpecError(f"There is no file '{path}'.")
    with gathering() as refused:
        module = load_file(path.resolve())
    cloudpickle.register_pickle_by_value(module)
    defined = {name: getattr(module, name, None) for name in kinds}
    made = {name: item for name, item in defined.items() if isinstance(item, kinds[name].type)}
    if not made:
        *others, last = (f"{name} = {kind.made}(...)" for name, kind in kinds.items())
        raise WorkloadError(f"The file {path} must define {', '.join(others)} or {last}, but defines none of them.")
    found = [Finding("definition", False, str(error)) for error in refused]
    for name, item in made.items():
        found += kinds[name].check(item, bool(refused))
    return found
