"""The least true difference that a pair needs to be decided in 80 % of races: ``python benchmarks/power.py``.

At Holm's first step, in standard deviations of the per-study difference; exact, by the noncentral t distribution.
"""

from __future__ import annotations

import math

from scipy.optimize import root_scalar
from scipy.stats import nct, t

POWER = 0.8


def needed(contenders: int, studies: int, alpha: float = 0.05) -> float:
    """The difference in standard deviations."""
    pairs, df = math.comb(contenders, 2), studies - 1
    threshold = t.ppf(1 - alpha / pairs / 2, df)
    found = root_scalar(lambda d: nct.sf(threshold, df, d * math.sqrt(studies)) - POWER, bracket=(0.01, 100))
    return float(found.root)


def main() -> None:
    print("| contenders | K = 3 | K = 5 | K = 8 |\n|---|---|---|---|")
    for contenders in (2, 5, 8):
        print(f"| {contenders} | " + " | ".join(f"{needed(contenders, studies):.1f}" for studies in (3, 5, 8)) + " |")


if __name__ == "__main__":
    main()
