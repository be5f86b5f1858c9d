"""Peers are no dependency of gradrace: what is not installed is left out with a line."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import Any


def load(name: str) -> Any:
    """A module of a peer, without a type: the checker need not have it."""
    return importlib.import_module(name)


def missing(*packages: str) -> str:
    """The first of these packages that is not installed, or nothing."""
    return next((package for package in packages if importlib.util.find_spec(package) is None), "")


def versions(*packages: str) -> str:
    """What is installed of them, as in ``jax 0.7.0, optax 0.2.5``."""
    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages if not missing(p))
