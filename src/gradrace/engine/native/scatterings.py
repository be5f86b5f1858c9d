"""What writes to computed places: gathered gradients, rows of an embedding's gradient, elements set one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradrace.engine.native.statements import SIMD, Body, Dims, Names, loaded, looks_up, nest
from gradrace.engine.native.values import Buffer, Expr, Load, leaves


@dataclass(frozen=True)
class Table:
    """A part of the gradient of which a step touches few rows.

    Attributes:
        offset: where it begins in the gradient.
        width: elements of a row.
        first: number of its first row among the rows of all tables.
    """

    offset: int
    width: int
    first: int


@dataclass
class Scattering:
    """``out[places of the indices] = expr`` or ``+= expr``, for every index of a shape; ``out`` is not empty.

    ``target`` has strides, and computed indices, over the shape. ``table``: it is a part of the gradient that is zero
    elsewhere; see ``Table``.
    """

    target: Load
    shape: tuple[int, ...]
    expr: Expr
    add: bool
    table: Table | None = None

    def panel(self, width: int) -> int:
        """See ``Statement``."""
        return 0

    def reads(self) -> set[Buffer]:
        """See ``Statement``."""
        return loaded(self.expr) | {leaf.buffer for leaf in leaves(self.target) if isinstance(leaf, Load)}

    def writes(self) -> tuple[Buffer, ...]:
        """See ``Statement``."""
        return (self.target.buffer,)

    def lines(self, names: Names) -> list[str]:
        """See ``Statement``."""
        some = [*leaves(self.target), *leaves(self.expr)]
        dims = Dims.of(self.shape, [leaf.strides for leaf in some])
        strides = {id(leaf): dims.strides[place] for place, leaf in enumerate(some)}
        body = Body(names, strides, [f"i{dim}" for dim in range(len(dims.sizes))])
        value = body.converted(self.expr, self.target.dtype)
        place = body.place(self.target.offset, strides[id(self.target)])
        if self.table is not None:
            return self._rows(self.table, body, dims, place, value, names)
        for part in self.target.taken:
            place += f" + at((int64_t){body.name(part.index)}, {part.count}, &bad) * {part.stride}"
        store = f"{names.of(self.target.buffer)}[{place}] {'+=' if self.add else '='} {value};"
        # Along a dimension that no computed index depends on, and in which the target moves, no two stores meet.
        last = len(dims.sizes) - 1
        own = [strides[id(leaf)] for part in self.target.taken for leaf in leaves(part.index)]
        apart = last >= 0 and strides[id(self.target)][last] != 0 and all(one[last] == 0 for one in own)
        return nest(dims.sizes, [*body.lines, store], SIMD if apart and not looks_up(self.expr) else "")

    def _rows(self, table: Table, body: Body, dims: Dims, place: str, value: str, names: Names) -> list[str]:
        """A row of the table after another, told to whom it concerns."""
        (part,) = self.target.taken
        index = Body(names, {id(leaf): body.strides[id(leaf)] for leaf in leaves(part.index)}, body.indices)
        row = f"const int64_t row = at((int64_t){index.name(part.index)}, {part.count}, &bad);"
        tell = f"if (touched) touch(touched, {table.first} + row, {table.offset} + row * {table.width}, {table.width});"
        inner = f"i{len(dims.sizes) - 1}"
        store = f"{names.of(self.target.buffer)}[{place} + row * {part.stride}] += {value};"
        last = [SIMD, f"for (int64_t {inner} = 0; {inner} < {dims.sizes[-1]}; {inner}++) {{", *body.lines, store, "}"]
        return nest(dims.sizes[:-1], [*index.lines, row, tell, *last])

    def rows_of(self, gradient: Buffer) -> tuple[int, int] | None:
        """Offset in the gradient and width, where this adds to few of the rows of a table that is a part of it."""
        root, offset = self.target.buffer.root()
        if root is not gradient or not self.add or len(self.target.taken) != 1 or len(self.shape) < 2:
            return None
        (part,) = self.target.taken
        width, inner = self.shape[-1], [leaf.strides[-1] for leaf in leaves(part.index)]
        by_rows = part.stride == width and self.target.strides[-1] == 1 and not any(self.target.strides[:-1])
        few = 2 * math.prod(self.shape) < self.target.buffer.size == part.count * width
        if not (by_rows and few) or any(inner) or self.target.offset or looks_up(self.expr):
            return None
        return offset, width
