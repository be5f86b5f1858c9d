"""Implementations that update rules are compared with, where a published class cannot be used just as it is.

An optimizer names one by ``oracle_class="oracles.…"``; pytest puts this folder on the path. No mathematics here: each
arranges published classes, and says why.
"""

from __future__ import annotations

from typing import Any

import schedulefree


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
