"""What PyTorch asks of any optimizer, for every class."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._pytree import tree_leaves

import gradrace.optim
from gradrace.optim import RuleOptimizer, drop_in
from gradrace.optimizers import PerTensor, Rescaled

from .helpers import CLASSES, NAMES, WHOLE, distance, give_gradients, parameters, train

STEPS = 5
KINDS: dict[str, type[RuleOptimizer]] = {**CLASSES, "whole": drop_in(WHOLE)}
EVERY = pytest.mark.parametrize("name", sorted(KINDS))


def equal(got: list[Any], wanted: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


@EVERY
def test_a_saved_state_goes_on_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    for dtype in (torch.float64, torch.float32):
        params, whole = parameters(dtype=dtype), parameters(dtype=dtype)
        begun = KINDS[name](params)
        train(begun, params, STEPS)
        torch.save(begun.state_dict(), tmp_path / "state.pt")
        continued = KINDS[name](params, lr=123.0)
        continued.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        train(continued, params, STEPS, first=STEPS)
        train(KINDS[name](whole), whole, 2 * STEPS)
        assert equal(params, whole)


@EVERY
def test_a_loaded_state_is_a_copy(name: str) -> None:
    params, others = parameters(), parameters()
    first, second = KINDS[name](params), KINDS[name](others)
    train(first, params, STEPS)
    second.load_state_dict(first.state_dict())
    saved = copy.deepcopy(first.state_dict()["state"])
    train(second, others, STEPS)
    now = first.state_dict()["state"]
    pairs = zip(tree_leaves(now), tree_leaves(saved), strict=True)
    assert all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


@EVERY
@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_copy_goes_on_by_itself(name: str, way: str) -> None:
    params, whole = parameters(), parameters()
    begun = KINDS[name](params, lr=0.05)
    train(begun, params, STEPS)
    copied = copy.deepcopy(begun) if way == "deepcopy" else pickle.loads(pickle.dumps(begun))
    assert type(copied) is type(begun) or (way, name) == ("pickle", "whole")  # an optimizer of one's own goes by value
    after = train(begun, params, STEPS, first=STEPS)
    train(copied, copied.param_groups[0]["params"], STEPS, first=STEPS)
    assert equal(copied.param_groups[0]["params"], after)
    train(KINDS[name](whole, lr=0.05), whole, 2 * STEPS)
    assert equal(params, whole)


@EVERY
def test_parameters_without_gradients_rest(name: str) -> None:
    params, alone = parameters(((3,), (4,), (2, 2))), parameters(((3,), (4,), (2, 2)))
    before = params[1].detach().clone()
    optimizer, reference = KINDS[name](params), KINDS[name]([alone[0], alone[2]])
    for step in range(STEPS):
        give_gradients(params, step)
        for param, other in zip(params, alone, strict=True):
            other.grad = None if param.grad is None else param.grad.clone()
        params[1].grad = None
        optimizer.step()
        reference.step()
    assert torch.equal(params[1], before)
    assert distance([params[0], params[2]], [alone[0], alone[2]]) < 1e-12
    assert name == "whole" or params[1] not in optimizer.state


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(CLASSES[name].rule.rule, PerTensor | Rescaled)])
def test_a_parameter_that_joins_late_has_its_own_count(name: str) -> None:
    params = parameters(((3,), (4,)))
    late = Parameter(params[1].detach().clone())
    optimizer, reference = CLASSES[name](params), CLASSES[name]([late])
    for step in range(4):
        give_gradients(params, step)
        if step < 2:
            params[1].grad = None
        late.grad = None if params[1].grad is None else params[1].grad.clone()
        optimizer.step()
        reference.step()
    assert distance([params[1]], [late]) < 1e-12
    assert float(optimizer.state[params[0]]["step"]) == 4
    assert float(optimizer.state[params[1]]["step"]) == 2


@EVERY
def test_nothing_happens_without_any_gradient(name: str) -> None:
    params = parameters()
    before = [param.detach().clone() for param in params]
    KINDS[name](params).step()
    assert equal(params, before)


@EVERY
def test_groups_have_their_own_values(name: str) -> None:
    params, first, second = parameters(((3,), (4,))), parameters(((3,), (4,))), parameters(((3,), (4,)))
    optimizer = KINDS[name]([{"params": [params[0]]}, {"params": [params[1]], "lr": 0.07}], lr=0.02)
    assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.07]
    train(optimizer, params, STEPS)
    one, two = KINDS[name]([first[0]], lr=0.02), KINDS[name]([second[1]], lr=0.07)
    for step in range(STEPS):
        give_gradients(first, step)
        give_gradients(second, step)
        one.step()
        two.step()
    assert distance(params, [first[0], second[1]]) < 1e-12


@EVERY
def test_a_group_can_be_added_later(name: str) -> None:
    params = parameters(((3,), (4,)))
    optimizer = KINDS[name](params[:1])
    train(optimizer, params[:1], 2)
    before = params[1].detach().clone()
    optimizer.add_param_group({"params": params[1], "lr": 0.5})
    assert optimizer.param_groups[1]["maximize"] is False
    train(optimizer, params, 3)
    assert not torch.equal(params[1], before)
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": params[0]})


def test_named_parameters_keep_their_names() -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = gradrace.optim.Adam(model.named_parameters())
    train(optimizer, list(model.parameters()), 2)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


@EVERY
def test_a_closure_is_called_once_with_gradients(name: str) -> None:
    params = parameters()
    optimizer, calls = KINDS[name](params), []

    def closure() -> Tensor:
        assert torch.is_grad_enabled()
        optimizer.zero_grad()
        loss = torch.stack([param.square().sum() for param in params]).sum()
        loss.backward()
        calls.append(loss.item())
        return loss

    losses = [optimizer.step(closure) for _ in range(3)]
    assert [loss.item() for loss in losses if loss is not None] == calls
    assert len(calls) == 3
    assert not torch.allclose(params[0], parameters()[0])


@pytest.mark.parametrize("to_none", [True, False])
def test_zero_grad(to_none: bool) -> None:
    params = parameters()
    optimizer = gradrace.optim.Adam(params)
    train(optimizer, params, 1)
    optimizer.zero_grad(set_to_none=to_none)
    for param in params:
        if to_none:
            assert param.grad is None
        else:
            assert param.grad is not None
            assert not param.grad.any()


def test_hooks_run() -> None:
    params, calls = parameters(), []
    optimizer = gradrace.optim.RMSprop(params)
    handles = [
        optimizer.register_step_pre_hook(lambda *_: calls.append("before")),
        optimizer.register_step_post_hook(lambda *_: calls.append("after")),
        register_optimizer_step_pre_hook(lambda *_: calls.append("before any")),
        register_optimizer_step_post_hook(lambda *_: calls.append("after any")),
        optimizer.register_state_dict_post_hook(lambda _, state: {**state, "more": 1}),
        optimizer.register_load_state_dict_post_hook(lambda _: calls.append("loaded")),
    ]
    train(optimizer, params, 1)
    assert sorted(calls) == ["after", "after any", "before", "before any"]
    assert optimizer.state_dict()["more"] == 1
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls[-1] == "loaded"
    for handle in handles:
        handle.remove()
    train(optimizer, params, 1)
    assert len(calls) == 5


def test_hooks_before_loading_change_what_is_loaded() -> None:
    params = parameters()
    optimizer = gradrace.optim.Adam(params)
    train(optimizer, params, 2)
    saved = copy.deepcopy(optimizer.state_dict())

    def halve(_: Any, state: dict[str, Any]) -> dict[str, Any]:
        halved = {k: {**entry, "exp_avg": entry["exp_avg"] / 2} for k, entry in state["state"].items()}
        return {**state, "state": halved}

    optimizer.register_load_state_dict_pre_hook(halve)
    optimizer.load_state_dict(saved)
    assert torch.equal(optimizer.state[params[0]]["exp_avg"], saved["state"][0]["exp_avg"] / 2)


def test_a_state_that_does_not_fit_is_refused() -> None:
    optimizer = gradrace.optim.Adam(parameters())
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optimizer.load_state_dict(gradrace.optim.Adam(parameters()[:2]).state_dict())


def test_what_the_user_replaces_between_steps_is_used() -> None:
    params, fresh = parameters(((3,), (4,))), parameters(((3,), (4,)))
    optimizer = gradrace.optim.Adam(params)
    train(optimizer, params, 3)
    optimizer.state[params[0]]["exp_avg"] = torch.zeros(3, dtype=torch.float64)
    train(optimizer, params, 1)
    assert torch.allclose(optimizer.state[params[0]]["exp_avg"], params[0].grad * (1 - 0.9))  # pyright: ignore[reportOptionalOperand]
    optimizer.state.clear()
    for param, start in zip(params, fresh, strict=True):
        param.data = start.detach().clone()  # other memory
    train(optimizer, params, 3)
    train(gradrace.optim.Adam(fresh), fresh, 3)
    assert equal(params, fresh)
    assert [float(optimizer.state[param]["step"]) for param in params] == [3, 3]


def test_a_model_that_changes_its_dtype_goes_on() -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = gradrace.optim.SGD(model.parameters(), lr=0.1)
    train(optimizer, list(model.parameters()), 2)
    model.double()
    before = model.weight.detach().clone()
    for param in model.parameters():
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert torch.allclose(model.weight, before - 0.1)


def test_an_optimizer_of_ones_own_is_pickled_by_value() -> None:
    nesterov = drop_in("momentum", nesterov=True)
    optimizer = nesterov(params := parameters())
    train(optimizer, params, 2)
    copied = pickle.load(io.BytesIO(pickle.dumps(optimizer)))
    assert type(copied) is nesterov
    assert copied.param_groups[0]["nesterov"] is True
    assert "Nesterov" not in repr(copied)
    assert repr(copied).startswith("Momentum (")


def test_the_profilers_name_is_the_classs() -> None:
    params = parameters()
    optimizer = gradrace.optim.Adam(params)
    give_gradients(params, 0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    assert "Optimizer.step#Adam.step" in {event.key for event in profile.key_averages()}
