"""Update rules, one file each. A file that defines ``optimizer = Optimizer(...)`` is found by being here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from gradrace._discovery import discover
from gradrace.errors import named
from gradrace.optimizers._base import (
    BadInput,
    Card,
    Case,
    Hyperparameter,
    Korean,
    Optimizer,
    PerTensor,
    Rescaled,
    UpdateRule,
)
from gradrace.optimizers._torch import AnyOptimizer, TorchOptimizer, resolve

__all__ = [
    "AnyOptimizer",
    "BadInput",
    "Card",
    "Case",
    "Hyperparameter",
    "Korean",
    "Optimizer",
    "PerTensor",
    "Rescaled",
    "TorchOptimizer",
    "UpdateRule",
    "find",
    "optimizer",
    "optimizers",
]


@cache
def optimizers() -> dict[str, Optimizer]:
    """All optimizers by name."""
    return discover("gradrace.optimizers", "optimizer")


def optimizer(name: str) -> Optimizer:
    """The optimizer called ``name``.

    Raises:
        SpecError: there is none; the message names the nearest.
    """
    return named("optimizer", name, optimizers())


def find(given: object, tuned: Iterable[str] = ()) -> AnyOptimizer:
    """An optimizer from a name of ours, a dotted name, a file, a class or a function; see ``resolve``."""
    return resolve(given, optimizers(), tuned)
