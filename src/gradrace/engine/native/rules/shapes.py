"""Views, and what joins tensors or writes into a part of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import fx

from gradrace.engine.native.lowering import Lowering, cast, dtype_of, name_of, rule, shape_of
from gradrace.engine.native.statements import value_of
from gradrace.engine.native.values import Const, Value, flipped, permuted, selected, sliced


@rule("view", "reshape", "_unsafe_view")
def _view(low: Lowering, node: fx.Node, a: Value, shape: Sequence[int]) -> Value:
    return low.reshape(a, shape_of(node))


@rule("unsqueeze", "squeeze", "flatten", "unflatten")
def _reshaped(low: Lowering, node: fx.Node, a: Value, *_: Any) -> Value:
    return low.reshape(a, shape_of(node))


@rule("permute")
def _permute(low: Lowering, node: fx.Node, a: Value, order: Sequence[int]) -> Value:
    return a.viewed(shape_of(node), permuted([dim % len(a.shape) for dim in order]))


@rule("transpose", "t")
def _transpose(low: Lowering, node: fx.Node, a: Value, one: int = 0, other: int = 1) -> Value:
    order = list(range(len(a.shape)))
    if len(order) < 2:
        return a
    order[one], order[other] = order[other], order[one]
    return a.viewed(shape_of(node), permuted(order))


@rule("expand")
def _expand(low: Lowering, node: fx.Node, a: Value, shape: Sequence[int], **_: Any) -> Value:
    return low.expand(a, shape_of(node))


@rule("slice")
def _slice(
    low: Lowering, node: fx.Node, a: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    begin = _within(start or 0, a.shape[dim])
    return a.viewed(shape_of(node), sliced(dim % len(a.shape), begin, step))


def _within(place: int, size: int) -> int:
    return max(0, min(size, place + size if place < 0 else place))


@rule("select")
def _select(low: Lowering, node: fx.Node, a: Value, dim: int, place: int) -> Value:
    return a.viewed(shape_of(node), selected(dim % len(a.shape), place % a.shape[dim]))


@rule("flip")
def _flip(low: Lowering, node: fx.Node, a: Value, dims: Sequence[int]) -> Value:
    return a.viewed(a.shape, flipped([dim % len(a.shape) for dim in dims], a.shape))


@rule("split", "split_with_sizes", "unbind")
def _split(low: Lowering, node: fx.Node, a: Value, sizes: Any = 0, dim: int = 0) -> list[Value]:
    if name_of(node) == "unbind":
        dim = sizes % len(a.shape)
        shape = (*a.shape[:dim], *a.shape[dim + 1 :])
        return [a.viewed(shape, selected(dim, place)) for place in range(a.shape[dim])]
    dim %= len(a.shape)
    if isinstance(sizes, int):
        sizes = [min(sizes, a.shape[dim] - start) for start in range(0, a.shape[dim], sizes)]
    pieces, start = [], 0
    for size in sizes:
        pieces.append(a.viewed((*a.shape[:dim], size, *a.shape[dim + 1 :]), sliced(dim, start)))
        start += size
    return pieces


@rule("getitem")
def _item(low: Lowering, node: fx.Node, many: Any, place: int) -> Any:
    return many[place]


@rule("cat")
def _cat(low: Lowering, node: fx.Node, parts: Sequence[Value], dim: int = 0) -> Value:
    shape = shape_of(node)
    dim %= len(shape)
    buffer = low.new(shape, dtype_of(node))
    whole, start = value_of(buffer, shape), 0
    for part in parts:
        if part.shape == (0,):
            continue
        own = part.whole() if part.dtype == buffer.dtype else None
        if own is not None and own.kind == "scratch" and own.inside is None and math.prod(shape[:dim]) == 1:
            own.inside = (buffer, start * math.prod(shape[dim + 1 :]))
        else:
            low.store(cast(part, buffer.dtype), whole.viewed(part.shape, sliced(dim, start)))
        start += part.shape[dim]
    return whole


@rule("slice_scatter")
def _slice_scatter(
    low: Lowering, node: fx.Node, a: Value, b: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    whole = low.stored(a)
    dim %= len(a.shape)
    begin = _within(start or 0, a.shape[dim])
    size = b.shape[dim] if len(b.shape) == len(a.shape) else len(range(begin, _within(end, a.shape[dim]), step))
    part = (*a.shape[:dim], size, *a.shape[dim + 1 :])
    low.store(low.expand(cast(b, a.dtype), part), whole.viewed(part, sliced(dim, begin, step)))
    return whole


@rule("select_scatter")
def _select_scatter(low: Lowering, node: fx.Node, a: Value, b: Value, dim: int, place: int) -> Value:
    whole = low.stored(a)
    dim %= len(a.shape)
    part = (*a.shape[:dim], *a.shape[dim + 1 :])
    low.store(low.expand(cast(b, a.dtype), part), whole.viewed(part, selected(dim, place % a.shape[dim])))
    return whole


@rule("constant_pad_nd")
def _pad(low: Lowering, node: fx.Node, a: Value, pads: Sequence[int], value: float = 0) -> Value:
    shape = shape_of(node)
    whole = low.stored(Value(shape, Const(value, a.dtype)))
    target = whole
    for back in range(len(pads) // 2):
        dim, before, after = len(shape) - 1 - back, pads[2 * back], pads[2 * back + 1]
        inside = a.shape[dim] + min(before, 0) + min(after, 0)
        a = a.viewed((*a.shape[:dim], inside, *a.shape[dim + 1 :]), sliced(dim, max(-before, 0)))
        target = target.viewed((*target.shape[:dim], inside, *target.shape[dim + 1 :]), sliced(dim, max(before, 0)))
    low.store(a, target)
    return whole
