"""When a step is compiled, what becomes of it, and what happens where none can be."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import gradrace.optim
from gradrace.optim import _compiler, _kernel, _source, drop_in
from gradrace.optim._method import Method, method
from gradrace.optim._trace import Operation, Trace, Untraceable, Value, trace
from gradrace.optimizers import optimizer

from .helpers import distance, parameters, per_tensor, train


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not compiled anything."""
    monkeypatch.setattr(_kernel, "_entries", {})


def of(name: str) -> Method:
    return method(optimizer(name), tuple(optimizer(name).with_options({}).items()), frozenset({"weight_decay"}), False)


def test_large_tensors_and_many_pay_back_sooner() -> None:
    after = _kernel.pays_back_after
    assert after([20_000_000]) < 10 < after([1000] * 100) < 1000 < after([10, 10])
    assert after([100] * 10) == after([1000] + [0] * 9)  # sizes alone decide: a repeated run takes the same path


@pytest.mark.usefixtures("untried")
def test_auto_compiles_when_it_pays_back_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernel, "pays_back_after", lambda sizes: 5)
    sources: list[str] = []
    compiled = _compiler.compiled
    monkeypatch.setattr(_compiler, "compiled", lambda text: sources.append(text) or compiled(text))
    params, others = parameters(), parameters()
    begun = gradrace.optim.RMSprop(params)
    train(begun, params, 5)
    assert sources == []
    train(begun, params, 3, first=5)
    assert len(sources) == 1
    train(gradrace.optim.RMSprop(others, compile=False), others, 8)
    assert distance(params, others) < 1e-10
    # A resumed run is past that point, so it goes the way the first one would have gone: bit for bit the same.
    continued = gradrace.optim.RMSprop(again := parameters())
    continued.load_state_dict(begun.state_dict())
    for old, new in zip(params, again, strict=True):
        new.data.copy_(old)
    train(begun, params, 2, first=8)
    train(continued, again, 2, first=8)
    assert all(torch.equal(a, b) for a, b in zip(params, again, strict=True))


@pytest.mark.usefixtures("untried")
def test_without_a_compiler_steps_are_taken_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compiler, "_compiler", lambda: None)
    monkeypatch.setattr(_kernel, "pays_back_after", lambda sizes: 0)
    params, others = parameters(), parameters()
    train(gradrace.optim.Adam(params), params, 3)
    train(gradrace.optim.Adam(others, compile=False), others, 3)
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))
    with pytest.raises(RuntimeError, match=r"compile=True, but the step of 'adam' .* no C compiler works"):
        train(gradrace.optim.Adam(params, compile=True), params, 1)


@pytest.mark.parametrize("command", ["no-such-compiler", "false", ""])
def test_a_compiler_that_does_not_work_is_passed_over(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", command)
    monkeypatch.setenv("PATH", "")
    _compiler._compiler.cache_clear()
    try:
        assert _compiler.compiled("int one(void) { return 1; }") is None
    finally:
        monkeypatch.undo()
        _compiler._compiler.cache_clear()


def test_what_was_compiled_is_kept_and_what_is_damaged_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    text = "int two(void) { return 2; }"
    library = _compiler.compiled(text)
    if library is None:
        pytest.skip("there is no C compiler")
    files = list((tmp_path / "steps").iterdir())
    assert [file.suffix for file in files] == [".so"]
    made = files[0].stat().st_mtime_ns
    assert _compiler.compiled(text) is not None
    assert files[0].stat().st_mtime_ns == made
    other = _compiler.compiled("int three(void) { return 3; }")
    assert isinstance(other, ctypes.CDLL)
    assert other.three() == 3
    assert _compiler.compiled("not C") is None


def test_a_damaged_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    compiler = _compiler._compiler()
    if compiler is None:
        pytest.skip("there is no C compiler")
    text = "int four(void) { return 4; }"
    (tmp_path / "steps").mkdir()
    _compiler._path(text, compiler, False).write_text("half a file")
    library = _compiler.compiled(text)
    assert library is not None
    assert library.four() == 4


def test_a_folder_that_cannot_be_written_to_means_no_compiled_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path / "file"))
    assert _compiler.compiled("int five(void) { return 5; }") is None


def test_a_trace_is_the_rules_arithmetic() -> None:
    seen = trace(of("sgd"), torch.float32)
    assert list(seen.vectors) == ["grad", "param"]
    assert list(seen.numbers) == ["hyper.lr", "step"]
    assert [operation.name for operation in seen.operations] == ["neg.default", "_to_copy.default", "mul.Tensor"]
    assert [operation.result.scalar for operation in seen.operations] == [True, True, False]


