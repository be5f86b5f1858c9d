"""An optimizer of one's own, as a project would have it: SGD whose steps have a length, whatever the gradient's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Normalized(torch.optim.Optimizer):
    def __init__(self, params: Iterable[torch.Tensor], lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step, along the average of the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                mean = self.state[param].setdefault("mean", torch.zeros_like(param))
                mean.lerp_(param.grad, 1 - group["momentum"])
                length = mean.norm()
                param.add_(torch.where(length > 0, mean / length, 0), alpha=-group["lr"])
        return loss
