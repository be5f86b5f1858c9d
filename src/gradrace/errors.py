"""The few kinds of error a user can meet. Each message is a sentence: what was wrong, the value, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Known = TypeVar("Known")


class GradraceError(Exception):
    """Base of every error that is the user's to mend. The command line prints it and exits with code 2."""


class SpecError(GradraceError):
    """A race, contender, workload or search space was described wrongly."""


class StoreError(GradraceError):
    """A store cannot be opened, read or written, or holds no such race."""


class WorkloadError(GradraceError):
    """A workload's own code (model, data, loss, metric) raised or returned something unusable."""


class DataError(GradraceError):
    """Data that a workload needs cannot be fetched, or are not what they should be."""


class Interrupted(GradraceError):
    """The race was stopped by the user; everything finished is stored and the race can be resumed."""


_gathered: ContextVar[list[SpecError] | None] = ContextVar("gathered", default=None)


def refuse(error: SpecError) -> None:
    """Raise the error, or, inside ``gathering()``, note it and go on, so that it is not the only one that is told."""
    errors = _gathered.get()
    if errors is None:
        raise error
    errors.append(error)


@contextmanager
def gathering() -> Iterator[list[SpecError]]:
    """Have ``refuse`` gather errors in the list that this yields. What was built in here may be unusable."""
    errors: list[SpecError] = []
    token = _gathered.set(errors)
    try:
        yield errors
    finally:
        _gathered.reset(token)


def named(kind: str, name: str, known: Mapping[str, Known]) -> Known:
    """What is known by a name.

    Raises:
        SpecError: nothing is; the message names the nearest.
    """
    if name not in known:
        raise unknown_name(kind, name, known)
    return known[name]


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> SpecError:
    """The error for a name that is not in the list, with the nearest one and the whole list.

    >>> print(unknown_name("optimizer", "adm", ["adam", "sgd"]))
    There is no optimizer 'adm'. Did you mean 'adam'? Known: adam, sgd.
    """
    names = sorted(valid)
    lowered = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    hint = f" Did you mean '{lowered[near[0]]}'?" if near else ""
    return SpecError(f"There is no {kind} '{name}'.{hint} Known: {', '.join(names)}.")
