"""From a traced program to statements in C: what each of PyTorch's operations means.

Operations on single elements stay expressions as long as they are used once or cost next to nothing, and are written
into the loop of whatever uses them; views cost nothing; everything else becomes a statement with a buffer of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from gradrace.engine.native.elements import HEAVY, op
from gradrace.engine.native.statements import LARGE, Elements, Product, Reduction, Statement, value_of
from gradrace.engine.native.values import (
    Buffer,
    Const,
    Expr,
    Load,
    NotAView,
    Unsupported,
    Value,
    cost,
    expanded,
    permuted,
    reshaped,
    sliced,
)

CHEAP = 1
"""An expression of so many operations is computed again wherever it is used, which costs less than to keep it."""
MOST = 60
"""An expression of more operations is computed into a buffer."""

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
"""What to do for each operation, by its name without overload: ``rule(lowering, node, *args, **keywords)``."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register what to do for these operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


class Lowering:
    """A traced program's statements, buffers and results.

    Args:
        graph: takes tensors and returns a list of tensors; without side effects.
        shapes: of the tensors that it takes, with their dtypes.
        width: bytes of a vector register.
    """

    def __init__(self, graph: fx.GraphModule, shapes: Sequence[tuple[torch.Size, torch.dtype]], width: int) -> None:
        self._width = width
        self._turned: dict[Any, Load] = {}
        self.statements: list[Statement] = []
        self.constants: list[Tensor] = []
        self.inputs = [Buffer(dtype, math.prod(shape), "input", n) for n, (shape, dtype) in enumerate(shapes)]
        self.outputs: list[Buffer] = []
        self._known: dict[fx.Node, Any] = {}
        given = iter(zip(self.inputs, shapes, strict=True))
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                buffer, (shape, _) = next(given)
                self._known[node] = value_of(buffer, shape)
            elif node.op == "get_attr":
                self._known[node] = self._constant(getattr(graph, str(node.target)))
            elif node.op == "call_function":
                self._known[node] = self._called(node)
            elif node.op == "output":
                self._return(fx.map_arg(node.args[0], self._known.__getitem__))
            else:
                raise Unsupported(f"a node of kind {node.op}")

    def _constant(self, tensor: Tensor) -> Value:
        if tensor.dim() == 0:
            return Value((), Const(tensor.item(), tensor.dtype))
        self.constants.append(tensor.detach().contiguous())
        buffer = Buffer(tensor.dtype, tensor.numel(), "constant", len(self.constants) - 1)
        return value_of(buffer, tensor.shape)

    def _called(self, node: fx.Node) -> Any:
        known = RULES.get(name_of(node))
        if known is None:
            raise Unsupported(str(node.target))
        args = fx.map_arg(node.args, self._known.__getitem__)
        keywords = fx.map_arg(node.kwargs, self._known.__getitem__)
        found = known(self, node, *args, **keywords)
        if not isinstance(found, Value):
            return found
        if found.dtype != dtype_of(node):
            raise Unsupported(f"{node.target} to {dtype_of(node)}")
        return self.kept(node, found)

    def kept(self, node: fx.Node, value: Value) -> Value:
        """The value of a node, computed into a buffer where it is used more than once and costs something."""
        spent = spent_by(value.expr)
        if spent > MOST or (spent > CHEAP and uses(node) > 1):
            return self.stored(value)
        return value

    def _return(self, results: Sequence[Value]) -> None:
        for place, value in enumerate(results):
            buffer = value.whole()
            if buffer is not None and buffer.kind == "scratch" and buffer.inside is None:
                buffer.kind, buffer.place = "output", place
            else:
                buffer = Buffer(value.dtype, value.size, "output", place)
                self.store(value, value_of(buffer, value.shape))
            self.outputs.append(buffer)

    def new(self, shape: Sequence[int], dtype: torch.dtype) -> Buffer:
        """A buffer for a tensor."""
        return Buffer(dtype, math.prod(shape))

    def store(self, value: Value, target: Value) -> None:
        """Compute a value into a place in memory."""
        assert isinstance(target.expr, Load)
        if value.size:
            self.statements.append(Elements(target.expr, value.shape, value.expr))

    def stored(self, value: Value) -> Value:
        """The value in a buffer of its own, row after row."""
        buffer = self.new(value.shape, value.dtype)
        target = value_of(buffer, value.shape)
        self.store(value, target)
        return target

    def in_memory(self, value: Value) -> Value:
        """The value as something that can be read at a computed place: in a buffer, if it is not yet."""
        return value if isinstance(value.expr, Load) and not value.expr.taken else self.stored(value)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Another shape, copied only where that is no view."""
        if not value.size:
            return Value(tuple(shape), value.expr if isinstance(value.expr, Const) else Const(0, value.dtype))
        try:
            return value.viewed(shape, reshaped(value.shape, shape))
        except NotAView:
            return self.stored(value).viewed(shape, reshaped(value.shape, shape))

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """Broadcast to a shape. What costs something is computed before, not for every copy."""
        wanted = tuple(shape)
        if wanted == value.shape:
            return value
        if spent_by(value.expr) > CHEAP and math.prod(wanted) > value.size:
            value = self.stored(value)
        return value.viewed(wanted, expanded(value.shape, wanted))

    def reduce(self, value: Value, kind: str, dims: Sequence[int], keep: bool) -> Value:
        """Sum, greatest or least over some dimensions."""
        rank = len(value.shape)
        over = tuple(sorted({dim % rank for dim in dims})) if rank else ()
        kept = tuple(size for dim, size in enumerate(value.shape) if dim not in over)
        shown = tuple(1 if dim in over else size for dim, size in enumerate(value.shape)) if keep else kept
        if all(value.shape[dim] == 1 for dim in over):
            return self.reshape(value, shown)
        out = self.new(kept, value.dtype)
        self.statements.append(Reduction(out, value.shape, value.expr, over, kind))
        return value_of(out, shown)

    def multiply(self, a: Value, b: Value) -> Value:
        """The product of matrices [..., m, k] and [..., k, n] with the same leading dimensions."""
        *lead, rows, inner = a.shape
        columns = b.shape[-1]
        shape = (*lead, rows, columns)
        if not inner:
            return Value(shape, Const(0, a.dtype))
        if inner == 1 or (
            (columns == 1 or rows == 1) and _along(a, -1) and _along(b, -2) and inner * rows * columns < 1 << 14
        ):
            # Columns of one element: a reduction reads both factors along memory.
            wide = (*lead, rows, columns, inner)
            left = self.expand(a.viewed((*lead, rows, 1, inner), _inserted(len(lead) + 1)), wide)
            swapped = b.viewed((*lead, columns, inner), permuted([*range(len(lead)), len(lead) + 1, len(lead)]))
            right = self.expand(swapped.viewed((*lead, 1, columns, inner), _inserted(len(lead))), wide)
            terms = Value(wide, op("mul", a.dtype, left.expr, right.expr))
            return self.reduce(terms, "sum", [-1], False)
        left, right = self.in_memory(a), self.in_memory(b)
        assert isinstance(left.expr, Load)
        assert isinstance(right.expr, Load)
        out = self.new(shape, a.dtype)
        turned = not lead and right.expr.strides[-1] != 1 and inner * columns <= LARGE
        factor = self._row_by_row(right) if turned else right.expr
        filled = factor is not right.expr
        self.statements.append(Product(out, tuple(lead), rows, columns, inner, left.expr, factor, filled))
        return value_of(out, shape)

    def _row_by_row(self, value: Value) -> Load:
        """A matrix that lies in memory column by column, copied: once, though a recurrent layer multiplies by it often.

        Rows are filled up with zeros to whole vectors.
        """
        assert isinstance(value.expr, Load)
        key = (value.expr.buffer, value.expr.offset, value.expr.strides, value.shape)
        if key not in self._turned:
            rows, columns = value.shape
            lanes = self._width // value.dtype.itemsize
            wide = -(-columns // lanes) * lanes
            whole = value_of(self.new((rows, wide), value.dtype), (rows, wide))
            self.store(value, whole.viewed(value.shape, sliced(1, 0)))
            spare = (rows, wide - columns)
            self.store(Value(spare, Const(0, value.dtype)), whole.viewed(spare, sliced(1, columns)))
            assert isinstance(whole.expr, Load)
            self._turned[key] = whole.expr
        return self._turned[key]


def spent_by(expr: Expr) -> int:
    """About how many operations an expression is."""
    return cost(expr, HEAVY)


def _along(value: Value, dim: int) -> bool:
    """Whether neighbours in a dimension are neighbours in memory."""
    return isinstance(value.expr, Load) and value.expr.strides[dim] in (0, 1)


def _inserted(dim: int) -> Any:
    return lambda strides: (0, (*strides[:dim], 0, *strides[dim:]))


_VIEWS = frozenset(
    {
        "view", "reshape", "_unsafe_view", "permute", "t", "transpose", "expand", "unsqueeze", "squeeze", "slice",
        "select", "split", "split_with_sizes", "alias", "detach", "clone", "getitem", "lift_fresh_copy", "unbind",
    }
)  # fmt: skip


def uses(node: fx.Node) -> int:
    """How often a node's value is used, not counting views of it but what uses those."""
    total = 0
    for user in node.users:
        total += uses(user) if user.op == "call_function" and name_of(user) in _VIEWS else 1
    return total


def dtype_of(node: fx.Node) -> torch.dtype:
    """The dtype of a node's tensor."""
    return node.meta["val"].dtype


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of a node's tensor."""
    return tuple(node.meta["val"].shape)


def expr_of(low: Lowering, arg: Any, shape: Sequence[int], dtype: torch.dtype) -> Expr:
    """An argument, a tensor or a number, as an expression for each element of a shape."""
    if isinstance(arg, Value):
        return low.expand(arg, shape).expr
    return Const(float(arg) if dtype.is_floating_point else arg, dtype)


def name_of(node: fx.Node) -> str:
    """The name of a node's operation, without its overload."""
    if node.target is operator.getitem:
        return "getitem"
    return str(node.target).removeprefix("aten.").split(".")[0]


def cast(value: Value, dtype: torch.dtype) -> Value:
    """The value in another type."""
    return Value(value.shape, op("cast", dtype, value.expr, inner=value.dtype))


def scaled(value: Value, factor: float) -> Value:
    """The value times a number."""
    return Value(value.shape, op("mul", value.dtype, value.expr, Const(factor, value.dtype)))
