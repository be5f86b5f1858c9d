"""Small functions of tensors, at least one for each operation that the compiler has a rule for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from by_hand import Case
from torch import Tensor, fx

aten: Any = torch.ops.aten
NAN, INF = math.nan, math.inf
GENERATOR = torch.Generator().manual_seed(11)


def real(*shape: int) -> Tensor:
    """Numbers about 0, float64."""
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def positive(*shape: int) -> Tensor:
    return real(*shape).abs() + 0.1


def whole(high: int, *shape: int) -> Tensor:
    """Whole numbers from 0 to ``high``."""
    return torch.randint(0, high, shape, generator=GENERATOR)


def truth(*shape: int) -> Tensor:
    return real(*shape) > 0


def made(beside: Any, target: Any, *args: Any, **keywords: Any) -> Any:
    """``target(*args)``, which takes no tensor, as a part of the graph that ``beside`` is of."""
    if isinstance(beside, fx.Proxy):
        return beside.tracer.create_proxy("call_function", target, args, keywords)
    return target(*args, **keywords)


SPECIAL = torch.tensor([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.5, -0.3, 7.0, -8.0]).double()
LARGE_AND_SMALL = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e-8, 0.5, -0.5, 3.0, -3.0, 20.0, -20.0, 87.0, -87.0, 88.5])
LARGE_AND_SMALL = torch.cat([LARGE_AND_SMALL, torch.tensor([-100.0, 103.0, -110.0, 1000.0, -1000.0, NAN, INF, -INF])])
LARGE_AND_SMALL = LARGE_AND_SMALL.double()
ODD = (5, 1, 7, 3)
"""No size is a multiple of a vector's, and one is 1."""

Table = Iterator[tuple[str, Callable[..., Any], list[Tensor]]]


