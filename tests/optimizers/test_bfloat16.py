"""Rules on bfloat16 parameters: no NaN in 200 steps, and each step within bfloat16's rounding of the exact one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gradrace.optimizers import Optimizer, optimizers

STEPS, COMPARED = 200, 20
ROUNDING = 2.0**-8
OPERATIONS = 8
"""Roundings that may add up in one update: none of the rules has more in a row that matter at this precision."""
SHAPES = {"weight": (4, 5), "bias": (5,)}


def double(tree: Any) -> Any:
    return tree_map(lambda leaf: leaf.double() if isinstance(leaf, Tensor) else leaf, tree)


def record(rule: Optimizer) -> Any:
    hyper = rule.hyper_tensors([rule.configure()])
    return type(hyper)(*(None if value is None else value[0] for value in hyper))


@pytest.mark.parametrize("rule", optimizers().values(), ids=lambda rule: rule.name)
def test_bfloat16(rule: Optimizer) -> None:
    generator = torch.Generator().manual_seed(0)

    def normal() -> dict[str, Tensor]:
        return {n: torch.randn(s, generator=generator, dtype=torch.float64).bfloat16() for n, s in SHAPES.items()}

    params, options, hyper = normal(), rule.with_options({}), record(rule)
    state = rule.rule.init(params, options)
    for step in range(1, STEPS + 1):
        grads, clock = normal(), torch.tensor(float(step), dtype=torch.float64)
        updates, after = rule.rule.update(grads, state, params, hyper, clock, options)
        if step <= COMPARED:
            exact, _ = rule.rule.update(double(grads), double(state), double(params), hyper, clock, options)
            for name, update in updates.items():
                assert update.dtype == torch.bfloat16
                scale = max(exact[name].abs().max().item(), params[name].abs().max().item())
                assert (update.double() - exact[name]).abs().max().item() <= OPERATIONS * ROUNDING * scale
        state, params = after, {name: params[name] + updates[name] for name in params}
        assert all(torch.isfinite(param).all() for param in params.values())
