"""Mean training losses of a block's trials between two points of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Means:
    """Losses are added up one step after another.

    So a mean depends neither on the number of trials beside it nor on where training paused.
    """

    def __init__(self, trials: int) -> None:
        self._total, self._count = np.zeros(trials), 0

    def add(self, losses: Tensor) -> None:
        """Losses of some more steps [steps, trials]."""
        rows = losses.to(device="cpu", dtype=torch.float64).numpy()
        self._total = np.add.accumulate(np.concatenate([self._total[None], rows]))[-1]
        self._count += len(rows)

    def tell(self) -> list[float]:
        """The means since they were told last."""
        told = (self._total / max(1, self._count)).tolist()
        self._total, self._count = np.zeros_like(self._total), 0
        return told

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these trials alone."""
        self._total = self._total[list(rows)]

    def state(self) -> dict[str, Any]:
        """What ``load`` goes on from."""
        return {"total": torch.from_numpy(self._total.copy()), "count": self._count}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._total, self._count = state["total"].numpy(), state["count"]
