"""Implementations that update rules are compared with, where a published class cannot be used just as it is.

An optimizer names one by ``oracle_class="oracles.…"``; pytest puts this folder on the path. No mathematics here: each
arranges published classes, and says why.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

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


class Muon(torch.optim.Optimizer):
    """``torch.optim.Muon`` for matrices, the only parameters it takes, and ``torch.optim.AdamW`` for the rest.

    The published class rounds to bfloat16 before it iterates, and then only two digits can be compared. Here that one
    method of a tensor copies it without rounding; test_matrix_rules.py compares with the class as it is, to two digits.
    """

    def __init__(self, params: Any, *, betas: tuple[float, float], eps: float, match_rms: bool, **muon: Any) -> None:
        super().__init__(params, {**muon, "betas": betas, "eps": eps})
        self.parts: list[tuple[dict[str, Any], torch.optim.Optimizer]] = []
        for group in self.param_groups:
            matrices = [param for param in group["params"] if param.ndim == 2]
            others = [param for param in group["params"] if param.ndim != 2]
            shared = {name: group[name] for name in ("lr", "weight_decay")}
            if matrices:
                scale = "match_rms_adamw" if match_rms else "original"
                own = {name: group[name] for name in ("momentum", "nesterov", "ns_coefficients")}
                own["eps"] = group["ns_eps"]
                self.parts.append((group, torch.optim.Muon(matrices, **shared, **own, adjust_lr_fn=scale)))
            if others:
                adamw = torch.optim.AdamW(others, **shared, betas=group["betas"], eps=group["eps"], foreach=False)
                self.parts.append((group, adamw))

    def step(self, closure: Any = None) -> Any:
        """The step of each part, at the learning rate that its group has now."""
        for group, part in self.parts:
            part.param_groups[0]["lr"] = group["lr"]
            with patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
                part.step()


class Prodigy(pytorch_optimizer.Prodigy):
    """Keeps its two sums in the parameters' precision: the published class keeps them in torch's default, float32."""

    def step(self, closure: Any = None) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.param_groups[0]["params"][0].dtype)
        try:
            return super().step(closure)
        finally:
            torch.set_default_dtype(before)


class SOAP(pytorch_optimizer.SOAP):
    """Takes bases of factors with a slope on the diagonal, as the rule does, and without rounding them to float32.

    The published class leaves directions without gradient to the rounding of LAPACK's input, so that no two programs
    find the same ones.
    """

    @staticmethod
    def get_orthogonal_matrix(mat: Any) -> list[Any]:
        factors: Any = [_sloping(factor) for factor in mat]
        return pytorch_optimizer.SOAP.get_orthogonal_matrix(factors)

    def get_orthogonal_matrix_qr(self, state: Any, max_precondition_dim: int = 10000, merge_dims: bool = False) -> Any:
        sloping = {**state, "GG": [_sloping(factor) for factor in state["GG"]]}
        with patch.object(torch.Tensor, "to", lambda tensor, dtype: tensor):
            bases = super().get_orthogonal_matrix_qr(sloping, max_precondition_dim, merge_dims)
        state["exp_avg_sq"] = sloping["exp_avg_sq"]
        return bases


def _sloping(factor: Any) -> Any:
    if not len(factor):  # the published class has an empty list for a side without a basis
        return factor
    slope = torch.linspace(1, 1 / len(factor), len(factor), dtype=factor.dtype)
    return factor + 1e-3 * factor.trace() * slope.diag()


class Lamb(pytorch_optimizer.Lamb):
    """Measures all gradients together in their own precision: the published class rounds the length to float32."""

    def __init__(self, params: Any, **arguments: Any) -> None:
        super().__init__(params, foreach=False, **arguments)

    def get_global_gradient_norm(self) -> Any:
        with patch.object(torch.Tensor, "float", torch.Tensor.clone):
            return super().get_global_gradient_norm()