def singles() -> Table:
    """Operations on single elements."""
    for name in ("neg", "abs", "sign", "exp", "expm1", "sin", "cos", "tanh", "erf", "sigmoid", "relu", "floor", "ceil"):
        yield name, getattr(aten, name).default, [real(*ODD)]
        yield f"{name} of special values", getattr(aten, name).default, [SPECIAL]
    for name in ("exp", "expm1", "tanh", "sigmoid", "erf"):
        yield f"{name} of large and small values", getattr(aten, name).default, [LARGE_AND_SMALL]
    for name in ("reciprocal", "sqrt", "rsqrt", "log", "log1p", "log2"):
        yield name, getattr(aten, name).default, [positive(*ODD)]
        yield f"{name} of special values", getattr(aten, name).default, [SPECIAL]
    for name in ("neg", "abs", "sign"):
        yield f"{name} of whole numbers", getattr(aten, name).default, [whole(9, 13) - 4]
    yield "isnan", aten.isnan.default, [SPECIAL]
    for name in ("add", "sub", "mul", "div"):
        function = getattr(aten, name).Tensor
        yield name, function, [real(*ODD), positive(*ODD)]
        yield f"{name}, broadcast", function, [real(5, 1, 7, 1), positive(3)]
        yield f"{name} of whole numbers", function, [whole(9, 13) - 4, whole(9, 13) + 1]
        yield f"{name} of kinds", function, [whole(9, 13), positive(13)]
        yield f"{name} of a number", lambda x, f=function: f(x, 3), [real(13)]
        yield f"{name} of whole numbers and a fraction", lambda x, f=function: f(x, 2.5), [whole(9, 13)]
        yield f"{name} of one element", function, [real(), positive()]
    yield "add, scaled", lambda x, y: aten.add.Tensor(x, y, alpha=-2), [real(4, 1), real(9)]
    yield "sub, scaled number", lambda x: aten.sub.Scalar(x, 3, 2), [real(9)]
    yield "add of nothing", lambda x: aten.mul.Tensor(aten.add.Tensor(x, 0), 1), [SPECIAL]
    yield "rsub", lambda x: aten.rsub.Scalar(x, 1.5), [real(9)]
    yield "rsub, scaled", lambda x, y: aten.rsub.Tensor(x, y, alpha=3), [real(2, 9), real(9)]
    yield "remainder", aten.remainder.Tensor, [3 * real(17), positive(17)]
    yield "remainder of whole numbers", lambda x: aten.remainder.Scalar(x, 3), [whole(20, 17) - 10]
    yield "remainder by negative whole numbers", lambda x: aten.remainder.Scalar(x, -3), [whole(20, 17) - 10]
    for name in ("maximum", "minimum"):
        function = getattr(aten, name).default
        yield name, function, [real(*ODD), real(7, 1)]
        yield f"{name} of special values", function, [SPECIAL.unsqueeze(1), SPECIAL]
    for exponent in (2, 3, 1, 0.5, -0.5, -1, 1.7, 0, 4):
        yield f"pow {exponent}", lambda x, e=exponent: aten.pow.Tensor_Scalar(x, e), [positive(11)]
    yield "pow 2 of negative ones", lambda x: aten.pow.Tensor_Scalar(aten.mul.Tensor(x, 3), 2), [SPECIAL]
    yield "pow 3 of a costly value", lambda x: aten.pow.Tensor_Scalar(aten.tanh.default(x), 3), [real(11)]
    yield "pow of two", aten.pow.Tensor_Tensor, [positive(3, 1), real(5)]
    yield "pow of a number", lambda x: aten.pow.Scalar(2.0, x), [real(9)]
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        yield name, getattr(aten, name).Tensor, [SPECIAL.unsqueeze(1), SPECIAL]
        yield f"{name} of a number", lambda x, n=name: getattr(aten, n).Scalar(x, 1), [SPECIAL]
        yield f"{name} of kinds", getattr(aten, name).Tensor, [whole(3, 9), real(9).round()]
        yield (
            f"{name} of whole numbers and a fraction",
            lambda x, n=name: getattr(aten, n).Scalar(x, 1.5),
            [whole(4, 9)],
        )
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        yield name, getattr(aten, name).Tensor, [truth(5, 1), truth(7)]
    for name in ("logical_and", "logical_or", "logical_xor"):
        yield name, getattr(aten, name).default, [truth(5, 1), truth(7)]
    yield "bitwise_not", aten.bitwise_not.default, [truth(9)]
    yield "logical_not", aten.logical_not.default, [truth(9)]
    yield "where", aten.where.self, [truth(5, 1), real(7), real(5, 7)]
    yield "where of kinds", aten.where.self, [truth(7), whole(5, 7), real(7)]
    yield "masked_fill", lambda x, m: aten.masked_fill.Scalar(x, m, -INF), [real(5, 7), truth(7)]
    yield "masked_fill by a tensor", aten.masked_fill.Tensor, [real(5, 7), truth(7), real()]
    yield "clamp", lambda x: aten.clamp.default(x, -0.3, 0.4), [SPECIAL]
    yield "clamp from below", lambda x: aten.clamp.default(x, 0.1), [SPECIAL]
    yield "clamp from above", lambda x: aten.clamp.default(x, None, 0.1), [SPECIAL]
    yield "clamp by tensors", aten.clamp.Tensor, [real(5, 7), real(7) - 1, real(7) + 1]
    yield "clamp_min", lambda x: aten.clamp_min.default(x, 0), [SPECIAL]
    yield "clamp_max", lambda x: aten.clamp_max.default(x, 0.5), [SPECIAL]
    yield "hardtanh", lambda x: aten.hardtanh.default(x, -0.5, 2), [SPECIAL]
    for name in ("alias", "detach", "clone", "lift_fresh_copy", "contiguous"):
        yield name, lambda x, n=name: aten.mul.Tensor(getattr(aten, n).default(x), 2), [real(5)]
    yield "_to_copy", lambda x: aten._to_copy.default(x, dtype=torch.int64), [3 * real(9)]
    yield "_to_copy to truth", lambda x: aten._to_copy.default(x, dtype=torch.bool), [SPECIAL]
    yield "_to_copy of truth", lambda x: aten._to_copy.default(x, dtype=torch.float64), [truth(9)]
    yield "to", lambda x: aten.to.dtype(x, torch.int32), [3 * real(9)]
    yield "whole numbers in 32 bits", lambda x: aten.add.Tensor(aten.to.dtype(x, torch.int32), 1), [whole(9, 9)]


