"""Torch code on small tensors, recorded as operations on single numbers while it runs once.

Where ``gradrace.optim`` traces a rule for tensors of any length, so that nothing but arithmetic of single elements will
do, a landscape has two coordinates and no more. Here every element of every tensor is a number of its own: what moves
elements about costs nothing, and sums, lengths and products of matrices are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from gradrace.optim._source import words
from gradrace.optim._trace import Operation, Untraceable, Value

Atom = Value | float
"""An element: a number of the record, or one that is always the same."""

# What takes elements elsewhere and changes none.
_MOVES = {
    "alias", "cat", "clone", "detach", "expand", "permute", "select", "slice", "split", "squeeze", "stack", "t",
    "transpose", "unsqueeze", "view", "_unsafe_view", "_reshape_alias", "diagonal",
}  # fmt: skip
_FROM_NOTHING = {"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "lift_fresh"}
_KEYWORDS = {"dtype", "device", "layout", "memory_format", "non_blocking", "pin_memory", "alpha"}
_MORE_WORDS = {
    "where.self": "{0} ? {1} : {2}", "sin.default": "sin({0})", "atan2.default": "atan2({0}, {1})",
}  # fmt: skip


class Unroller(TorchDispatchMode):
    """While it is active, every call of PyTorch on tensors that it knows is recorded, element by element.

    ``operations`` are in the order in which they ran. All of their numbers are float64 or truth values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._count = 0
        self._atoms: dict[int, list[Atom]] = {}
        self._alive: list[Tensor] = []  # so that no id is used twice

    def input(self, tensor: Tensor) -> list[Value]:
        """Makes every element of a tensor a number that will be known only later. In row-major order."""
        made = [self._new(tensor.dtype) for _ in range(tensor.numel())]
        self._keep(tensor, list(made))
        return made

    def atoms(self, tensor: Tensor) -> list[Atom]:
        """The elements of a tensor that was computed, in row-major order.

        Raises:
            Untraceable: it was made elsewhere.
        """
        if id(tensor) not in self._atoms:
            raise Untraceable("a tensor from outside")
        return self._atoms[id(tensor)]

    def _new(self, dtype: torch.dtype) -> Value:
        if dtype not in (torch.float64, torch.bool):
            raise Untraceable(f"numbers of dtype {dtype}")
        self._count += 1
        return Value(self._count - 1, dtype, scalar=True)

    def _keep(self, tensor: Tensor, atoms: list[Atom]) -> None:
        self._atoms[id(tensor)] = atoms
        self._alive.append(tensor)

    def _do(self, name: str, *arguments: Any, dtype: torch.dtype = torch.float64) -> Value:
        operation = Operation(name, arguments, self._new(dtype), dtype)
        words_of(operation)  # refuses what there are no words for
        self.operations.append(operation)
        return operation.result

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        name = str(func).removeprefix("aten.")
        result = func(*args, **given)
        if func._schema.is_mutable or not isinstance(result, Tensor):
            raise Untraceable(f"the operation {name}")
        if id(result) not in self._atoms:
            self._keep(result, self._elements(func, name, args, given, result))
        return result

    def _elements(self, func: Any, name: str, args: Any, given: dict[str, Any], result: Tensor) -> list[Atom]:
        family = name.partition(".")[0]
        if family in _FROM_NOTHING or not any(True for _ in _tensors(args)):
            return result.flatten().tolist()
        if family in _MOVES:
            return self._moved(func, args, given)
        if family in ("sum", "mean"):
            dims = args[1] if len(args) > 1 and args[1] else range(args[0].dim())
            return self._summed(args[0], dims, family == "mean")
        if family == "linalg_vector_norm":
            return self._norm(*args)
        if family == "mm":
            return self._product(*args)
        if not _KEYWORDS.issuperset(given):
            raise Untraceable(f"the operation {name} with {', '.join(given)}")
        columns = [self._spread(argument, result.shape) for argument in args]
        columns += [[value] * result.numel() for key, value in given.items() if key == "alpha" and value != 1]
        return [self._do(name, *row, dtype=result.dtype) for row in zip(*columns, strict=True)]

    def _spread(self, argument: Any, shape: torch.Size) -> list[Any]:
        """An argument for each element of a result of this shape."""
        if isinstance(argument, Tensor):
            atoms = self.atoms(argument)
            return [atoms[place] for place in _off(lambda: _places(argument).expand(shape).flatten().tolist())]
        if argument is None or isinstance(argument, bool | int | float):
            return [argument] * shape.numel()
        raise Untraceable(f"an argument {argument!r}")

    def _moved(self, func: Any, args: Any, given: dict[str, Any]) -> list[Atom]:
        """The same call on the numbers of places tells where each element went."""
        pool: list[Atom] = []

        def numbered(argument: Any) -> Any:
            if isinstance(argument, Tensor):
                pool.extend(self.atoms(argument))
                return _places(argument) + len(pool) - argument.numel()
            return [numbered(part) for part in argument] if isinstance(argument, list) else argument

        places = _off(lambda: func(*map(numbered, args), **given).flatten().tolist())
        return [pool[place] for place in places]

    def _summed(self, tensor: Tensor, dims: Sequence[int], mean: bool) -> list[Atom]:
        atoms = self.atoms(tensor)
        sums: list[Atom] = []
        for row in _rows(tensor, dims):
            total = self._total([atoms[place] for place in row])
            sums.append(self._do("div.Tensor", total, float(len(row))) if mean else total)
        return sums

    def _norm(
        self, tensor: Tensor, order: float = 2, dims: Sequence[int] | None = None, keep: bool = False
    ) -> list[Atom]:
        if order != 2:
            raise Untraceable(f"the norm of order {order}")
        squares = [self._do("mul.Tensor", atom, atom) for atom in self.atoms(tensor)]
        rows = _rows(tensor, dims or range(tensor.dim()))
        return [self._do("sqrt.default", self._total([squares[place] for place in row])) for row in rows]

    def _product(self, left: Tensor, right: Tensor) -> list[Atom]:
        (height, inner), width = left.shape, right.shape[1]
        a, b = self.atoms(left), self.atoms(right)
        return [
            self._total([self._do("mul.Tensor", a[i * inner + k], b[k * width + j]) for k in range(inner)])
            for i in range(height)
            for j in range(width)
        ]

    def _total(self, atoms: Sequence[Atom]) -> Atom:
        total: Atom = atoms[0] if atoms else 0.0
        for atom in atoms[1:]:
            total = self._do("add.Tensor", total, atom)
        return total


def words_of(operation: Operation) -> str:
    """An operation in the words of C, which are those of JavaScript, with {0}, {1}, … for its arguments.

    Raises:
        Untraceable: there are none.
    """
    return _MORE_WORDS.get(operation.name) or words(operation)


def _tensors(arguments: Any) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _tensors(argument)


def _off(compute: Callable[[], Any]) -> Any:
    """What is computed on the way is no part of the record."""
    with _disable_current_modes():
        return compute()


def _places(tensor: Tensor) -> Tensor:
    return torch.arange(tensor.numel()).view(tensor.shape)


def _rows(tensor: Tensor, dims: Sequence[int]) -> list[list[int]]:
    """The places that are summed to one element, for every element of the sum."""

    def found() -> list[list[int]]:
        gone = [dim % tensor.dim() for dim in dims]
        rest = [dim for dim in range(tensor.dim()) if dim not in gone]
        size = torch.Size(tensor.shape[dim] for dim in gone).numel()
        return _places(tensor).permute(*rest, *gone).reshape(-1, size).tolist()

    return _off(found)
