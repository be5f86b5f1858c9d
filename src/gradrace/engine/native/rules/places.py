"""Elements at places that are computed: embeddings, gathering and scattering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from gradrace.engine.native.lowering import CHEAP, Lowering, expr_of, name_of, rule, spent_by
from gradrace.engine.native.scatterings import Scattering
from gradrace.engine.native.values import Load, Taken, Unsupported, Value, viewed


@rule("embedding")
def _embedding(low: Lowering, node: fx.Node, table: Value, indices: Value, *_: Any) -> Value:
    return _taken(low, table, [indices])


@rule("index", "_unsafe_index")
def _index(low: Lowering, node: fx.Node, a: Value, indices: Sequence[Value | None]) -> Value:
    return _taken(low, a, indices)


@rule("index_select")
def _index_select(low: Lowering, node: fx.Node, a: Value, dim: int, index: Value) -> Value:
    return _taken(low, a, [*([None] * (dim % len(a.shape))), index])


def _places(low: Lowering, a: Value, indices: Sequence[Value | None]) -> tuple[tuple[int, ...], Load]:
    """The shape of ``a[indices]``, and where each of its elements lies."""
    a = low.in_memory(a)
    assert isinstance(a.expr, Load)
    given = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    if any(index.dtype is torch.bool for _, index in given):
        raise Unsupported("an index of truth values")
    common = torch.broadcast_shapes(*(index.shape for _, index in given))
    dims = [dim for dim, _ in given]
    adjacent = dims == list(range(dims[0], dims[-1] + 1))
    front = dims[0] if adjacent else 0
    rest = [dim for dim in range(len(a.shape)) if dim not in dims]
    before, after = rest[:front], rest[front:]
    shape = (*(a.shape[d] for d in before), *common, *(a.shape[d] for d in after))
    strides = (*(a.expr.strides[d] for d in before), *([0] * len(common)), *(a.expr.strides[d] for d in after))
    taken = []
    for dim, index in given:
        known = low.in_memory(index) if spent_by(index.expr) > CHEAP else index
        spread = low.expand(known, common)
        placed = viewed(spread.expr, lambda s: (0, (*([0] * len(before)), *s, *([0] * len(after)))))
        taken.append(Taken(placed, a.expr.strides[dim], a.shape[dim]))
    return shape, Load(a.expr.buffer, a.expr.offset, strides, tuple(taken))


def _taken(low: Lowering, a: Value, indices: Sequence[Value | None]) -> Value:
    shape, load = _places(low, a, indices)
    return Value(shape, load)


@rule("gather")
def _gather(low: Lowering, node: fx.Node, a: Value, dim: int, index: Value, **_: Any) -> Value:
    return Value(index.shape, _along_dim(low, a, dim, index))


def _along_dim(low: Lowering, a: Value, dim: int, index: Value) -> Load:
    """The places ``a[i][index[i][j][k]][k]``, for ``dim`` 1 of three."""
    a = low.in_memory(a)
    assert isinstance(a.expr, Load)
    if not a.shape:
        return a.expr
    dim %= len(a.shape)
    known = low.in_memory(index) if spent_by(index.expr) > CHEAP else index
    strides = tuple(0 if d == dim else stride for d, stride in enumerate(a.expr.strides))
    return Load(a.expr.buffer, a.expr.offset, strides, (Taken(known.expr, a.expr.strides[dim], a.shape[dim]),))


@rule("scatter", "scatter_add", "scatter_reduce")
def _scatter(
    low: Lowering, node: fx.Node, a: Value, dim: int, index: Value, source: Any, *more: Any, **_: Any
) -> Value:
    if more or name_of(node) == "scatter_reduce":
        raise Unsupported(str(node.target))
    whole = low.stored(a)
    target = _along_dim(low, whole, dim, index)
    add = name_of(node) == "scatter_add"
    if isinstance(source, Value):
        source = source.viewed(index.shape, lambda strides: (0, strides))
    expr = expr_of(low, source, index.shape, a.dtype)
    low.statements.append(Scattering(target, index.shape, expr, add))
    return whole


@rule("index_put", "_unsafe_index_put")
def _index_put(
    low: Lowering, node: fx.Node, a: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False
) -> Value:
    whole = low.stored(a)
    shape, target = _places(low, whole, indices)
    low.statements.append(Scattering(target, shape, low.expand(values, shape).expr, accumulate))
    return whole
