"""The races of the primer's suite, which several claims look at."""

from __future__ import annotations

from typing import Any

from gradrace.claims._base import Asked
from gradrace.workloads import suite

QUICK: dict[str, Any] = {"budget": "quick", "trials": 4, "seeds": 2}
"""Half of a quick race: with eleven workloads the quick claims would take more than their ten minutes."""


def suite_races(quick: bool) -> dict[str, Asked]:
    """The five on every workload of the primer, by its name."""
    return {name: Asked(name, options=QUICK if quick else {}) for name in suite("primer")}
