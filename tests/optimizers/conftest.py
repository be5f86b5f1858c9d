"""What the oracles need to be exact."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def exact_oracles(scalars_in_float64: None) -> None:
    """Every test of this folder compares with an oracle."""