def filled() -> Table:
    """Tensors of one number, or of rising ones."""
    yield "full", lambda x: aten.add.Tensor(x, made(x, aten.full.default, [3, 2], 1.5)), [real(3, 2)]
    yield (
        "full of whole numbers",
        lambda x: aten.add.Tensor(x, made(x, aten.full.default, [3], 2, dtype=torch.int64)),
        [real(3)],
    )
    yield "full_like", lambda x: aten.full_like.default(x, -INF), [real(3, 2)]
    yield "new_full", lambda x: aten.new_full.default(x, [2, 3], 0.1), [real(1)]
    yield (
        "scalar_tensor",
        lambda x: aten.mul.Tensor(x, made(x, aten.scalar_tensor.default, 0.1, dtype=torch.float64)),
        [real(3)],
    )
    for name in ("zeros", "ones"):
        yield name, lambda x, n=name: aten.add.Tensor(x, made(x, getattr(aten, n).default, [4, 3])), [real(3)]
        yield f"{name}_like", getattr(aten, f"{name}_like").default, [real(4, 3)]
        yield f"new_{name}", lambda x, n=name: getattr(aten, f"new_{n}").default(x, [2, 2]), [real(4, 3)]
    # What is in an empty tensor is anyone's guess: only its shape and dtype are looked at.
    empties = {
        "empty": lambda x: made(x, aten.empty.memory_format, [4, 3], dtype=torch.float64),
        "empty_like": aten.empty_like.default,
        "empty_permuted": lambda x: made(x, aten.empty_permuted.default, [4, 3], [1, 0], dtype=torch.float64),
        "new_empty": lambda x: aten.new_empty.default(x, [4, 3]),
    }
    for name, make in empties.items():
        yield name, lambda x, m=make: aten.add.Tensor(x, aten.full_like.default(m(x), 2)), [real(4, 3)]
    yield "arange", lambda x: aten.add.Tensor(x, made(x, aten.arange.default, 5)), [real(5)]
    yield "arange from", lambda x: aten.add.Tensor(x, made(x, aten.arange.start, 3, 8)), [real(5)]
    yield "arange in steps", lambda x: aten.mul.Tensor(x, made(x, aten.arange.start_step, 9, -1, -2)), [real(3, 5)]
    yield (
        "arange of fractions",
        lambda x: aten.mul.Tensor(x, made(x, aten.arange.start_step, 0, 5, 1, dtype=torch.float64)),
        [real(5)],
    )


