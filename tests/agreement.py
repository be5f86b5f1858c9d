"""Comparing the vectorized engine with the reference loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from gradrace.engine.trial import Schedule, Training, Trials, TrialSetup
from gradrace.optimizers import Optimizer, optimizer
from gradrace.randomness import Stream
from gradrace.workloads import Workload

STEPS = 50


def setup(
    rule: str | Optimizer, hyper: Mapping[str, float], stream: Stream, options: Mapping[str, bool] | None = None
) -> TrialSetup:
    found = optimizer(rule) if isinstance(rule, str) else rule
    return TrialSetup(found, found.configure(hyper), found.with_options(options), stream)


def training(task: Workload, schedule: Schedule = "constant", dtype: torch.dtype = torch.float64) -> Training:
    return Training(2 * STEPS, task.batch_size, schedule, dtype=dtype)


def assert_close(found: Sequence[float], expected: Sequence[float], tolerance: float = 1e-9) -> None:
    """Equal up to a relative error; what is not finite is so on both sides."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert math.isfinite(one) == math.isfinite(other)
        if math.isfinite(other):
            assert abs(one - other) <= tolerance * abs(other)


def assert_agree(vectorized: Trials, loop: Trials, until: int, tolerance: float = 1e-9) -> None:
    """Train both to a step and compare all that can be seen of them."""
    assert_close(vectorized.train(until), loop.train(until), tolerance)
    for split in ("train", "validation", "test"):
        found, expected = vectorized.evaluate(split), loop.evaluate(split)
        assert_close(found.loss, expected.loss, tolerance)
        assert_close(found.metric, expected.metric, tolerance)
    assert vectorized.diverged_at() == loop.diverged_at()
    assert vectorized.failures() == loop.failures() == [None] * len(loop.failures())
