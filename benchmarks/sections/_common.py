"""What all sections are given, and how they take turns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """``rounds`` of turns of about ``seconds`` each. ``full`` does whole jobs instead of a share."""

    rounds: int
    seconds: float
    workloads: tuple[str, ...]
    full: bool


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def in_turns(rounds: int, ways: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Every way once a round; each round begins with another one."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds):
        place = turn % max(1, len(names))
        for name in names[place:] + names[:place]:
            found[name].append(ways[name]())
    return found
