"""Scores as the verdict takes them: which way is better, and arrays checked for shape and finiteness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Direction = Literal["min", "max"]


def sign(direction: str) -> float:
    """+1 if larger is better, -1 if smaller is: ``sign * value`` is a score where larger is better."""
    if direction == "max":
        return 1.0
    if direction == "min":
        return -1.0
    raise ValueError(f"direction is {direction!r}; it must be 'min' or 'max'.")


def checked(scores: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """Each contender's scores as a finite array [K studies, S seeds] of its own shape.

    Raises:
        ValueError: a shape is not [K, S] with both at least 1, or a value is not finite.
    """
    arrays = {label: np.asarray(values, dtype=float) for label, values in scores.items()}
    for label, array in arrays.items():
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(
                f"The scores of '{label}' have shape {array.shape}; [studies, seeds] is needed, none of them 0."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"Some scores of '{label}' are not finite; pass them through censor first.")
    return arrays


def stacked(scores: Mapping[str, ArrayLike]) -> np.ndarray:
    """All contenders' scores as one finite array of shape [C contenders, K studies, S seeds].

    Raises:
        ValueError: the shapes differ, are not [K, S] with both at least 1, or a value is not finite.
    """
    arrays = checked(scores)
    shapes = {label: array.shape for label, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Contenders are compared study by study, so their scores need one shape; received {shapes}.")
    return np.stack(list(arrays.values()))


def filled(values: ArrayLike, direction: str) -> np.ndarray:
    """``values`` with whatever is not finite replaced by the worst finite one; unchanged NaN if none is finite."""
    array = np.asarray(values, dtype=float)
    finite = np.isfinite(array)
    finite_values = array[finite]
    if finite_values.size == 0:
        return np.full(array.shape, np.nan)
    worst = finite_values.min() if sign(direction) > 0 else finite_values.max()
    return np.where(finite, array, worst)


def worst_value(values: np.ndarray, direction: str, declared: float | None) -> np.ndarray:
    """What missing values count as [...]: the worst finite one of ``values`` [..., N], or ``declared`` if it is worse.

    0 where there is neither: all is missing then, and all ties.
    """
    better = sign(direction)
    merit = np.where(np.isfinite(values), better * values, np.inf).min(axis=-1, initial=np.inf)
    if declared is not None and math.isfinite(declared):
        merit = np.minimum(merit, better * declared)
    return np.where(np.isfinite(merit), better * merit, 0.0)


def without_missing(table: np.ndarray, direction: str, declared: float | None) -> np.ndarray:
    """Races' scores [..., C, K, S] with what is not finite censored in each race by itself, as ``censor`` does it."""
    fill = worst_value(table.reshape(*table.shape[:-3], -1), direction, declared)
    return np.where(np.isfinite(table), table, fill[..., None, None, None])
