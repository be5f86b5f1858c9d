"""Operations on single elements, and tensors of one number or of rising ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from gradrace.engine.native.elements import COMPARISONS, op
from gradrace.engine.native.lowering import (
    CHEAP,
    Lowering,
    dtype_of,
    expr_of,
    name_of,
    rule,
    scaled,
    shape_of,
    spent_by,
)
from gradrace.engine.native.values import Const, Expr, Iota, Unsupported, Value


def elementwise(low: Lowering, node: fx.Node, name: str, *args: Any, inner: torch.dtype | None = None) -> Value:
    """The value of an operation on elements, arguments broadcast to its shape."""
    shape, dtype = shape_of(node), dtype_of(node)
    exprs = [expr_of(low, arg, shape, inner or dtype) for arg in args]
    return Value(shape, op(name, dtype, *exprs, inner=inner))


@rule("mul", "div", "maximum", "minimum", "remainder")
def _binary(low: Lowering, node: fx.Node, a: Any, b: Any, rounding_mode: str | None = None) -> Value:
    if rounding_mode:
        raise Unsupported(f"division rounded by '{rounding_mode}'")
    return elementwise(low, node, name_of(node), a, b)


@rule("add", "sub")
def _sum(low: Lowering, node: fx.Node, a: Any, b: Any, alpha: float = 1) -> Value:
    if alpha != 1:
        b = Value(b.shape, op("mul", b.dtype, b.expr, Const(alpha, b.dtype))) if isinstance(b, Value) else alpha * b
    return elementwise(low, node, name_of(node), a, b)


@rule("rsub")
def _rsub(low: Lowering, node: fx.Node, a: Any, b: Any, alpha: float = 1) -> Value:
    return elementwise(low, node, "sub", b, a if alpha == 1 else scaled(a, alpha))


@rule(
    "neg", "abs", "sign", "reciprocal", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "log2", "sin", "cos", "tanh",
    "erf", "sigmoid", "relu", "floor", "ceil",
)  # fmt: skip
def _unary(low: Lowering, node: fx.Node, a: Value) -> Value:
    return elementwise(low, node, name_of(node), a)


@rule(*COMPARISONS)
def _compare(low: Lowering, node: fx.Node, a: Any, b: Any) -> Value:
    tensors = [arg for arg in (a, b) if isinstance(arg, Value)]
    inner = torch.promote_types(tensors[0].dtype, tensors[-1].dtype)
    if not inner.is_floating_point and any(isinstance(arg, float) for arg in (a, b)):
        inner = torch.get_default_dtype()
    return elementwise(low, node, name_of(node), a, b, inner=inner)


@rule("bitwise_and", "logical_and", "bitwise_or", "logical_or", "bitwise_xor", "logical_xor")
def _logical(low: Lowering, node: fx.Node, a: Any, b: Any) -> Value:
    if any(isinstance(arg, Value) and arg.dtype is not torch.bool for arg in (a, b)):
        raise Unsupported(f"{node.target} of numbers")
    return elementwise(low, node, name_of(node).split("_")[1], a, b)


@rule("bitwise_not", "logical_not")
def _not(low: Lowering, node: fx.Node, a: Value) -> Value:
    if a.dtype is not torch.bool:
        raise Unsupported(f"{node.target} of numbers")
    return elementwise(low, node, "not", a)


@rule("isnan")
def _isnan(low: Lowering, node: fx.Node, a: Value) -> Value:
    return elementwise(low, node, "isnan", a, inner=a.dtype)


@rule("where")
def _where(low: Lowering, node: fx.Node, condition: Value, a: Any, b: Any) -> Value:
    shape, dtype = shape_of(node), dtype_of(node)
    exprs = [low.expand(condition, shape).expr, expr_of(low, a, shape, dtype), expr_of(low, b, shape, dtype)]
    return Value(shape, op("where", dtype, *exprs))


@rule("masked_fill")
def _masked_fill(low: Lowering, node: fx.Node, a: Value, mask: Value, value: Any) -> Value:
    return _where(low, node, mask, value, a)


@rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(low: Lowering, node: fx.Node, a: Value, low_end: Any = None, high_end: Any = None, **named: Any) -> Value:
    low_end, high_end = named.get("min", low_end), named.get("max", high_end)
    if name_of(node) == "clamp_max":
        low_end, high_end = None, low_end
    shape, dtype = shape_of(node), dtype_of(node)
    expr = low.expand(a, shape).expr
    for name, end in (("clamp_min", low_end), ("clamp_max", high_end)):
        if end is not None:
            expr = op(name, dtype, expr, expr_of(low, end, shape, dtype))
    return Value(shape, expr)


@rule("pow")
def _pow(low: Lowering, node: fx.Node, a: Any, b: Any) -> Value:
    if isinstance(a, Value) and not isinstance(b, Value):
        if b in (2, 3):
            square = elementwise(low, node, "mul", a, a) if spent_by(a.expr) <= CHEAP else None
            if square is None:
                a = low.stored(a)
                square = elementwise(low, node, "mul", a, a)
            return square if b == 2 else Value(square.shape, op("mul", square.dtype, square.expr, a.expr))
        if b in (1, 0.5, -0.5, -1):
            known = {1: "cast", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
            return elementwise(low, node, known[b], a)
    return elementwise(low, node, "pow", a, b)


@rule("_to_copy", "to", "clone", "alias", "detach", "lift_fresh_copy", "contiguous")
def _copy(low: Lowering, node: fx.Node, a: Value, *_: Any, **__: Any) -> Value:
    if a.dtype == dtype_of(node):
        return a
    if dtype_of(node) is torch.bool:
        return elementwise(low, node, "ne", a, 0, inner=a.dtype)
    return elementwise(low, node, "cast", a, inner=a.dtype)


@rule("full", "full_like", "scalar_tensor", "zeros", "zeros_like", "ones", "ones_like", "new_zeros", "new_full")
@rule("empty", "empty_like", "empty_permuted", "new_empty", "new_ones")
def _full(low: Lowering, node: fx.Node, *args: Any, **_: Any) -> Value:
    name = name_of(node)
    value = 1 if "ones" in name else 0
    if name in ("full", "full_like", "new_full"):
        value = args[1] if name != "new_full" else args[2]
    if name == "scalar_tensor":
        value = args[0]
    return Value(shape_of(node), Const(value, dtype_of(node)))


@rule("arange")
def _arange(low: Lowering, node: fx.Node, *args: Any, **_: Any) -> Value:
    start, step = (0, 1) if len(args) == 1 else (args[0], args[2] if len(args) > 2 else 1)
    if not isinstance(start, int) or not isinstance(step, int):
        raise Unsupported("arange in steps that are no whole numbers")
    rising: Expr = Iota(start, (step,))
    return Value(shape_of(node), op("cast", dtype_of(node), rising, inner=torch.int64))
