"""A stored race in the trackers that people already have open: TensorBoard and MLflow.

Each tracker is a module of its own, which alone imports what it needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradrace.errors import SpecError, unknown_name
from gradrace.outcomes import Outcome, Stage
from gradrace.race.reporting import as_written
from gradrace.store import RaceRecord, Store

TARGETS = ("tensorboard", "mlflow")


@dataclass(frozen=True)
class Logged:
    """What is logged of a race.

    Attributes:
        record: of the race.
        outcomes: of its trials; of a race that has not ended, those there are.
        document: of its page.
    """

    record: RaceRecord
    outcomes: Sequence[Outcome]
    document: Mapping[str, Any]

    @property
    def summary(self) -> Mapping[str, Any]:
        """As ``gradrace show --json`` prints it."""
        return self.document["summary"]

    @property
    def metric(self) -> str:
        """What the race is judged by."""
        return self.summary["workload"]["metric"]

    @property
    def name(self) -> str:
        """Workload and id."""
        return f"{self.summary['workload']['name']} {self.record.id}"


def log_to(store: Store, race: str, target: str, where: str | None) -> str:
    """Log a stored race to a tracker. What is there of it already is not logged a second time.

    Args:
        store: that holds it.
        race: its id, or the beginning of it.
        target: one of ``TARGETS``.
        where: a folder; of MLflow also a tracking URI. By default what the tracker itself takes.

    Returns:
        A sentence on what was written, and how to look at it.

    Raises:
        SpecError: there is no such tracker, it is not installed, or it cannot be written to.
        StoreError: there is no such race, or it cannot be shown.
    """
    from gradrace.report.page import page_document  # which takes scipy along

    log = _logger(target)
    record = store.race(race)
    with as_written(record.id):
        outcomes = store.outcomes(record.id)
        logged = Logged(record, outcomes, page_document(record, outcomes, store.notes(record.id)))
    return log(logged, where)


def check_target(target: str) -> None:
    """Raise a SpecError unless there is such a tracker, and it is installed."""
    _logger(target)


def _logger(target: str) -> Callable[[Logged, str | None], str]:
    if target not in TARGETS:
        raise unknown_name("tracker", target, TARGETS)
    try:
        return importlib.import_module(f"{__name__}._{target}").log
    except ImportError as error:
        raise not_installed(target, error) from None


def not_installed(target: str, error: ImportError) -> SpecError:
    """The error for a tracker of which something is not there."""
    return SpecError(
        f"Logging to {target} needs {error.name}, which is not installed: pip install 'gradrace[{target}]'"
    )


def title_of(outcome: Outcome) -> str:
    """Which trial of its contender this is, in words: confirmations by their seed, all others by their point."""
    if outcome.stage is Stage.CONFIRMATION:
        return f"study {outcome.study}, seed {outcome.seed}"
    return f"study {outcome.study}, trial {outcome.point}"