def shapes() -> Table:
    """Views, and what joins tensors or writes into a part of one."""

    def turned(x: Tensor) -> Tensor:
        return aten.permute.default(x, [1, 2, 0])

    for name in ("view", "reshape", "_unsafe_view"):
        found = getattr(aten, name).default
        yield name, lambda x, f=found: f(x, [6, -1]), [real(2, 3, 4)]
        yield f"{name} of a view", lambda x, f=found: aten.mul.Tensor(f(x, [2, 12]), 2), [real(2, 3, 4)]
    yield "reshape of a transposed one", lambda x: aten.reshape.default(turned(x), [-1]), [real(2, 3, 4)]
    yield "reshape that copies half", lambda x: aten.reshape.default(turned(x), [3, 2, 4]), [real(2, 3, 4)]
    yield (
        "reshape of an expanded one",
        lambda x: aten.reshape.default(aten.expand.default(x, [3, 4]), [2, 6]),
        [real(4)],
    )
    yield "reshape of an expression", lambda x: aten.view.default(aten.exp.default(x), [4, 1, 3]), [real(3, 4)]
    yield "reshape of an empty one", lambda x: aten.reshape.default(x, [3, 0]), [real(0, 5)]
    yield "reshape to one element", lambda x: aten.reshape.default(x, []), [real(1, 1)]
    yield "flatten", lambda x: aten.flatten.using_ints(x, 1, 2), [real(2, 3, 4)]
    yield "unflatten", lambda x: aten.unflatten.int(x, -1, [2, -1]), [real(3, 4)]
    yield "unsqueeze", lambda x: aten.unsqueeze.default(x, -1), [real(3, 4)]
    yield "squeeze", aten.squeeze.default, [real(3, 1, 4, 1)]
    yield "squeeze of a dimension", lambda x: aten.squeeze.dim(x, 1), [real(3, 1, 4, 1)]
    yield "permute", turned, [real(2, 3, 4)]
    yield "transpose", lambda x: aten.transpose.int(x, -1, 0), [real(2, 3, 4)]
    yield "t", aten.t.default, [real(3, 4)]
    yield "t of a row", aten.t.default, [real(3)]
    yield "expand", lambda x: aten.expand.default(x, [2, -1, 4]), [real(3, 1)]
    yield "expand of a costly value", lambda x: aten.expand.default(aten.tanh.default(x), [9, 3]), [real(1, 3)]
    yield "slice", lambda x: aten.slice.Tensor(x, 1, 1, 6, 2), [real(3, 7)]
    yield "slice from the end", lambda x: aten.slice.Tensor(x, -1, -3, -1), [real(3, 7)]
    yield "slice beyond the end", lambda x: aten.slice.Tensor(x, 0, 2, 1 << 62), [real(3, 7)]
    yield "slice of nothing", lambda x: aten.slice.Tensor(x, 0, 5, 9), [real(3, 7)]
    yield "select", lambda x: aten.select.int(x, 1, -2), [real(3, 7, 2)]
    yield "flip", lambda x: aten.flip.default(x, [0, -1]), [real(3, 5, 7)]
    yield "flip of a slice", lambda x: aten.flip.default(aten.slice.Tensor(x, 1, 1, 4), [1]), [real(3, 5)]
    yield "split", lambda x: [(p := aten.split.Tensor(x, 3, -1))[0], p[2]], [real(2, 7)]
    yield "split_with_sizes", lambda x: [(p := aten.split_with_sizes.default(x, [1, 4, 2], 1))[1], p[2]], [real(2, 7)]
    yield "unbind", lambda x: [(p := aten.unbind.int(x, -1))[0], p[2]], [real(2, 3)]
    yield "cat", lambda *x: aten.cat.default(list(x)), [real(2, 3), real(1, 3), real(4, 3)]
    yield "cat along memory", lambda *x: aten.cat.default(list(x), -1), [real(3, 2), real(3, 1), real(3, 5)]
    yield (
        "cat of costly values",
        lambda x, y: aten.cat.default([aten.sum.dim_IntList(x, [1]), aten.mv.default(x, y)]),
        [
            real(5, 7),
            real(7),
        ],
    )
    # Its parts are computed where they belong; one that is there already is copied.
    yield "cat of the same", lambda x: aten.cat.default([(s := aten.sum.dim_IntList(x, [1])), s, s]), [real(5, 7)]
    yield "cat of kinds", lambda x, y: aten.cat.default([aten.sum.dim_IntList(x, [1]), y]), [whole(9, 5, 7), real(3)]
    yield "cat with an empty one", lambda x, y: aten.cat.default([x, y], 1), [real(0), real(3, 2)]
    yield "slice_scatter", lambda x, y: aten.slice_scatter.default(x, y, 1, 1, 6, 2), [real(3, 7), real(3, 3)]
    yield "slice_scatter from the end", lambda x, y: aten.slice_scatter.default(x, y, 0, -2), [real(4, 2), real(2, 2)]
    yield "select_scatter", lambda x, y: aten.select_scatter.default(x, y, -1, -2), [real(3, 7), real(3)]
    yield "constant_pad_nd", lambda x: aten.constant_pad_nd.default(x, [1, 2, 0, 3], -0.5), [real(2, 3, 4)]
    yield "constant_pad_nd that cuts", lambda x: aten.constant_pad_nd.default(x, [-1, 2, 1, -1]), [real(3, 4)]


