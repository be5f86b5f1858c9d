"""Claims that are found: those of this folder, and those that third parties registered."""

from __future__ import annotations

from functools import cache

from gradrace._discovery import discover
from gradrace.claims._base import Claim
from gradrace.errors import named


@cache
def claims() -> dict[str, Claim]:
    """All claims by name."""
    return discover("gradrace.claims", "claim")


def claim(name: str) -> Claim:
    """The claim called ``name``.

    Raises:
        SpecError: there is none; the message names the nearest.
    """
    return named("claim", name, claims())
