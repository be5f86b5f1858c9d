"""What can be done for a race before it is known which one: its lanes' imports begin."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from gradrace.engine import server

MODULES = ("torch", "torch._dynamo", "gradrace.race.probe", "gradrace.race.costs")
"""What lanes import before their first block."""


def lanes_ahead(device: str = "cpu") -> AbstractContextManager[None]:
    """Have lanes that are made in this context start at once, from what is imported meanwhile."""
    return nullcontext() if device == "cuda" else server.ahead(MODULES)
