"""Constructors take what PyTorch's take, and refuse as they do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import gradrace.optim
from gradrace.errors import SpecError
from gradrace.optim import RuleOptimizer, drop_in
from gradrace.optimizers import optimizer, optimizers

from .helpers import CLASSES, NAMES, parameters, per_tensor, train


def test_there_is_a_class_for_every_optimizer() -> None:
    assert {kind.rule.name for kind in CLASSES.values()} == set(optimizers())
    assert set(NAMES) <= set(dir(gradrace.optim))
    for name in ("SGD", "Momentum", "Nesterov", "Adagrad", "RMSprop", "Adam"):
        kind = getattr(gradrace.optim, name)
        assert kind.__name__ == name
        assert issubclass(kind, RuleOptimizer)
        assert isinstance(kind(parameters()), torch.optim.Optimizer)
        assert "lr: learning rate" in str(kind.__doc__)


def test_an_unknown_class_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Adem'. Its classes: .*Adam, .*SGD"):
        _ = gradrace.optim.Adem
    with pytest.raises(SpecError, match=r"There is no optimizer 'adem'\. Did you mean 'adam'"):
        drop_in("adem")
    with pytest.raises(SpecError, match="has no option 'fast'"):
        drop_in("adam", fast=True)


REFUSED: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("SGD", {"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ("SGD", {"lr": float("nan")}, ValueError, "Invalid learning rate: nan"),
    ("SGD", {"momentum": -0.5}, ValueError, "Invalid momentum value: -0.5"),
    ("SGD", {"weight_decay": -0.5}, ValueError, "Invalid weight_decay value: -0.5"),
    ("SGD", {"nesterov": True}, ValueError, "Invalid momentum value: 0. momentum must be a number above 0"),
    (
        "SGD",
        {"momentum": 0.9, "dampening": 0.5, "nesterov": True},
        ValueError,
        "nesterov=True needs dampening=0, but dampening is 0.5",
    ),
    ("Momentum", {"dampening": 0.5, "nesterov": True}, ValueError, "nesterov=True needs dampening=0"),
    ("SOAP", {"shampoo_beta": 1.0}, ValueError, "Invalid shampoo_beta value: 1.0"),
    ("Prodigy", {"growth_rate": -1.0}, ValueError, "Invalid growth_rate value: -1.0"),
    ("Adafactor", {"eps": (-1.0, 1e-3)}, ValueError, "Invalid eps parameter at index 0: -1.0"),
    ("Adam", {"betas": (1.0, 0.9)}, ValueError, "Invalid beta parameter at index 0: 1.0"),
    ("Adam", {"betas": (0.0, -0.1)}, ValueError, "Invalid beta parameter at index 1: -0.1"),
    ("Adam", {"betas": 0.9}, ValueError, "Invalid betas value: 0.9. It is a tuple of 2 numbers."),
    ("Adam", {"eps": -1e-8}, ValueError, "Invalid epsilon value: -1e-08"),
    ("Adam", {"lr": "fast"}, ValueError, "Invalid learning rate: 'fast'"),
    ("Adam", {"lr": torch.ones(2)}, ValueError, "Tensor lr must be 1-element"),
    ("Adam", {"lr": torch.tensor(-1.0)}, ValueError, "Invalid learning rate: -1.0"),
    ("Adam", {"rho": 0.9}, TypeError, "unexpected keyword argument 'rho'"),
    ("Adam", {"compile": "often"}, ValueError, "Invalid compile value: 'often'. It is True, False or 'auto'."),
    ("Adam", {"capturable": True}, ValueError, "capturable=True is not supported: .* Leave it at False."),
    ("Adam", {"differentiable": True}, ValueError, "differentiable=True is not supported: .* Leave it at False."),
    ("Adam", {"foreach": True, "fused": True}, RuntimeError, "`fused` and `foreach` cannot be `True` together."),
    ("RMSprop", {"alpha": 1.5}, ValueError, "Invalid alpha value: 1.5"),
    ("Momentum", {"momentum": 1.0}, ValueError, "Invalid momentum value: 1.0"),
]


@pytest.mark.parametrize(("name", "keywords", "kind", "message"), REFUSED, ids=str)
def test_bad_arguments_are_refused(name: str, keywords: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        CLASSES[name](parameters(), **keywords)


@pytest.mark.parametrize("name", NAMES)
def test_bad_inputs_of_the_rule_are_refused(name: str) -> None:
    kind = CLASSES[name]
    for bad in kind.rule.bad_inputs:
        if set(bad.hyper) <= set(kind.rule.hyperparameters):
            values = {n: known.default for n, known in kind.rule.hyperparameters.items()} | dict(bad.hyper)
            with pytest.raises(SpecError) as own:
                kind.rule.configure(values)
            with pytest.raises(ValueError, match=r"Invalid .*: ") as error:
                kind(parameters(), **kind.arguments.keywords(values, {}))
            assert str(own.value) in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_bad_parameters_are_refused(name: str) -> None:
    kind = CLASSES[name]
    with pytest.raises(TypeError, match="an iterable of Tensors or dicts"):
        kind(torch.ones(2))
    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        kind([])
    with pytest.raises(TypeError, match="optimizer can only optimize Tensors"):
        kind(["weight"])
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        kind([torch.ones(2, requires_grad=True) * 2])
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'params'"):
        kind(*[])


def test_a_group_is_checked_when_it_is_given() -> None:
    params = parameters()
    with pytest.raises(ValueError, match=r"Invalid learning rate: -0\.1"):
        gradrace.optim.Adam([{"params": params[:1], "lr": -0.1}])
    optimizer = gradrace.optim.Adam(params[:1])
    with pytest.raises(ValueError, match="Invalid beta parameter at index 1"):
        optimizer.add_param_group({"params": params[1:], "betas": (0.9, 2.0)})
    assert len(optimizer.param_groups) == 1


def test_the_learning_rate_comes_second() -> None:
    assert gradrace.optim.Adam(parameters(), 0.25).param_groups[0]["lr"] == 0.25
    assert gradrace.optim.Momentum(parameters(), 0.25, 0.5).param_groups[0]["momentum"] == 0.5


def test_wishes_for_speed_change_nothing() -> None:
    ends = []
    for keywords in ({}, {"foreach": True}, {"fused": True}, {"foreach": False}):
        params = parameters()
        ends.append(train(gradrace.optim.Adam(params, **keywords), params, 3))
    assert all(torch.equal(a, b) for end in ends[1:] for a, b in zip(end, ends[0], strict=True))


def test_momentum_may_be_switched_on_later() -> None:
    params, others = parameters(), parameters()
    optimizer, reference = gradrace.optim.SGD(params, 0.1), torch.optim.SGD(others, 0.1)
    for momentum in (0.0, 0.9, 0.0):
        optimizer.param_groups[0]["momentum"] = reference.param_groups[0]["momentum"] = momentum
        train(optimizer, params, 3)
        train(reference, others, 3)
    assert all(torch.allclose(a, b) for a, b in zip(params, others, strict=True))


def test_dampening_is_pytorchs_also_after_a_state_is_loaded() -> None:
    params, others = parameters(), parameters()
    keywords: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}
    reference = torch.optim.SGD(others, **keywords)
    train(reference, others, 3)
    with torch.no_grad():
        for param, other in zip(params, others, strict=True):
            param.copy_(other)
    optimizer = gradrace.optim.SGD(params, **keywords)
    optimizer.load_state_dict(reference.state_dict())
    for step in range(3, 6):
        train(optimizer, params, 1, first=step)
        train(reference, others, 1, first=step)
        assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(params, others, strict=True))


@pytest.mark.parametrize(
    ("name", "keywords", "same"),
    [
        ("SOAP", {"shampoo_beta": None}, {"shampoo_beta": 0.95}),
        ("Prodigy", {"beta3": None}, {"beta3": 0.999**0.5}),
        ("Prodigy", {"growth_rate": float("inf")}, {"growth_rate": 1e9}),
        ("Adafactor", {"eps": (None, 1e-3)}, {"eps": (torch.finfo(torch.float64).eps, 1e-3)}),
    ],
    ids=str,
)
def test_what_pytorch_writes_for_absence(name: str, keywords: dict[str, Any], same: dict[str, Any]) -> None:
    ends = []
    for given in (keywords, same, {}):
        params = parameters(((4, 3), (5,)))
        ends.append(train(CLASSES[name](params, **given), params, 5))
    assert all(torch.allclose(a, b, rtol=1e-12) for end in ends[1:] for a, b in zip(end, ends[0], strict=True))
    assert "inf" not in CLASSES[name].rule.code({})


def test_prenorm_shortens_the_gradients_of_all_groups_together() -> None:
    ends = []
    for bound in (0.01, 0.02):
        params = parameters(((3,), (4,)))
        groups = [{"params": params[:1]}, {"params": params[1:]}]
        optimizer = gradrace.optim.LAMB(groups, pre_norm=True, max_grad_norm=bound, adam=True, eps=1.0)
        ends.append(train(optimizer, params, 1)[0] - parameters(((3,), (4,)))[0].detach())
        whole = torch.cat([param.grad for param in params if param.grad is not None])
        factor = bound / (whole.norm() + 1)
        shortened = factor * whole[:3]
        wanted = -1e-3 * 0.1 * shortened / (0.001**0.5 * shortened.abs() + 1)
        assert torch.allclose(ends[-1], wanted, rtol=1e-9)


class Averages(NamedTuple):
    """The mean of all parameters that were."""

    mean: Tensor
    seen: Tensor


def test_the_weights_to_evaluate_with_are_put_in_place_and_taken_away() -> None:
    def init(param: Tensor) -> Averages:
        return Averages(param, torch.ones((), dtype=torch.float64))  # the parameter itself: it must not follow

    def update(grad: Tensor, state: Averages, param: Tensor, hyper: Any, step: Tensor) -> tuple[Tensor, Averages]:
        change = -hyper.lr.to(grad.dtype) * grad
        count = state.seen + 1
        return change, Averages(state.mean + (param + change - state.mean) / count.to(grad.dtype), count)

    averaging = per_tensor(init, update, evaluated=lambda params, state, *_: {n: state[n].mean for n in params})
    params = parameters(((2,),))
    optimizer = drop_in(averaging)(params, lr=1.0)
    seen = [params[0].detach().clone()]
    seen += [train(optimizer, params, 1, first=step)[0] for step in range(3)]
    optimizer.eval()
    assert torch.allclose(params[0], torch.stack(seen).mean(0))
    with pytest.raises(RuntimeError, match=r"call train\(\) before the next step"):
        optimizer.step()
    optimizer.eval()
    assert torch.allclose(params[0], torch.stack(seen).mean(0))
    optimizer.train()
    assert torch.equal(params[0], seen[-1])


def test_eval_changes_nothing_for_other_rules() -> None:
    params = parameters()
    trained = train(optimizer := gradrace.optim.Adam(params), params, 2)
    optimizer.eval()
    assert all(torch.equal(a, b) for a, b in zip(params, trained, strict=True))
    train(optimizer, params, 1)


def test_keywords_lead_back_to_the_rules_own_names() -> None:
    kind = drop_in("adam")
    hyper = optimizer("adam").configure({"beta1": 0.5, "lr": 0.25})
    keywords = kind.arguments.keywords(hyper, {})
    assert keywords["betas"] == (0.5, 0.999)
    _, resolved = kind.arguments.resolve(kind(parameters(), **keywords).param_groups[0])
    assert resolved == hyper


def test_the_import_is_cheap() -> None:
    script = (
        "import sys, torch; before = set(sys.modules); import gradrace.optim; new = set(sys.modules) - before\n"
        "print([m for m in new if m.split('.')[0] in ('sympy', 'triton', 'sklearn') or m.startswith('torch._')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
