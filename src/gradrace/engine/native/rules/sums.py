"""Reductions, what is made of them, and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import fx

from gradrace.engine.native.elements import op
from gradrace.engine.native.lowering import CHEAP, Lowering, cast, dtype_of, name_of, rule, scaled, spent_by
from gradrace.engine.native.rules.singles import elementwise
from gradrace.engine.native.values import Const, Value


@rule("sum")
def _sum_over(low: Lowering, node: fx.Node, a: Value, dims: Any = None, keep: bool = False, **_: Any) -> Value:
    if dtype_of(node) != a.dtype:
        a = cast(a, dtype_of(node))
    return low.reduce(a, "sum", dims or range(len(a.shape)), keep)


@rule("mean")
def _mean(low: Lowering, node: fx.Node, a: Value, dims: Any = None, keep: bool = False, **_: Any) -> Value:
    dims = dims or range(len(a.shape))
    count = math.prod(a.shape[dim] for dim in dims)
    total = low.reduce(a, "sum", dims, keep)
    return Value(total.shape, op("div", total.dtype, total.expr, Const(count, total.dtype)))


@rule("amax", "amin")
def _extreme(low: Lowering, node: fx.Node, a: Value, dims: Sequence[int] = (), keep: bool = False) -> Value:
    return low.reduce(a, name_of(node)[1:], dims or range(len(a.shape)), keep)


@rule("var_mean", "var")
def _variance(
    low: Lowering, node: fx.Node, a: Value, dims: Any = None, correction: Any = 1, keepdim: bool = False
) -> Any:
    dims = dims or range(len(a.shape))
    count = math.prod(a.shape[dim] for dim in dims)
    a = low.stored(a) if spent_by(a.expr) > CHEAP else a
    mean = scaled(low.reduce(a, "sum", dims, True), 1 / count)
    away = Value(a.shape, op("sub", a.dtype, a.expr, low.expand(mean, a.shape).expr))
    square = Value(a.shape, op("mul", a.dtype, away.expr, away.expr))
    free = count - (1 if correction is None else correction)
    # Of one element there is none: 0 times infinity is nan.
    variance = scaled(low.reduce(square, "sum", dims, keepdim), 1 / free if free > 0 else math.inf)
    if name_of(node) == "var":
        return variance
    return [variance, mean if keepdim else low.reshape(mean, variance.shape)]


@rule("_softmax", "_log_softmax")
def _softmax(low: Lowering, node: fx.Node, a: Value, dim: int, _half: bool) -> Value:
    a = low.stored(a) if spent_by(a.expr) > CHEAP else a
    greatest = low.reduce(a, "max", [dim], True)
    away = Value(a.shape, op("sub", a.dtype, a.expr, low.expand(greatest, a.shape).expr))
    power = Value(a.shape, op("exp", a.dtype, away.expr))
    if name_of(node) == "_log_softmax":
        total = low.reduce(power, "sum", [dim], True)
        log = low.stored(Value(total.shape, op("log", total.dtype, total.expr)))
        return Value(a.shape, op("sub", a.dtype, away.expr, low.expand(log, a.shape).expr))
    power = low.stored(power)
    total = low.reduce(power, "sum", [dim], True)
    return Value(a.shape, op("div", a.dtype, power.expr, low.expand(total, a.shape).expr))


@rule("mm", "bmm")
def _mm(low: Lowering, node: fx.Node, a: Value, b: Value) -> Value:
    return low.multiply(a, b)


@rule("addmm", "baddbmm")
def _addmm(low: Lowering, node: fx.Node, c: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    product = low.multiply(a, b)
    if alpha != 1:
        product = scaled(product, alpha)
    if beta == 0:
        return product
    return elementwise(low, node, "add", product, scaled(c, beta) if beta != 1 else c)


@rule("mv", "dot")
def _mv(low: Lowering, node: fx.Node, a: Value, b: Value) -> Value:
    wide = low.expand(b, a.shape)
    terms = Value(a.shape, op("mul", a.dtype, a.expr, wide.expr))
    return low.reduce(terms, "sum", [-1], False)
