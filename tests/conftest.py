"""One thread for each test process, and no skip without a registered reason. Nothing is seeded here."""

from __future__ import annotations

import torch

from skip_guard import pytest_configure

__all__ = ["pytest_configure"]

# Two processes run the tests: with more threads they would wait for each other, and the order of a sum, hence its last
# digits, would depend on the number of cores.
torch.set_num_threads(1)
