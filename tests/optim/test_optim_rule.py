"""A drop-in does what its rule does, however its steps are executed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter
from torch.utils._pytree import tree_leaves

from gradrace.optim import _plan, drop_in
from gradrace.optimizers import PerTensor

from .helpers import (
    CLASSES,
    DEVICES,
    DTYPES,
    NAMES,
    WHOLE,
    distance,
    give_gradients,
    literal,
    made,
    parameters,
    train,
    values,
)

STEPS = 12


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_the_rules(name: str) -> None:
    optimizer = CLASSES[name].rule
    for case in optimizer.cases:
        options = optimizer.with_options(case.options, case.hyper)
        for dtype, tolerance in DTYPES.items():
            params = parameters(dtype=dtype)
            wanted = literal(optimizer, params, STEPS, case.hyper, options)
            stepped = made(optimizer, params, case.hyper, options, compile=False)
            for step in range(STEPS):
                give_gradients(params, step)
                stepped.step()
                assert distance(params, wanted[step]) < tolerance


@pytest.mark.parametrize("name", NAMES)
def test_compiled_steps_are_the_rules(name: str) -> None:
    optimizer = CLASSES[name].rule
    if not (optimizer.elementwise and isinstance(optimizer.rule, PerTensor)):
        with pytest.raises(RuntimeError, match="looks at more than one element at a time"):
            train(made(optimizer, params := parameters(), {}, {}, compile=True), params, 1)
        return
    case = optimizer.cases[-1]
    options = optimizer.with_options(case.options, case.hyper)
    params = parameters(dtype=torch.float32)
    wanted = literal(optimizer, params, STEPS, case.hyper, options)
    stepped = made(optimizer, params, case.hyper, options, compile=True)
    for step in range(STEPS):
        give_gradients(params, step)
        stepped.step()
        assert distance(params, wanted[step]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiled_steps_are_the_rules_in_every_case(name: str) -> None:
    optimizer = CLASSES[name].rule
    for case in optimizer.cases if optimizer.elementwise and isinstance(optimizer.rule, PerTensor) else ():
        options = optimizer.with_options(case.options, case.hyper)
        for dtype, tolerance in DTYPES.items():
            params = parameters(dtype=dtype)
            wanted = literal(optimizer, params, STEPS, case.hyper, options)
            train(made(optimizer, params, case.hyper, options, compile=True), params, STEPS)
            assert distance(params, wanted[-1]) < tolerance


@pytest.mark.parametrize("name", NAMES)
def test_maximize_climbs(name: str) -> None:
    optimizer = CLASSES[name].rule
    climbing, descending = parameters(), parameters()
    up = CLASSES[name](climbing, maximize=True)
    down = CLASSES[name](descending)
    for step in range(3):
        give_gradients(climbing, step)
        up.step()
        for param, other in zip(descending, climbing, strict=True):
            param.grad = None if other.grad is None else -other.grad
        down.step()
    assert distance(climbing, descending) < 1e-14
    assert distance(climbing, values()) > 0, optimizer.name


@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop"])
@pytest.mark.parametrize("compiled", [False, True])
def test_pieces_and_threads_do_not_show(name: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "CHUNK", {"cpu": 50})  # tensors are cut, and gathered
    shapes = ((7, 31), (3,), (1, 4), (150,), (60,), (2, 2), (0,))
    params = parameters(shapes)
    optimizer = CLASSES[name].rule
    wanted = literal(optimizer, params, STEPS, {}, {})
    train(made(optimizer, params, {}, {}, compile=compiled), params, STEPS)
    assert distance(params, wanted[-1]) < 1e-10


def test_two_threads_share_large_tensors() -> None:
    threads = torch.get_num_threads()
    shapes = ((1 << 19,), (3,), ((1 << 18) + 5,))
    torch.set_num_threads(2)
    try:
        params = parameters(shapes, torch.float32)
        train(CLASSES["Adam"](params, compile=True), params, 2)
    finally:
        torch.set_num_threads(threads)
    wanted = literal(CLASSES["Adam"].rule, parameters(shapes, torch.float32), 2, {}, {})
    assert distance(params, wanted[-1]) < 1e-5


@pytest.mark.parametrize("compiled", [False, True])
def test_any_layout_of_memory(compiled: bool) -> None:
    base = values(((6, 6), (2, 3, 4, 5), (8, 8), (5, 4)))

    def layouts() -> list[Parameter]:
        first, image, sliced, transposed = (value.clone() for value in base)
        return [
            Parameter(first),
            Parameter(image.to(memory_format=torch.channels_last)),
            Parameter(sliced[:, ::2]),
            Parameter(transposed.t()),
        ]

    params, wanted = layouts(), literal(CLASSES["Adam"].rule, layouts(), STEPS, {}, {})
    optimizer = CLASSES["Adam"](params, compile=compiled)
    train(optimizer, params, STEPS)
    assert distance(params, wanted[-1]) < 1e-10
    for param in params:  # and gradients that lie otherwise than their parameters
        param.grad = torch.ones_like(param, memory_format=torch.contiguous_format)
    optimizer.step()
    again = torch.optim.Adam(others := layouts())
    train(again, others, STEPS)
    for param in others:
        param.grad = torch.ones_like(param)
    again.step()
    assert distance(params, others) < 1e-10


@pytest.mark.parametrize("device", DEVICES)
def test_dtypes_and_devices_mix_in_a_group(device: str) -> None:
    dtypes = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
    places = ["cpu", device]
    params = [Parameter(values(((5,),), t)[0].to(place)) for t in dtypes for place in places]
    alone = [Parameter(param.detach().clone()) for param in params]
    train(CLASSES["Adam"](params, lr=0.1, eps=1e-3), params, STEPS)
    wanted = literal(CLASSES["Adam"].rule, alone, STEPS, {"lr": 0.1, "eps": 1e-3}, {})[-1]
    for got, want in zip(params, wanted, strict=True):
        assert got.dtype == want.dtype
        assert distance([got], [want]) <= torch.finfo(got.dtype).eps * 4


def test_a_rule_that_looks_at_all_tensors() -> None:
    params = parameters()
    wanted = literal(WHOLE, params, STEPS, {"lr": 0.3}, {})
    kind = drop_in(WHOLE)
    optimizer = kind(params, lr=0.3)
    train(optimizer, params, STEPS)
    assert distance(params, wanted[-1]) < 1e-12
    numbers = sum(param.numel() for param in params)
    assert optimizer.state_bytes() == 8 * numbers + 8


def test_a_whole_rule_leaves_parameters_without_gradients_alone() -> None:
    params = parameters(((3,), (2,)))
    before = params[1].detach().clone()
    optimizer = drop_in(WHOLE)(params)
    params[0].grad = torch.ones(3, dtype=torch.float64)
    optimizer.step()
    assert torch.equal(params[1], before)
    assert not torch.equal(params[0], values(((3,), (2,)))[0])


@pytest.mark.parametrize("name", NAMES)
def test_state_bytes_are_those_of_the_rule(name: str) -> None:
    optimizer = CLASSES[name].rule
    params = parameters(((20,), (30, 2)), torch.float32)
    stepped = CLASSES[name](params)
    train(stepped, params, 1)
    states = optimizer.rule.init({str(i): p.detach() for i, p in enumerate(params)}, optimizer.with_options({}))
    at_most = sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(states))
    assert 0 <= at_most - stepped.state_bytes() <= 64  # numbers of shape () are shared, or named twice
