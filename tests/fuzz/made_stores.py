"""How much is fed to what reads files, and stores to damage: one of a small race, and those of older versions."""

from __future__ import annotations

import os
import sqlite3
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from gradrace.race import api, orchestrator
from inline_lanes import InlineLanes

FIXTURES = Path(__file__).parents[1] / "store" / "fixtures"
ASKED = int(os.environ.get("GRADRACE_FUZZ", "0"))
"""Inputs in all, about; 0 for what the checks of every change can afford, the same each time."""


def fuzzed(usual: int, share: float) -> settings:
    """The settings of a test: ``usual`` inputs, or a ``share`` of those asked for, others each time."""
    most = round(ASKED * share) or usual
    return settings(
        max_examples=most,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],  # to shrink an input that writes files takes minutes
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


def raced(path: Path) -> bytes:
    """The bytes of a store with one small race in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "Lanes", InlineLanes)
        patch.setattr(api, "lanes_ahead", lambda device: nullcontext())
        api.race("linear", ["sgd", "adam"], studies=3, trials=4, seeds=1, steps=8, engine="loop", store=path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("VACUUM")
    connection.close()
    return path.read_bytes()


def older() -> list[bytes]:
    """Files of every version of the schema."""
    return [path.read_bytes() for path in sorted(FIXTURES.glob("schema-*.db"))]
