"""What a drop-in shares with the class of PyTorch that it replaces."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import Parameter
from torch.optim import lr_scheduler

import gradrace.optim
from gradrace.optim import RuleOptimizer

from .helpers import CLASSES, DTYPES, TWINS, distance, give_gradients, parameters, train, values

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TWINS),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "dampening": 0.5}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adafactor", {"lr": 0.1, "eps": (0.03, 1e-3)}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.9, "centered": True, "momentum": 0.5, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": torch.tensor(0.1, dtype=torch.float64)}),
]
STEPS = 12


def pair(name: str, **keywords: Any) -> tuple[type[RuleOptimizer], Callable[..., torch.optim.Optimizer]]:
    return CLASSES[name], getattr(torch.optim, name)


# PyTorch's Adafactor divides by zero for a tensor without elements.
SHAPES: dict[str, Any] = {"Adafactor": ((4, 5), (3,), ())}


@pytest.mark.usefixtures("scalars_in_float64")
@pytest.mark.parametrize(("name", "keywords"), SETTINGS, ids=str)
def test_every_step_is_pytorchs(name: str, keywords: dict[str, Any]) -> None:
    for dtype, tolerance in DTYPES.items():
        shapes = (SHAPES[name],) if name in SHAPES else ()
        ours, theirs = parameters(*shapes, dtype=dtype), parameters(*shapes, dtype=dtype)
        stepped, reference = CLASSES[name](ours, **keywords), getattr(torch.optim, name)(theirs, **keywords)
        for step in range(STEPS):
            train(stepped, ours, 1, first=step)
            train(reference, theirs, 1, first=step)
            assert distance(ours, theirs) < tolerance


@pytest.mark.parametrize("name", TWINS)
def test_the_signature_is_pytorchs_and_more(name: str) -> None:
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    ours = inspect.signature(CLASSES[name]).parameters
    assert [name for name in ours if name in theirs] == list(theirs)
    for argument, parameter in theirs.items():
        assert (ours[argument].kind, ours[argument].default) == (parameter.kind, parameter.default)
    assert {"maximize", "foreach", "fused", "capturable", "differentiable", "compile"} <= set(ours)


@pytest.mark.parametrize("name", TWINS)
def test_groups_hold_pytorchs_keys(name: str) -> None:
    ours, theirs = CLASSES[name](parameters()), getattr(torch.optim, name)(parameters())
    missing = set(theirs.param_groups[0]) - set(ours.param_groups[0])
    # PyTorch's AdamW is its Adam with a key that says so; ours is a class of its own.
    assert missing == ({"decoupled_weight_decay"} if name == "AdamW" else set())
    for key in set(theirs.param_groups[0]) - {"params"} - missing:
        assert ours.param_groups[0][key] == theirs.param_groups[0][key]


# The methods whose state has the same fields in PyTorch.
EXCHANGED = [(name, keywords) for name, keywords in SETTINGS if name == "SGD" or CLASSES[name].rule.torch_state]


@pytest.mark.parametrize(("name", "keywords"), EXCHANGED, ids=str)
@pytest.mark.parametrize("way", ["from PyTorch", "to PyTorch"])
def test_states_are_exchanged_with_pytorch(name: str, keywords: dict[str, Any], way: str) -> None:
    theirs = getattr(torch.optim, name)
    first, second = (theirs, CLASSES[name]) if way == "from PyTorch" else (CLASSES[name], theirs)
    params, whole = parameters(), parameters()
    begun = first(params, **keywords)
    train(begun, params, STEPS)
    continued = second(params)
    continued.load_state_dict(begun.state_dict())
    train(continued, params, STEPS, first=STEPS)
    train(theirs(whole, **keywords), whole, 2 * STEPS)
    assert distance(params, whole) < 1e-10


def test_a_state_of_pytorchs_fused_form_loads() -> None:
    params, whole = parameters(dtype=torch.float32), parameters(dtype=torch.float32)
    begun = torch.optim.Adam(params, fused=True)
    train(begun, params, STEPS)
    continued = CLASSES["Adam"](params)
    continued.load_state_dict(begun.state_dict())
    train(continued, params, STEPS, first=STEPS)
    train(torch.optim.Adam(whole), whole, 2 * STEPS)
    assert distance(params, whole) < 1e-5


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.5, total_steps=30),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.5, step_size_up=5),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, total_iters=4), lr_scheduler.ExponentialLR(o, 0.9)], [4]
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("keywords", [{"lr": 0.1}, {"lr": torch.tensor(0.1, dtype=torch.float64)}], ids=str)
@pytest.mark.parametrize(("name", "more"), [("SGD", {"momentum": 0.9}), ("Adam", {})], ids=str)
def test_schedulers_drive_it(name: str, more: dict[str, Any], scheduler: str, keywords: dict[str, Any]) -> None:
    ends = []
    for kind in (CLASSES[name], getattr(torch.optim, name)):
        own = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in keywords.items()}
        optimizer = kind(params := parameters(), **own, **more)
        schedule = SCHEDULERS[scheduler](optimizer)
        for step in range(25):
            train(optimizer, params, 1, first=step)
            schedule.step(*([1.0] if scheduler == "ReduceLROnPlateau" else []))
        ends.append((params, float(optimizer.param_groups[0]["lr"])))
    (ours, our_lr), (theirs, their_lr) = ends
    assert our_lr == pytest.approx(their_lr)
    assert our_lr != pytest.approx(0.1)
    assert distance(ours, theirs) < 1e-9


def test_a_learning_rate_tensor_is_followed() -> None:
    lr = torch.tensor(0.5)
    optimizer = gradrace.optim.SGD(params := parameters(((2,),)), lr, compile=True)
    before = params[0].detach().clone()
    params[0].grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    lr.fill_(0.25)
    optimizer.step()
    assert torch.allclose(before - params[0].detach(), torch.tensor(0.75, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # PyTorch's Adagrad makes one without having chosen
@pytest.mark.parametrize(("name", "keywords"), [("SGD", {}), ("Adagrad", {"lr": 0.1})], ids=str)
def test_sparse_gradients(name: str, keywords: dict[str, Any]) -> None:
    tables = []
    for kind in (CLASSES[name], getattr(torch.optim, name)):
        torch.manual_seed(0)
        embedding = torch.nn.Embedding(10, 3, sparse=True)
        bias = Parameter(torch.zeros(3))
        optimizer = kind([embedding.weight, bias], **keywords)
        for step in range(STEPS):
            rows = torch.tensor([step % 10, 3, 3])  # a row twice: not coalesced
            (embedding(rows) + bias).square().sum().backward()
            assert embedding.weight.grad is not None
            assert embedding.weight.grad.is_sparse
            optimizer.step()
            optimizer.zero_grad()
        tables.append([embedding.weight, bias])
    assert distance(*tables) < 1e-5


@pytest.mark.parametrize("name", sorted(name for name in CLASSES if not CLASSES[name].rule.sparse))
def test_sparse_gradients_are_refused_elsewhere(name: str) -> None:
    weight = Parameter(torch.ones(4, 2))
    weight.grad = torch.ones(4, 2).to_sparse_coo()
    with pytest.raises(RuntimeError, match=f"'{CLASSES[name].rule.name}' does not support sparse gradients"):
        CLASSES[name]([weight]).step()


@pytest.mark.parametrize("name", sorted(name for name in CLASSES if CLASSES[name].rule.sparse))
def test_a_gradient_of_zero_changes_nothing_where_sparse_is_declared(name: str) -> None:
    params = parameters()
    optimizer = CLASSES[name](params)
    after = train(optimizer, params, 3)
    state = [value.clone() for p in params for key, value in optimizer.state[p].items() if key != "step"]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    now = [value for p in params for key, value in optimizer.state[p].items() if key != "step"]
    assert all(torch.equal(a, b) for a, b in zip(params, after, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(now, state, strict=True))


def test_weight_decay_does_not_go_with_sparse_gradients() -> None:
    weight = Parameter(torch.ones(4, 2))
    weight.grad = torch.ones(4, 2).to_sparse_coo()
    with pytest.raises(RuntimeError, match="weight_decay of 'adagrad' is not compatible with sparse gradients"):
        CLASSES["Adagrad"]([weight], weight_decay=0.1).step()


@pytest.mark.parametrize(
    ("name", "keywords"), [("SGD", {"momentum": 0.9}), ("Adagrad", {"initial_accumulator_value": 0.1}), ("Adam", {})]
)
def test_complex_parameters(name: str, keywords: dict[str, Any]) -> None:
    ends = []
    for kind in (CLASSES[name], getattr(torch.optim, name)):
        real, imaginary = values(((3, 4), (3, 4)))
        param = Parameter(torch.complex(real, imaginary))
        optimizer = kind([param], **keywords)
        for step in range(STEPS):
            real, imaginary = values(((3, 4), (3, 4)), seed=step)
            param.grad = torch.complex(real, imaginary)
            optimizer.step()
        ends.append(torch.view_as_real(param.detach()))
    assert distance(ends[:1], ends[1:]) < 1e-10


def test_gradients_are_clipped_and_scaled_around_it() -> None:
    ends = []
    for kind in (CLASSES["Adam"], torch.optim.Adam):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 3)
        optimizer = kind(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = model(torch.randn(5, 4)).square().mean()
            scaler.scale(loss if step != 5 else loss * torch.inf).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            scaler.step(optimizer)  # leaves out step 5
            scaler.update()
        ends.append([*map(torch.Tensor.detach, model.parameters()), torch.tensor(scaler.get_scale())])
    assert torch.isfinite(ends[0][0]).all()
    assert distance(*ends) < 1e-5


def test_a_change_of_parameters_is_noticed_by_autograd() -> None:
    for compiled in (False, True):
        param = Parameter(torch.ones(3, dtype=torch.float64))
        loss = param.square().sum()
        loss.backward(retain_graph=True)
        CLASSES["Adam"]([param], compile=compiled).step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_it_trains_a_model_as_pytorchs_does() -> None:
    ends = []
    for kind in (CLASSES["RMSprop"], torch.optim.RMSprop):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
        optimizer = kind(model.parameters())
        batch = torch.randn(32, 6).double()
        first = last = torch.zeros(())
        for step in range(60):
            last = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
            first = last if step == 0 else first
            optimizer.zero_grad(set_to_none=False)
            last.backward()
            optimizer.step()
        assert last.detach() < first.detach() / 2
        ends.append(last.detach())
    assert distance(ends[:1], ends[1:]) < 1e-8


def test_gradients_given_anew_each_time_are_used() -> None:
    optimizer = gradrace.optim.SGD(params := parameters(((2,),)), lr=1.0)
    before = params[0].detach().clone()
    give_gradients(params, 0)
    first = params[0].grad
    optimizer.step()
    give_gradients(params, 1)
    second = params[0].grad
    optimizer.step()
    assert first is not None
    assert second is not None
    assert torch.allclose(params[0], before - first - second)
