"""Surfaces to walk down, one file each. A file that defines ``surface = Surface(...)`` is found by being here."""

from __future__ import annotations

from functools import cache

from gradrace._discovery import discover
from gradrace.errors import named
from gradrace.landscapes.surfaces._base import RATIO, Surface

__all__ = ["RATIO", "Surface", "surface", "surfaces"]


@cache
def surfaces() -> dict[str, Surface]:
    """All surfaces by name, in the order in which a page offers them: the first teaches most."""
    found = discover("gradrace.landscapes.surfaces", "surface")
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


def surface(name: str) -> Surface:
    """The surface called ``name``.

    Raises:
        SpecError: there is none; the message names the nearest.
    """
    return named("surface", name, surfaces())