def places() -> Table:
    """Elements at places that are computed."""
    yield "embedding", aten.embedding.default, [real(6, 5), whole(6, 3, 4)]
    yield (
        "embedding of transposed ones",
        lambda w, i: aten.embedding.default(aten.t.default(w), i),
        [
            real(5, 6),
            whole(6, 4),
        ],
    )
    yield "index", lambda x, i: aten.index.Tensor(x, [i]), [real(5, 3), whole(5, 4) - 5]
    yield (
        "_unsafe_index",
        lambda x, i, j: aten._unsafe_index.Tensor(x, [None, i, j]),
        [
            real(2, 5, 4),
            whole(5, 3, 1),
            whole(4, 2),
        ],
    )
    yield "index apart", lambda x, i, j: aten.index.Tensor(x, [i, None, j]), [real(5, 3, 4), whole(5, 6), whole(4, 6)]
    yield (
        "index of a computed place",
        lambda x, i: aten.index.Tensor(x, [aten.remainder.Scalar(aten.add.Tensor(aten.mul.Tensor(i, 3), 1), 5)]),
        [real(5, 3), whole(50, 4)],
    )
    yield "index_select", lambda x, i: aten.index_select.default(x, -1, i), [real(3, 5), whole(5, 7)]
    yield "gather", lambda x, i: aten.gather.default(x, 1, i), [real(3, 5), whole(5, 3, 7)]
    yield "gather of fewer rows", lambda x, i: aten.gather.default(x, -1, i), [real(3, 5), whole(5, 2, 2)]
    yield (
        "gather of an expression",
        lambda x, i: aten.gather.default(aten.exp.default(x), 0, i),
        [
            real(3, 5),
            whole(3, 4, 5),
        ],
    )
    order = torch.randperm(7, generator=GENERATOR).expand(3, 7)
    yield "scatter", lambda x, i, y: aten.scatter.src(x, 1, i, y), [real(3, 9), order, real(3, 8)]
    yield "scatter of a number", lambda x, i: aten.scatter.value(x, 1, i, 2.5), [real(3, 9), whole(9, 3, 4)]
    yield "scatter_add", lambda x, i, y: aten.scatter_add.default(x, 0, i, y), [real(4, 3), whole(4, 9, 3), real(9, 3)]
    yield (
        "scatter_add of whole numbers",
        lambda x, i, y: aten.scatter_add.default(x, 0, i, y),
        [
            whole(9, 4),
            whole(4, 9),
            whole(9, 9),
        ],
    )
    yield (
        "index_put",
        lambda x, y, i: aten.index_put.default(x, [i], y),
        [
            real(5, 3),
            real(3, 3),
            torch.tensor([4, -4, 0]),
        ],
    )
    yield (
        "_unsafe_index_put",
        lambda x, y, i, j: aten._unsafe_index_put.default(x, [None, i, j], y, True),
        [
            real(2, 5, 4),
            real(3, 2),
            whole(5, 3, 1),
            whole(4, 2),
        ],
    )
    yield (
        "index_put that adds",
        lambda x, y, i: aten.index_put.default(x, [i], y, True),
        [
            real(5, 3),
            real(9, 3),
            whole(5, 9),
        ],
    )
    yield (
        "index_put of one row",
        lambda x, y, i: aten.index_put.default(x, [i], y, True),
        [
            real(5, 3),
            real(3),
            whole(5, 9),
        ],
    )


