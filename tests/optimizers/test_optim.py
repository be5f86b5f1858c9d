"""The drop-in classes of gradrace.optim, beside torch.optim."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradrace.errors import SpecError
from gradrace.optim import RuleOptimizer, drop_in
from gradrace.optimizers import Case, Optimizer, PerTensor, optimizers

ALL = [rule for rule in optimizers().values() if isinstance(rule.rule, PerTensor)]
CASES = [pytest.param(rule, case, id=f"{rule.name}-{n}") for rule in ALL for n, case in enumerate(rule.cases)]

every_optimizer = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
every_case = pytest.mark.parametrize(("rule", "case"), CASES)


class Run:
    """A small model in float64, its batches, and an optimizer for two groups of its parameters."""

    def __init__(self, make: Callable[[list[dict[str, Any]]], torch.optim.Optimizer], lrs: tuple[float, float]) -> None:
        generator = torch.Generator().manual_seed(7)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.inputs = torch.randn(40, 6, 3, generator=generator, dtype=torch.float64)
        layers = (self.model[0], self.model[2])
        groups = [{"params": list(layer.parameters()), "lr": lr} for layer, lr in zip(layers, lrs, strict=True)]
        self.optimizer, self.steps = make(groups), 0

    def loss(self) -> Tensor:
        return nn.functional.smooth_l1_loss(self.model(self.inputs[self.steps]), self.inputs[self.steps, :, :1])

    def closure(self) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def step(self) -> None:
        self.closure()
        self.optimizer.step()
        self.steps += 1

    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().reshape(-1) for parameter in self.model.parameters()])


def mine(rule: Optimizer, case: Case) -> Run:
    lr = rule.configure(case.hyper)["lr"]
    others = {name: value for name, value in case.hyper.items() if name != "lr"}
    return Run(lambda groups: drop_in(rule, **case.options)(groups, **others), (lr, lr / 3))


def torchs(rule: Optimizer, case: Case) -> Run:
    hyper, options = rule.configure(case.hyper), rule.with_options(case.options)
    plain = {"foreach": False} if (rule.oracle_class or rule.torch_class).startswith("torch.optim.") else {}

    def make(groups: Any) -> torch.optim.Optimizer:
        return rule.oracle(groups, hyper, options, **plain)

    return Run(make, (hyper["lr"], hyper["lr"] / 3))


@every_case
def test_equals_torch_with_two_groups(rule: Optimizer, case: Case) -> None:
    ours, theirs = mine(rule, case), torchs(rule, case)
    start = ours.weights()
    for _ in range(20):
        ours.step()
        theirs.step()
        assert (ours.weights() - theirs.weights()).abs().max() <= 1e-10 * theirs.weights().abs().max()
    assert not torch.equal(ours.weights(), start)


@every_optimizer
def test_the_learning_rate_of_a_group_may_change_on_the_way(rule: Optimizer) -> None:
    ours, theirs = mine(rule, Case()), torchs(rule, Case())
    for run in (ours, theirs):
        scheduler = torch.optim.lr_scheduler.StepLR(run.optimizer, step_size=5, gamma=0.1)
        for _ in range(12):
            run.step()
            scheduler.step()
    assert ours.optimizer.param_groups[1]["lr"] == pytest.approx(rule.configure()["lr"] / 300)
    assert (ours.weights() - theirs.weights()).abs().max() <= 1e-10 * theirs.weights().abs().max()


@every_optimizer
def test_a_closure_computes_the_loss_anew(rule: Optimizer) -> None:
    one, other = mine(rule, Case()), mine(rule, Case())
    for _ in range(5):
        other.step()
        with torch.no_grad():  # step() itself switches gradients on for the closure
            loss: Any = one.optimizer.step(one.closure)  # pyright: ignore[reportArgumentType, reportCallIssue]
            one.steps += 1
        assert isinstance(loss, Tensor)
    assert torch.equal(one.weights(), other.weights())


@every_optimizer
def test_parameters_without_a_gradient_stay(rule: Optimizer) -> None:
    used, idle = (nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = drop_in(rule)([used, idle], lr=0.1)
    for slope in (1.0, 2.0, 3.0):  # some only look around in their first step
        used.grad = torch.full((2,), slope)
        optimizer.step()
    assert torch.equal(idle, torch.ones(2))
    assert idle not in optimizer.state
    assert not torch.equal(used, torch.ones(2))


@every_case
def test_a_state_dict_goes_on_where_it_was_taken(rule: Optimizer, case: Case) -> None:
    run = mine(rule, case)
    for _ in range(7):
        run.step()
    file = io.BytesIO()  # torch.load refuses what is not plain data
    torch.save({"model": run.model.state_dict(), "optimizer": run.optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file)

    again = mine(rule, replace(case, hyper={**case.hyper, "lr": 9.0}))  # the saved groups carry their own rates
    again.model.load_state_dict(saved["model"])
    again.optimizer.load_state_dict(saved["optimizer"])
    again.steps = run.steps
    for _ in range(7):
        run.step()
        again.step()
        assert torch.equal(again.weights(), run.weights())


@every_optimizer
def test_a_copy_goes_its_own_way(rule: Optimizer) -> None:
    run = mine(rule, Case())
    run.step()
    copied = copy.deepcopy(run)
    run.step()
    after_one = run.weights()
    copied.step()
    assert torch.equal(copied.weights(), after_one)
    copied.step()
    assert torch.equal(run.weights(), after_one)


@every_optimizer
def test_a_class_says_what_it_is(rule: Optimizer) -> None:
    made = drop_in(rule.name)
    assert issubclass(made, RuleOptimizer)
    assert made is drop_in(rule.name)
    assert made.__doc__ == rule.card.idea
    assert made.__name__.lower() == rule.name
    assert made([nn.Parameter(torch.ones(1))]).defaults == rule.configure()


def test_misuse_is_told() -> None:
    parameters = [nn.Parameter(torch.ones(1))]
    with pytest.raises(
        SpecError, match=r"Optimizer 'adam' has no hyperparameter 'beta3'\. It has: lr, beta1, beta2, eps, "
    ):
        drop_in("adam")(parameters, beta3=0.9)
    with pytest.raises(SpecError, match=r"lr must be a number at least 0, but is -0\.1"):
        drop_in("adam")(parameters, lr=-0.1)
    with pytest.raises(SpecError, match=r"Optimizer 'sgd' has no option 'nesterov'\. It has: none\."):
        drop_in("sgd", nesterov=True)
    with pytest.raises(SpecError, match=r"There is no optimizer 'momentun'\. Did you mean 'momentum'\?"):
        drop_in("momentun")

    class Whole:
        """A rule that is not lifted from one for a tensor."""

        init = update = staticmethod(lambda *given: None)

    whole = replace(optimizers()["sgd"], name="whole", rule=Whole())
    with pytest.raises(
        SpecError, match="Optimizer 'whole' looks at all parameters at once; it has no drop-in class yet"
    ):
        drop_in(whole)


def test_a_bad_value_in_a_group_is_refused() -> None:
    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    with pytest.raises(SpecError, match="lr must be a number at least 0, but is -1"):
        drop_in("sgd")([{"params": [parameter], "lr": -1.0}]).step()
    assert torch.equal(parameter, torch.ones(1))
