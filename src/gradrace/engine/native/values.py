"""Tensors as the compiler sees them: a piece of memory that is read in some order, or an expression for each element.

Every value is affine in its indices down to its leaves, so that a view (a transpose, a slice, a broadcast) changes
strides and offsets, and copies nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch

Strides = tuple[int, ...]
View = Callable[[Strides], tuple[int, Strides]]
"""From the strides of a leaf to what is added to its offset, and its new strides."""


class Unsupported(Exception):
    """The program does what the compiler has no words for; the message names it."""


@dataclass(eq=False)
class Buffer:
    """Contiguous memory for ``size`` elements.

    Attributes:
        kind: ``"input"`` or ``"output"``, the one at ``place``; or ``"scratch"``.
        inside: another buffer that this one is a part of, and from which element on.
    """

    dtype: torch.dtype
    size: int
    kind: str = "scratch"
    place: int = -1
    inside: tuple[Buffer, int] | None = None

    def root(self) -> tuple[Buffer, int]:
        """The buffer that this one is a part of in the end, and from which element on."""
        if self.inside is None:
            return self, 0
        root, offset = self.inside[0].root()
        return root, offset + self.inside[1]


@dataclass(frozen=True, eq=False)
class Load:
    """The element at ``offset + sum(index * stride)`` of a buffer, and of other indices' shares: see ``Taken``."""

    buffer: Buffer
    offset: int
    strides: Strides
    taken: tuple[Taken, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """Of the element."""
        return self.buffer.dtype


@dataclass(frozen=True, eq=False)
class Taken:
    """A computed index: ``index``, between 0 and ``count`` or from the end if negative, times ``stride``."""

    index: Expr
    stride: int
    count: int


@dataclass(frozen=True, eq=False)
class Iota:
    """The number ``offset + sum(index * stride)``."""

    offset: int
    strides: Strides
    dtype: torch.dtype = torch.int64


@dataclass(frozen=True, eq=False)
class Const:
    """A number."""

    value: float
    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Op:
    """An operation on single elements; see ``elements.py`` for its words. Arguments meet in ``inner``."""

    name: str
    args: tuple[Expr, ...]
    dtype: torch.dtype
    inner: torch.dtype


Expr = Load | Iota | Const | Op


@dataclass(frozen=True)
class Value:
    """A tensor: its shape, and the expression of each element, whose leaves have a stride for each dimension."""

    shape: tuple[int, ...]
    expr: Expr

    @property
    def dtype(self) -> torch.dtype:
        """Of the elements."""
        return self.expr.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def viewed(self, shape: Sequence[int], view: View) -> Value:
        """The same elements in another order."""
        return Value(tuple(shape), viewed(self.expr, view))

    def whole(self) -> Buffer | None:
        """The buffer, where this is all of it in the order of memory."""
        expr = self.expr
        if not isinstance(expr, Load) or expr.taken or expr.offset or expr.buffer.size != self.size:
            return None
        return expr.buffer if same_order(self.shape, expr.strides, contiguous(self.shape)) else None


def viewed(expr: Expr, view: View) -> Expr:
    """An expression seen through a view."""
    if isinstance(expr, Const):
        return expr
    if isinstance(expr, Op):
        return replace(expr, args=tuple(viewed(arg, view) for arg in expr.args))
    extra, strides = view(expr.strides)
    if isinstance(expr, Iota):
        return replace(expr, offset=expr.offset + extra, strides=strides)
    taken = tuple(replace(part, index=viewed(part.index, view)) for part in expr.taken)
    return replace(expr, offset=expr.offset + extra, strides=strides, taken=taken)


def leaves(expr: Expr) -> list[Load | Iota]:
    """All leaves that have strides, those of computed indices among them."""
    if isinstance(expr, Op):
        return [leaf for arg in expr.args for leaf in leaves(arg)]
    if isinstance(expr, Load):
        return [expr, *(leaf for part in expr.taken for leaf in leaves(part.index))]
    return [expr] if isinstance(expr, Iota) else []


def contiguous(shape: Sequence[int]) -> Strides:
    """Strides of a tensor that lies in memory row after row."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def same_order(shape: Sequence[int], one: Strides, other: Strides) -> bool:
    """Whether two layouts agree; the strides of dimensions of one element do not matter."""
    return all(size == 1 or a == b for size, a, b in zip(shape, one, other, strict=True))


def permuted(order: Sequence[int]) -> View:
    """The dimensions in another order."""
    return lambda strides: (0, tuple(strides[place] for place in order))


def sliced(dim: int, start: int, step: int = 1) -> View:
    """From ``start`` on, each ``step``-th."""

    def view(strides: Strides) -> tuple[int, Strides]:
        return start * strides[dim], (*strides[:dim], strides[dim] * step, *strides[dim + 1 :])

    return view


def selected(dim: int, place: int) -> View:
    """One place of a dimension, which goes away."""
    return lambda strides: (place * strides[dim], (*strides[:dim], *strides[dim + 1 :]))


def flipped(dims: Sequence[int], shape: Sequence[int]) -> View:
    """Some dimensions from their end."""

    def view(strides: Strides) -> tuple[int, Strides]:
        turned = tuple(-stride if dim in dims else stride for dim, stride in enumerate(strides))
        return sum((shape[dim] - 1) * strides[dim] for dim in dims), turned

    return view


def expanded(old: Sequence[int], new: Sequence[int]) -> View:
    """Broadcast to a shape, whose further dimensions come first."""
    lead = len(new) - len(old)

    def view(strides: Strides) -> tuple[int, Strides]:
        kept = (
            0 if size == 1 and size != wanted else s for size, wanted, s in zip(old, new[lead:], strides, strict=True)
        )
        return 0, (*([0] * lead), *kept)

    return view


class NotAView(Exception):
    """A new shape needs a copy."""


def reshaped(old: Sequence[int], new: Sequence[int]) -> View:
    """Another shape of as many elements; raises ``NotAView`` for a leaf that does not allow it."""

    def view(strides: Strides) -> tuple[int, Strides]:
        runs: list[list[int]] = []  # [size, stride] of runs of dimensions that act as one
        for size, stride in zip(old, strides, strict=True):
            if size == 1:
                continue
            if runs and runs[-1][1] == stride * size:
                runs[-1] = [runs[-1][0] * size, stride]
            else:
                runs.append([size, stride])
        result: list[int] = []
        runs.reverse()
        left, stride = runs.pop(0) if runs else [1, 0]
        for size in reversed(new):
            if size == 1:
                result.append(0)
                continue
            if left == 1 and runs:
                left, stride = runs.pop(0)
            if left % size:
                raise NotAView
            result.append(stride)
            left, stride = left // size, stride * size
        return 0, tuple(reversed(result))

    return view


def cost(expr: Expr, heavy: Collection[str]) -> int:
    """What an expression costs beside its loads, about, in operations, of which those of some names count ten times."""
    if isinstance(expr, Op):
        return (10 if expr.name in heavy else 1) + sum(cost(arg, heavy) for arg in expr.args)
    return sum(1 + cost(part.index, heavy) for part in expr.taken) if isinstance(expr, Load) else 0
