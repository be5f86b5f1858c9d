"""Claims that are found: those of this folder, those that third parties registered, and those in files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gradrace._discovery import discover, load_file
from gradrace.claims._base import Claim
from gradrace.errors import SpecError, named


@cache
def claims() -> dict[str, Claim]:
    """All claims by name."""
    return discover("gradrace.claims", "claim")


def claim(name: str) -> Claim:
    """The claim called ``name``, or the one that a ``.py`` file defines as ``claim``.

    Raises:
        SpecError: there is none; the message names the nearest. WorkloadError: the file raises when it is loaded.
    """
    if not name.endswith(".py"):
        return named("claim", name, claims())
    path = Path(name)
    if not path.is_file():
        raise SpecError(f"There is no file '{name}'.")
    found = getattr(load_file(path.resolve()), "claim", None)
    if not isinstance(found, Claim):
        raise SpecError(f"The file {name} must define claim = Claim(...), but does not.")
    return found
