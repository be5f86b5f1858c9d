"""The races of the primer's suite, which several claims look at."""

from __future__ import annotations

from typing import Any

from gradrace.claims._base import Asked
from gradrace.workloads import suite

SHARE = 8
"""Quick claims race one in so many of a workload's steps, half of what a quick race has: there are eleven of them."""


def suite_races(quick: bool) -> dict[str, Asked]:
    """The five on every workload of the primer, by its name."""

    def options(steps: int) -> dict[str, Any]:
        return {"budget": "quick", "trials": 4, "seeds": 2, "steps": steps // SHARE} if quick else {}

    return {name: Asked(name, options=options(work.steps)) for name, work in suite("primer").items()}
