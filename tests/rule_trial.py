"""Parameters under one update rule, in float64: what the tests of single rules step with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gradrace.optimizers import Optimizer, optimizer

Tree = dict[str, Tensor]
F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


class Trial:
    """Parameters under a rule, in float64."""

    def __init__(
        self,
        name: str,
        params: Tree,
        hyper: Mapping[str, float] | None = None,
        options: Mapping[str, bool] | None = None,
    ) -> None:
        self.rule: Optimizer = optimizer(name)
        self.options = self.rule.with_options(options)
        columns = self.rule.hyper_tensors([self.rule.configure(hyper)])
        self.hyper: Any = type(columns)(*(None if column is None else column[0] for column in columns))
        self.params = {key: param.clone() for key, param in params.items()}
        self.state: Any = self.rule.rule.init(self.params, self.options)
        self.steps = 0

    def step(self, grads: Tree) -> Tree:
        """One step; what was added to the parameters."""
        self.steps += 1
        clock = torch.tensor(float(self.steps), dtype=F64)
        updates, self.state = self.rule.rule.update(grads, self.state, self.params, self.hyper, clock, self.options)
        self.params = {key: param + updates[key] for key, param in self.params.items()}
        return updates

    def evaluated(self) -> Tree:
        assert self.rule.evaluated is not None
        return self.rule.evaluated(self.params, self.state, self.hyper, self.options)
