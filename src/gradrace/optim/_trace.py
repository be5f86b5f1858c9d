"""The elementary operations of an update rule, recorded while it runs once on two numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gradrace.optim._method import Kind, Method, leaves

ELEMENTS = 2
# Keywords that the result shows, and the factor of a sum.
_KEYWORDS = {"alpha", "device", "dtype", "layout", "memory_format", "non_blocking", "pin_memory"}


@dataclass(frozen=True)
class Value:
    """A number of the trace: its place, its dtype, and whether it is one for all elements."""

    place: int
    dtype: torch.dtype
    scalar: bool


@dataclass(frozen=True)
class Operation:
    """One call of PyTorch, such as ``mul.Tensor``, with values and Python numbers for arguments.

    ``dtype`` is the one in which the arguments meet: the result's, except where the result is a truth value.
    """

    name: str
    arguments: tuple[Value | float | None, ...]
    result: Value
    dtype: torch.dtype


@dataclass(frozen=True)
class Trace:
    """A rule as operations. Inputs and outputs go by name: grad, param, the fields of the state, update."""

    vectors: dict[str, Value]
    numbers: dict[str, Value]
    operations: tuple[Operation, ...]
    outputs: dict[str, Value]


class Untraceable(Exception):
    """The rule does what a loop over single elements cannot."""


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.values: dict[int, Value] = {}
        self.alive: list[Tensor] = []  # so that no id is used twice

    def add(self, tensor: Tensor) -> Value:
        """A name for a tensor; what is returned unchanged keeps its name."""
        if id(tensor) not in self.values:
            if tensor.shape not in ((), (ELEMENTS,)):
                raise Untraceable(f"a tensor of shape {tuple(tensor.shape)}")
            self.values[id(tensor)] = Value(len(self.values), tensor.dtype, tensor.dim() == 0)
            self.alive.append(tensor)
        return self.values[id(tensor)]

    def known(self, argument: Any) -> Value | float | None:
        if isinstance(argument, Tensor):
            if id(argument) not in self.values:
                raise Untraceable("a tensor from outside")
            return self.values[id(argument)]
        if argument is None or isinstance(argument, bool | int | float):
            return argument
        raise Untraceable(f"an argument {argument!r}")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        if not isinstance(result, Tensor) or not _KEYWORDS.issuperset(given):
            raise Untraceable(f"the operation {func}")
        alpha = [value for name, value in given.items() if name == "alpha" and value != 1]
        arguments = tuple(self.known(argument) for argument in (*args, *alpha))
        dtype = torch.result_type(*args) if result.dtype is torch.bool and len(args) == 2 else result.dtype
        operation = Operation(str(func).removeprefix("aten."), arguments, self.add(result), dtype)
        self.operations.append(operation)
        return result


def trace(method: Method, dtype: torch.dtype) -> Trace:
    """The operations of a rule for parameters of one dtype.

    Raises:
        Untraceable: it uses more than arithmetic on single elements and numbers.
    """
    recorder = _Recorder()
    grad, param = torch.full((ELEMENTS,), 0.5, dtype=dtype), torch.full((ELEMENTS,), 0.5, dtype=dtype)
    fields = {
        name: torch.full_like(param, 0.5) if method.kinds[name] is Kind.LIKE else value.clone()
        for name, value in leaves(method.template)
    }
    hyper = method.hyper_record(dict.fromkeys(method.optimizer.hyperparameters, 0.5))
    step = torch.tensor(2.0, dtype=torch.float64)
    scalars = {name: fields[name] for name in method.fields(Kind.SCALAR)}
    numbers = {f"hyper.{name}": getattr(hyper, name) for name in method.present} | {"step": step} | scalars
    vectors = {"grad": grad, "param": param} | {name: fields[name] for name in method.fields(Kind.LIKE)}
    named = {name: recorder.add(tensor) for name, tensor in {**vectors, **numbers}.items()}
    with torch.no_grad(), recorder:
        update, new = method.update(-grad if method.maximize else grad, fields, param, hyper, step)
    outputs = {"update": update, **new}
    return Trace(
        {name: named[name] for name in vectors},
        {name: named[name] for name in numbers},
        tuple(recorder.operations),
        {
            name: _checked(recorder, name, tensor, {**vectors, **scalars, "update": param})
            for name, tensor in outputs.items()
        },
    )


def _checked(recorder: _Recorder, name: str, tensor: Tensor, like: dict[str, Tensor]) -> Value:
    value = recorder.known(tensor)
    if not isinstance(value, Value) or tensor.shape != like[name].shape or tensor.dtype != like[name].dtype:
        raise Untraceable(f"{name} of shape {tuple(tensor.shape)} and dtype {tensor.dtype}")
    return value