def unusual(change: Any) -> Method:
    def update(grad: Tensor, state: Any, param: Tensor, hyper: Any, step: Tensor) -> tuple[Tensor, Any]:
        return change(grad, param, hyper.lr), state

    made = per_tensor(lambda param: type(of("sgd").template)(), update)
    return method(made, (), frozenset(), False)


ONE = torch.ones(())
UNUSUAL = {
    "a reduction": lambda g, p, lr: g * g.sum(),
    "a function that libraries round differently": lambda g, p, lr: g.exp(),
    "another shape": lambda g, p, lr: torch.stack([g, p]).sum(0),
    "a tensor from outside": lambda g, p, lr: g * ONE,
    "another dtype": lambda g, p, lr: g.double() * lr,
    "a sum with a factor": lambda g, p, lr: torch.add(g, p, alpha=2),
    "integers": lambda g, p, lr: (g.long() * 2).to(g.dtype),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_what_a_loop_over_elements_cannot_do_is_left_uncompiled(what: str) -> None:
    with pytest.raises(Untraceable):
        _source.source(trace(unusual(UNUSUAL[what]), torch.float32))
    params = parameters(dtype=torch.float32)
    made = drop_in(unusual(UNUSUAL[what]).optimizer)
    with pytest.raises(
        RuntimeError, match=r"compile=True, but the step of 'custom' for torch\.float32 cannot be compiled"
    ):
        train(made(params, compile=True), params, 1)


ARITHMETIC = {
    "clamp": lambda g, p, lr: g.clamp(-0.5, 0.25) + p.clamp(max=0.5) - p.clamp_min(-0.125),
    "powers": lambda g, p, lr: g**2 + g**3 - g.abs() ** 0.5 / (1 + g.square()),
    "choices": lambda g, p, lr: torch.where((g * p > 0) & ~(g >= 1), g, -p) + torch.where(lr > 1, g, 0.5),
    "extremes": lambda g, p, lr: torch.maximum(g, p) - torch.minimum(g, 2 * p) + g.sign() * (p != 0),
    "numbers": lambda g, p, lr: g * (lr.exp() + lr.log() + 0.96**lr - 1 / lr).to(g.dtype) + (2 - g) / 3,
    "made": lambda g, p, lr: torch.zeros_like(g) + torch.ones_like(g) * 3 + torch.full_like(g, 0.3) + g.reciprocal(),
}


@pytest.mark.parametrize("what", ARITHMETIC)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_arithmetic_is_pytorchs(what: str, dtype: torch.dtype) -> None:
    made = drop_in(unusual(ARITHMETIC[what]).optimizer)
    ends = []
    for compiled in (False, True):
        params = parameters(((40,), (3, 5)), dtype)
        with torch.no_grad():
            params[0][:3] = torch.tensor([torch.inf, torch.nan, -torch.inf])
            params[0][3] = 0.0
        train(made(params, lr=0.37, compile=compiled), params, 2)
        ends.append(torch.cat([param.detach().flatten() for param in params]))
    exact = what != "powers"  # PyTorch's square root may be one unit in the last place off
    tolerance = 0.0 if exact else 4 * torch.finfo(dtype).eps
    assert torch.allclose(*ends, rtol=tolerance, atol=tolerance, equal_nan=True)
    assert torch.isnan(ends[0][1])


def test_an_unknown_operation_has_no_words() -> None:
    number = Value(0, torch.float32, False)
    odd = Trace({"grad": number}, {}, (Operation("gamma.default", (number,), number, torch.float32),), {})
    with pytest.raises(Untraceable, match=r"the operation gamma\.default"):
        _source.source(odd)


class Calls(TorchDispatchMode):
    """Counts the operations that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not any(part in str(func) for part in ("as_strided", "split"))
        return func(*args, **(kwargs or {}))


def test_uncompiled_steps_of_many_tensors_take_no_more_operations_than_one() -> None:
    counts = []
    for number in (2, 100):
        params = parameters(((4,),) * number)
        optimizer = gradrace.optim.RMSprop(params, compile=False)
        train(optimizer, params, 1)
        with Calls() as calls:
            optimizer.step()
        counts.append(calls.count)
    assert counts[0] == counts[1] < 40
