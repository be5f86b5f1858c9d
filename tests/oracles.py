"""Implementations that update rules are compared with, where a published class cannot be used just as it is.

An optimizer names one by ``oracle_class="oracles.…"``; pytest puts this folder on the path. No mathematics here: each
arranges published classes, and says why.
"""

from __future__ import annotations

from typing import Any

import pytorch_optimizer
import schedulefree
import torch


class ScheduleFreeSGD(schedulefree.SGDScheduleFree):
    """Starts in training mode: the published class refuses to step before ``train()`` was called."""

    def __init__(self, params: Any, **arguments: Any) -> None:
        super().__init__(params, foreach=False, **arguments)
        self.train()


class ScheduleFreeAdamW(schedulefree.AdamWScheduleFree):
    """Starts in training mode: the published class refuses to step before ``train()`` was called."""

    def __init__(self, params: Any, **arguments: Any) -> None:
        super().__init__(params, foreach=False, **arguments)
        self.train()


class Prodigy(pytorch_optimizer.Prodigy):
    """Keeps its two sums in the parameters' precision: the published class keeps them in torch's default, float32."""

    def step(self, closure: Any = None) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.param_groups[0]["params"][0].dtype)
        try:
            return super().step(closure)
        finally:
            torch.set_default_dtype(before)
