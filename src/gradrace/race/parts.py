"""A part of a block, trained so that its trials come out as they would in the whole block, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradrace.race.judging import Finding


@dataclass(frozen=True)
class Part:
    """Some trials of a block, to be trained to one of its rungs.

    How many trials lie beside one in memory may change the last digit of its sums. So where trials are trained
    together, the places of the rest are filled: by copies of the first trial of the part.

    Attributes:
        places: which trials, by their place in the block.
        going_on: for each rung before the one to be reached, the places of all trials of the block that went on.
        alone: the places of the rest stay empty, which takes less memory.
    """

    places: tuple[int, ...]
    going_on: tuple[tuple[int, ...], ...] = ()
    alone: bool = False

    @property
    def name(self) -> str:
        """Tells it from other parts of its block."""
        rows = f"{self.places[0]}" if len(self.places) == 1 else f"{self.places[0]} to {self.places[-1]}"
        return f"{rows}, rung {len(self.going_on)}{', alone' if self.alone else ''}"


@dataclass(frozen=True)
class Reached:
    """What the trials of a part reached, by their places; or why the engine could not train them.

    ``chunk``: with how many trials at a time they were trained, if memory did not suffice for the number planned.
    """

    findings: Mapping[int, Finding]
    obstacle: str = ""
    chunk: int = 0