def sums() -> Table:
    """Reductions, what is made of them, and products of matrices."""
    shape = (5, 1, 7, 3)
    for name, function in (("sum", aten.sum.dim_IntList), ("mean", aten.mean.dim), ("amax", aten.amax.default)):
        for dims in ([0], [-1], [0, 2], [1, -1]):
            yield f"{name} over {dims}", lambda x, f=function, d=dims: f(x, d), [real(*shape)]
        yield f"{name} kept", lambda x, f=function: f(x, [1, 3], True), [real(*shape)]
        yield (
            f"{name} of a turned one",
            lambda x, f=function: f(aten.permute.default(x, [2, 0, 1]), [0, 1]),
            [real(9, 2, 17)],
        )
        yield f"{name} of an expression", lambda x, f=function: f(aten.exp.default(x), [0]), [real(9, 17)]
        yield f"{name} of special values", lambda x, f=function: f(x, [1]), [SPECIAL.expand(3, -1).triu(-1)]
        yield f"{name} of special values, across", lambda x, f=function: f(x, [0]), [SPECIAL.expand(3, -1).triu(-1)]
    yield "sum of all", aten.sum.default, [real(5, 7)]
    yield "sum of one element", aten.sum.default, [real()]
    yield "mean of all", aten.mean.default, [real(5, 7)]
    yield "sum of truth", lambda x: aten.sum.dim_IntList(x, [0]), [truth(9, 3)]
    yield "sum of nothing", lambda x: aten.sum.dim_IntList(x, [0]), [real(0, 3)]
    yield "sum in another dtype", lambda x: aten.sum.dim_IntList(x, [0], dtype=torch.float64), [whole(9, 9, 3)]
    yield "amin", lambda x: aten.amin.default(x, [1]), [real(9, 17)]
    yield "amin, across", lambda x: aten.amin.default(x, [0]), [real(9, 17)]
    yield "amin of special values", lambda x: aten.amin.default(x, [1]), [SPECIAL.expand(3, -1).tril(6)]
    yield "amax of whole numbers", lambda x: aten.amax.default(x, [1]), [whole(9, 3, 7) - 20]
    yield "amin of whole numbers", lambda x: aten.amin.default(x, [1]), [whole(9, 3, 7) + 20]
    yield "amin of whole numbers, across", lambda x: aten.amin.default(x, [0]), [whole(9, 3, 7) + 20]
    for correction in (0, 1, None):
        yield (
            f"var, corrected by {correction}",
            lambda x, c=correction: aten.var.correction(x, [0, 2], correction=c),
            [real(5, 3, 7)],
        )
        yield (
            f"var_mean, corrected by {correction}",
            lambda x, c=correction: [(v := aten.var_mean.correction(x, [1], correction=c, keepdim=True))[0], v[1]],
            [real(5, 9)],
        )
    yield (
        "var_mean of a costly value",
        lambda x: [
            (v := aten.var_mean.correction(aten.exp.default(x), [0]))[0],
            v[1],
        ],
        [real(5, 9)],
    )
    yield "var of one element", lambda x: aten.var.correction(x, [1], correction=1), [real(5, 1)]
    masked = torch.where(truth(6, 9), real(6, 9), -INF)
    masked[:, 0], masked[4] = 0.3, -INF
    masked[5, 2] = NAN
    for name in ("_softmax", "_log_softmax"):
        function = getattr(aten, name).default
        yield name, lambda x, f=function: f(x, -1, False), [3 * real(5, 7)]
        yield f"{name} of large values", lambda x, f=function: f(x, 0, False), [300 * real(5, 7)]
        yield f"{name} of masked rows", lambda x, f=function: f(x, 1, False), [masked]
        yield (
            f"{name} of an expression",
            lambda x, f=function: f(aten.mul.Tensor(aten.tanh.default(x), 9), 1, False),
            [real(3, 5, 7)],
        )
    yield "mm", aten.mm.default, [real(5, 7), real(7, 3)]
    yield (
        "mm of turned ones",
        lambda x, y: aten.mm.default(aten.t.default(x), aten.t.default(y)),
        [real(7, 5), real(3, 7)],
    )
    yield (
        "mm of slices",
        lambda x, y: aten.mm.default(aten.slice.Tensor(x, 1, 1, 8, 2), aten.slice.Tensor(y, 1, 1, 4)),
        [
            real(5, 9),
            real(4, 6),
        ],
    )
    yield (
        "mm of expressions",
        lambda x, y: aten.mm.default(aten.exp.default(x), aten.neg.default(y)),
        [
            real(5, 7),
            real(7, 3),
        ],
    )
    yield (
        "mm with infinities",
        aten.mm.default,
        [torch.tensor([[INF, 0.0], [NAN, 1.0], [1.0, 2.0]]).double(), real(2, 3)],
    )
    yield "mm of nothing", aten.mm.default, [real(3, 0), real(0, 4)]
    yield "mm without rows", aten.mm.default, [real(0, 3), real(3, 4)]
    yield "bmm", aten.bmm.default, [real(3, 5, 7), real(3, 7, 4)]
    yield (
        "bmm of one for all",
        lambda x, y: aten.bmm.default(x, aten.expand.default(y, [3, 7, 4])),
        [
            real(3, 5, 7),
            real(1, 7, 4),
        ],
    )
    yield (
        "bmm of turned ones",
        lambda x, y: aten.bmm.default(aten.permute.default(x, [1, 0, 2]), aten.transpose.int(y, 1, 2)),
        [real(5, 3, 7), real(3, 4, 7)],
    )
    yield "addmm", aten.addmm.default, [real(3), real(5, 7), real(7, 3)]
    yield (
        "addmm, scaled",
        lambda c, a, b: aten.addmm.default(c, a, b, beta=0.5, alpha=-2),
        [
            real(5, 3),
            real(5, 7),
            real(7, 3),
        ],
    )
    yield "addmm of nothing", lambda c, a, b: aten.addmm.default(c, a, b, beta=0), [SPECIAL[:3], real(5, 7), real(7, 3)]
    yield (
        "baddbmm",
        lambda c, a, b: aten.baddbmm.default(c, a, b, beta=1, alpha=0.3),
        [
            real(3, 1, 4),
            real(3, 5, 7),
            real(3, 7, 4),
        ],
    )
    yield "mv", aten.mv.default, [real(5, 7), real(7)]
    yield "dot", aten.dot.default, [real(19), real(19)]


