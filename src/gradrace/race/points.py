"""Quasi-random points: the same for all contenders of a study, mapped into each one's search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gradrace.randomness import seed_of
from gradrace.space import Dimension

MOST_DIMENSIONS = 16
"""Coordinates drawn for every point. A contender uses the first few, so that all contenders share those."""


def sobol(race_seed: int, study: int, scramble: int, purpose: str, count: int) -> list[list[float]]:
    """``count`` scrambled Sobol points in [0, 1), each with MOST_DIMENSIONS coordinates."""
    seed = seed_of(race_seed, study, scramble, purpose)
    engine = torch.quasirandom.SobolEngine(MOST_DIMENSIONS, scramble=True, seed=seed)
    return engine.draw(count, dtype=torch.float64).tolist()


def configuration(point: Sequence[float], dimensions: Mapping[str, Dimension]) -> dict[str, float]:
    """A point as values of the tuned hyperparameters: the first coordinate for the first of them, and so on."""
    return {name: space.value(u) for (name, space), u in zip(dimensions.items(), point, strict=False)}
