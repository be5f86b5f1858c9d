"""The drop-in class of every rule, with two groups of parameters, beside the oracle of the rule's cases.

What PyTorch's side of the contract asks (states, closures, hooks, copies, …) is tested in tests/optim.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradrace.optim import drop_in
from gradrace.optimizers import Case, Optimizer, PerTensor, Rescaled, optimizers

ALL = [rule for rule in optimizers().values() if isinstance(rule.rule, PerTensor | Rescaled)]
CASES = [pytest.param(rule, case, id=f"{rule.name}-{n}") for rule in ALL for n, case in enumerate(rule.cases)]


class Run:
    """A small model in float64, its batches, and an optimizer for two groups of its parameters."""

    def __init__(self, rule: Optimizer, case: Case, ours: bool) -> None:
        generator = torch.Generator().manual_seed(7)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        self.inputs = torch.randn(40, 6, 3, generator=generator, dtype=torch.float64)
        self.steps = 0
        hyper, options = rule.configure(case.hyper), rule.with_options(case.options)
        layers = zip((self.model[0], self.model[2]), (hyper["lr"], hyper["lr"] / 3), strict=True)
        groups: Any = [{"params": list(layer.parameters()), "lr": lr} for layer, lr in layers]
        self.optimizer: torch.optim.Optimizer
        if ours:
            self.optimizer = drop_in(rule, **case.options)(groups, **rule.torch_arguments(hyper, options))
        else:
            plain = {"foreach": False} if (rule.oracle_class or rule.torch_class).startswith("torch.optim.") else {}
            self.optimizer = rule.oracle(groups, hyper, options, **plain)

    def step(self) -> None:
        self.optimizer.zero_grad()
        nn.functional.smooth_l1_loss(self.model(self.inputs[self.steps]), self.inputs[self.steps, :, :1]).backward()
        self.optimizer.step()
        self.steps += 1

    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.model.parameters()])


def assert_equal(ours: Run, theirs: Run) -> None:
    assert (ours.weights() - theirs.weights()).abs().max() <= 1e-10 * theirs.weights().abs().max()


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_equals_the_oracle_with_two_groups(rule: Optimizer, case: Case) -> None:
    ours, theirs = Run(rule, case, ours=True), Run(rule, case, ours=False)
    start = ours.weights()
    for _ in range(20):
        ours.step()
        theirs.step()
        assert_equal(ours, theirs)
    assert not torch.equal(ours.weights(), start)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_the_learning_rate_of_a_group_may_change_on_the_way(rule: Optimizer) -> None:
    ours, theirs = Run(rule, Case(), ours=True), Run(rule, Case(), ours=False)
    for run in (ours, theirs):
        scheduler = torch.optim.lr_scheduler.StepLR(run.optimizer, step_size=5, gamma=0.1)
        for _ in range(12):
            run.step()
            scheduler.step()
    assert ours.optimizer.param_groups[1]["lr"] == pytest.approx(rule.configure()["lr"] / 300)
    assert_equal(ours, theirs)