def images() -> Table:
    """Convolutions and pooling."""
    for name, sizes, kernel, options in (
        ("plain", (3, 2, 7, 6), (4, 2, 3, 3), ([1, 1], [0, 0], [1, 1], 1)),
        ("padded", (2, 3, 5, 8), (5, 3, 3, 2), ([1, 1], [1, 0], [1, 1], 1)),
        ("in strides", (2, 1, 9, 8), (2, 1, 3, 3), ([2, 3], [1, 2], [1, 1], 1)),
        ("dilated", (1, 2, 9, 9), (3, 2, 3, 2), ([1, 2], [2, 1], [2, 3], 1)),
        ("in groups", (2, 4, 5, 5), (6, 2, 3, 3), ([1, 1], [1, 1], [1, 1], 2)),
        ("of one element, channel by channel", (2, 3, 4, 4), (3, 1, 1, 1), ([1, 1], [0, 0], [1, 1], 3)),
        ("of rows", (3, 2, 11), (4, 2, 3), ([1], [0], [1], 1)),
        ("of rows in strides and groups", (2, 4, 11), (6, 2, 3), ([2], [2], [2], 2)),
    ):
        stride, padding, dilation, groups = options
        rest = (stride, padding, dilation, False, [0] * len(stride), groups)
        x, w, b = real(*sizes), real(*kernel), real(kernel[0])
        yield f"convolution {name}", lambda x, w, b, r=rest: aten.convolution.default(x, w, b, *r), [x, w, b]
        grad = torch.randn_like(aten.convolution.default(x, w, b, *rest))
        yield (
            f"convolution_backward {name}",
            lambda g, x, w, r=rest, n=kernel[0]: [
                (got := aten.convolution_backward.default(g, x, w, [n], *r, [True, True, True]))[0],
                got[1],
                got[2],
            ],
            [grad, x, w],
        )
    some = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    yield (
        "convolution_backward of the filters alone",
        lambda g, x, w: aten.convolution_backward.default(g, x, w, None, *some, [False, True, False])[1],
        [real(2, 4, 5, 5), real(2, 3, 5, 5), real(4, 3, 3, 3)],
    )
    yield (
        "convolution of turned images",
        lambda x, w: aten.convolution.default(
            aten.permute.default(x, [3, 2, 0, 1]), aten.mul.Tensor(w, 2), None, *some
        ),
        [real(5, 6, 2, 3), real(4, 2, 3, 3)],
    )
    pool = aten.max_pool2d_with_indices.default
    for name, sizes, options in (
        ("with rests", (2, 1, 7, 9), ([2, 3],)),
        ("padded", (2, 2, 7, 7), ([3, 3], [2, 2], [1, 1])),
        ("overlapping", (1, 2, 5, 6), ([3, 2], [1, 1], [1, 0])),
        ("dilated", (1, 2, 8, 9), ([2, 3], [2, 1], [0, 1], [2, 2])),
    ):
        x = real(*sizes)
        full = (*options, *([2, 2], [0, 0], [1, 1])[len(options) - 1 :]) if len(options) > 1 else None
        given = full or (options[0], options[0], [0, 0], [1, 1])
        yield f"max_pool2d_with_indices {name}", lambda x, o=options: [(p := pool(x, *o))[0], p[1]], [x]
        out, taken = pool(x, *options)
        yield (
            f"max_pool2d_with_indices_backward {name}",
            lambda g, x, i, o=given: aten.max_pool2d_with_indices_backward.default(g, x, *o, False, i),
            [torch.randn_like(out), x, taken],
        )
        if len(options) < 4:
            yield f"avg_pool2d {name}", lambda x, o=options: aten.avg_pool2d.default(x, *o), [x]
            yield (
                f"avg_pool2d_backward {name}",
                lambda g, x, o=given: aten.avg_pool2d_backward.default(g, x, *o[:3], False, True, None),
                [torch.randn_like(aten.avg_pool2d.default(x, *options)), x],
            )
    ties = torch.tensor([[1.0, 1.0, 0.0, NAN], [1.0, 1.0, 5.0, 2.0], [-INF, -INF, 3.0, 3.0], [-INF, -INF, 3.0, 3.0]])
    yield (
        "max_pool2d_with_indices of ties",
        lambda x: [
            (p := aten.max_pool2d_with_indices.default(x, [2, 2]))[0],
            p[1],
        ],
        [ties.double()[None, None]],
    )
    # The place of a patch with nothing but padding and -inf is one of the image's, not of the padding's.
    yield (
        "max_pool2d_with_indices of nothing but -inf, padded",
        lambda x: [(p := pool(x, [3, 3], [2, 2], [1, 1]))[0], p[1]],
        [torch.full((1, 2, 5, 5), -INF, dtype=torch.float64)],
    )


def cases() -> list[Case]:
    """All of them, float64."""
    found = [*singles(), *filled(), *shapes(), *places(), *sums(), *images()]
    return [Case(*row) for row in found]


def rounding() -> list[Case]:
    """Those in which numbers are rounded, float64."""
    some = ("plain", "of rows in", "padded")
    return [Case(*row) for row in (*singles(), *sums())] + [
        Case(*row) for row in images() if any(word in row[0] for word in some) and "pool" not in row[0]
    ]
