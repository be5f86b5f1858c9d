"""The races of the primer's suite, which several claims look at."""

from __future__ import annotations

from gradrace.claims._base import Asked
from gradrace.workloads import suite


def suite_races(quick: bool) -> dict[str, Asked]:
    """The five on every workload of the primer, by its name."""
    return {name: Asked(name, options={"budget": "quick"} if quick else {}) for name in suite("primer")}
