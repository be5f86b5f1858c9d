"""Published statements about optimizers, one file each, and the races that could refute them."""

from __future__ import annotations

from functools import cache

from gradrace._discovery import discover
from gradrace.claims._base import Asked, Check, Claim, Outcome, outcome_of
from gradrace.claims._raced import Raced
from gradrace.errors import unknown_name

__all__ = ["Asked", "Check", "Claim", "Outcome", "Raced", "claim", "claims", "outcome_of"]


@cache
def claims() -> dict[str, Claim]:
    """All claims by name."""
    return discover("gradrace.claims", "claim")


def claim(name: str) -> Claim:
    """The claim called ``name``.

    Raises:
        SpecError: there is none; the message names the nearest.
    """
    known = claims()
    if name not in known:
        raise unknown_name("claim", name, known)
    return known[name]
