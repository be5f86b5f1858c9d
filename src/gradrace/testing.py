"""For the tests of people who write optimizers: a race as an assertion."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from gradrace.claims import Raced, not_worse
from gradrace.claims._judge import SHARE
from gradrace.errors import SpecError, unknown_name
from gradrace.optimizers import AnyOptimizer
from gradrace.race.api import race
from gradrace.race.places import store_path
from gradrace.race.reporting import page_of
from gradrace.race.result import RaceResult
from gradrace.race.spec import Contender, make_contenders
from gradrace.report.sentences import number
from gradrace.store import open_store
from gradrace.workloads import Workload

__all__ = ["UndecidedWarning", "assert_not_worse"]

Undecided = Literal["fail", "pass", "warn"]


class UndecidedWarning(UserWarning):
    """A race could not tell whether a contender is worse than its baseline."""


def assert_not_worse(
    contender: str | Path | AnyOptimizer | Callable[..., Any] | Contender,
    baseline: str | Path | AnyOptimizer | Callable[..., Any] | Contender,
    workload: str | Path | Workload = "digits",
    *,
    margin: float | None = None,
    share: float = SHARE,
    budget: str = "quick",
    undecided: Undecided = "fail",
    **options: Any,
) -> RaceResult:
    """Race two optimizers, and raise unless the first is shown not to be worse than the second by more than a margin.

    With d the mean difference over studies, signed so that more is better, and [low, high] its interval of 95 %:

        low > -margin    passes: worse by less than the margin at most, or better
        high < -margin   fails: detectably worse by more than the margin
        else             undecided

    The interval is the verdict's own; a contender that is worse by the margin passes in at most 2.5 % of races. Both
    with the same value on every seed of every study passes. Undecided fails unless asked otherwise: a race too small to
    see a difference has not shown that there is none. A race is a function of its seed, so a test that passed passes
    again; a race that the store holds already takes no time.

    Args:
        contender: the optimizer under test, as ``gradrace.race`` takes it.
        baseline: what it is held against, likewise.
        workload: what they race on.
        margin: how much worse is accepted, in the metric's units, above 0.
        share: without ``margin``: the same as a share, between 0 and 1, of what the better one gained over the
            untrained model.
        budget: ``"quick"``, ``"standard"`` or ``"thorough"``: the more studies, the smaller a margin can be shown.
        undecided: ``"fail"``, ``"pass"``, or ``"warn"``, which passes with an ``UndecidedWarning``.
        options: any others of ``gradrace.race``: ``studies``, ``steps``, ``seed``, ``store`` and so on.

    Returns:
        The race's result, for further assertions.

    Raises:
        AssertionError: it is worse, or nothing was decided; with the numbers, and the command that repeats the race.
        SpecError: an argument that is not allowed, or whatever ``gradrace.race`` raises.
    """
    __tracebackhide__ = True  # pytest then shows the line that asked
    if undecided not in get_args(Undecided):
        raise unknown_name("way to take what is undecided", str(undecided), get_args(Undecided))
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise SpecError(f"The margin must be a finite number above 0, in the metric's units, but is {margin!r}.")
    if not 0 < share < 1:
        raise SpecError(f"The margin's share of the gain must lie between 0 and 1, but is {share!r}.")
    first, second = _two(contender, baseline)
    result = race(workload, [first, second], budget=budget, **options)
    raced = Raced(result.to_json(), ())
    check = not_worse(raced, first.label, second.label, share=share, margin=margin)
    if check.so:
        return result
    names = f"{first.label} {{}} {second.label} on {raced.name}"
    better = "higher" if raced.direction == "max" else "lower"
    allowed = number(check.numbers["margin"])
    how = "in the metric's units" if margin is not None else f"{share:.0%} of the gain over an untrained model"
    said = [
        names.format("is worse than") + f" by more than {allowed}, detectably."
        if check.so is False
        else names.format("may be worse than") + f" by more than {allowed}: this race cannot tell. {check.more}",
        f"Test {check.evidence} ({better} is better; margin {allowed}, {how}).",
        f"The race's own verdict: {result.recommendation['sentence']}",
        _again(result.id, options.get("store")),
    ]
    if check.so is False or undecided == "fail":
        raise AssertionError("\n".join(said))
    if undecided == "warn":
        warnings.warn(UndecidedWarning("\n".join(said)), stacklevel=2)
    return result


def _two(contender: Any, baseline: Any) -> tuple[Contender, Contender]:
    """Both as contenders; of one label, such as two versions of an optimizer, the first gets another."""
    (first,), (second,) = make_contenders([contender]), make_contenders([baseline])
    if first.label == second.label:
        first = replace(first, label=f"new {first.label}"[:60].rstrip())
    return first, second


def _again(id: str, store: str | Path | None) -> str:
    path = store_path(store)
    with open_store(path, must_exist=True) as opened:
        command = page_of(opened, id)["command"]
    again = "the same test repeats the race" if command is None else f"the race again: {command}"
    return f"All of it: gradrace show {id} --store {path}; {again}"
