"""What a compiled program does, piece by piece: loops over elements, reductions, products, scatterings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from gradrace.engine.native import products
from gradrace.engine.native.elements import TYPES, number, written
from gradrace.engine.native.values import Buffer, Const, Expr, Iota, Load, Op, Strides, Value, contiguous, leaves


class Names:
    """The C names of buffers within one statement, and the declarations that they need.

    Args:
        places: where buffers lie, in C.
        width: bytes of a vector register.
    """

    def __init__(self, places: dict[Buffer, str], width: int) -> None:
        self._places, self.width = places, width
        self._known: dict[Buffer, str] = {}
        self.declared: list[str] = []

    def of(self, buffer: Buffer) -> str:
        """The name of a pointer to the buffer's first element."""
        root, offset = buffer.root()
        if buffer not in self._known:
            name = self._known[buffer] = f"b{len(self._known)}"
            kind = TYPES[buffer.dtype]
            self.declared.append(f"{kind} *{name} = ({kind} *)({self._places[root]}) + {offset};")
        return self._known[buffer]


class Statement(Protocol):
    """One piece of the program."""

    def panel(self, width: int) -> int:
        """Bytes of room that it needs while it runs, for vector registers of so many bytes."""
        ...

    def reads(self) -> set[Buffer]:
        """Buffers that it reads."""
        ...

    def writes(self) -> tuple[Buffer, ...]:
        """The buffers that it writes to."""
        ...

    def lines(self, names: Names) -> list[str]:
        """The C code."""
        ...


def loaded(expr: Expr) -> set[Buffer]:
    """Buffers that an expression reads."""
    return {leaf.buffer for leaf in leaves(expr) if isinstance(leaf, Load)}


@dataclass
class Dims:
    """Nested loops: sizes, and the strides of each leaf, with neighbours that act as one taken together."""

    sizes: list[int]
    strides: list[list[int]]

    @classmethod
    def of(cls, shape: Sequence[int], strides: Iterable[Strides]) -> Dims:
        """Loops over all elements of a shape, dimensions of one element left out, and merged where all leaves allow."""
        kept = [dim for dim, size in enumerate(shape) if size != 1]
        sizes = [shape[dim] for dim in kept]
        return cls(sizes, [[one[dim] for dim in kept] for one in strides]).merged()

    def merged(self) -> Dims:
        """Neighbouring dimensions as one, where every leaf goes on as if they were."""
        sizes: list[int] = []
        columns: list[list[int]] = []
        for dim, size in enumerate(self.sizes):
            column = [one[dim] for one in self.strides]
            if columns and all(before == after * size for before, after in zip(columns[-1], column, strict=True)):
                sizes[-1] *= size
                columns[-1] = column
            else:
                sizes.append(size)
                columns.append(column)
        return Dims(sizes, [[column[place] for column in columns] for place in range(len(self.strides))])


class Body:
    """Expressions inside a loop, each written once. The strides of leaves are those of the loop's dimensions."""

    def __init__(self, names: Names, strides: dict[int, list[int]], indices: Sequence[str]) -> None:
        self.names, self.strides, self.indices = names, strides, indices
        self.lines: list[str] = []
        self._known: dict[int, str] = {}

    def place(self, offset: int, strides: Sequence[int]) -> str:
        """``offset + i0 * s0 + …``."""
        parts = [str(offset)] if offset else []
        parts += [
            i if stride == 1 else f"{i} * {stride}" for i, stride in zip(self.indices, strides, strict=True) if stride
        ]
        return " + ".join(parts) or "0"

    def name(self, expr: Expr) -> str:
        """The name of a value, computed if need be."""
        if isinstance(expr, Const):
            return number(expr.value, expr.dtype)
        if id(expr) not in self._known:
            kind = TYPES[expr.dtype]
            value = self._value(expr)
            self._known[id(expr)] = f"v{len(self._known)}"
            self.lines.append(f"const {kind} {self._known[id(expr)]} = {value};")
        return self._known[id(expr)]

    def _value(self, expr: Load | Iota | Op) -> str:
        if isinstance(expr, Op):
            bools = (torch.bool, *[expr.inner] * (len(expr.args) - 1)) if expr.name == "where" else None
            wanted = bools or [expr.inner] * len(expr.args)
            return written(expr, [self._as(arg, kind) for arg, kind in zip(expr.args, wanted, strict=True)])
        place = self.place(expr.offset, self.strides[id(expr)])
        if isinstance(expr, Iota):
            return place
        for part in expr.taken:
            index = f"at((int64_t){self.name(part.index)}, {part.count}, &bad)"
            place += f" + {index} * {part.stride}"
        return f"{self.names.of(expr.buffer)}[{place}]"

    def _as(self, expr: Expr, kind: torch.dtype) -> str:
        name = self.name(Const(expr.value, kind) if isinstance(expr, Const) else expr)
        return name if expr.dtype == kind or isinstance(expr, Const) else f"({TYPES[kind]}){name}"

    def converted(self, expr: Expr, kind: torch.dtype) -> str:
        """The value in another type."""
        return self._as(expr, kind)


def looks_up(expr: Expr) -> bool:
    """Whether some index is computed, which must be looked at."""
    return any(isinstance(leaf, Load) and leaf.taken for leaf in leaves(expr))


def nest(sizes: Sequence[int], body: Sequence[str], simd: str = "", first: int = 0) -> list[str]:
    """Loops over ``i0``, ``i1``, … around a body; ``simd`` is what stands above the innermost."""
    lines: list[str] = []
    for depth, size in enumerate(sizes):
        if depth == len(sizes) - 1 and simd:
            lines.append(simd)
        i = f"i{first + depth}"
        lines.append(f"for (int64_t {i} = 0; {i} < {size}; {i}++) {{")
    return [*lines, *body, *("}" * len(sizes))]


def _extreme(dtype: torch.dtype, largest: bool) -> str:
    """The largest or least number of a type, in C."""
    if dtype.is_floating_point:
        return "INFINITY" if largest else "-INFINITY"
    known = torch.iinfo(torch.uint8 if dtype is torch.bool else dtype)
    # C has no words for the least one of all: what stands for it is a difference.
    return f"INT64_C({known.max})" if largest else f"(-INT64_C({-(known.min + 1)}) - 1)"


SIMD = "#pragma omp simd"
LARGE = 1 << 15
"""Elements of a second factor that is copied into one piece, whatever its order."""


@dataclass
class Elements:
    """``out[index] = expr`` for every index of a shape. ``out`` need not lie row after row.

    ``needless``: memory is zero already where rows that are touched are told; see ``Table``.
    """

    out: Load
    shape: tuple[int, ...]
    expr: Expr
    needless: bool = False

    @property
    def is_zero(self) -> bool:
        """Whether it only clears memory."""
        return isinstance(self.expr, Const) and self.expr.value == 0

    def panel(self, width: int) -> int:
        """See ``Statement``."""
        return 0

    def reads(self) -> set[Buffer]:
        """See ``Statement``."""
        return loaded(self.expr)

    def writes(self) -> tuple[Buffer, ...]:
        """See ``Statement``."""
        return (self.out.buffer,)

    def lines(self, names: Names) -> list[str]:
        """See ``Statement``."""
        some = [self.out, *leaves(self.expr)]
        # The innermost loop runs along the memory that is written.
        order = sorted(range(len(self.shape)), key=lambda dim: -abs(self.out.strides[dim]))
        dims = Dims.of([self.shape[dim] for dim in order], [tuple(leaf.strides[dim] for dim in order) for leaf in some])
        strides = {id(leaf): dims.strides[place] for place, leaf in enumerate(some)}
        body = Body(names, strides, [f"i{dim}" for dim in range(len(dims.sizes))])
        value = body.converted(self.expr, self.out.dtype)
        store = f"{names.of(self.out.buffer)}[{body.place(self.out.offset, strides[id(self.out)])}] = {value};"
        loop = nest(dims.sizes, [*body.lines, store], SIMD if not looks_up(self.expr) else "")
        return ["if (!touched) {", *loop, "}"] if self.needless else loop


@dataclass
class Reduction:
    """``out[kept] = sum or max over the other dimensions of expr``, ``out`` row after row over the kept ones."""

    out: Buffer
    shape: tuple[int, ...]
    expr: Expr
    dims: tuple[int, ...]
    kind: str

    def panel(self, width: int) -> int:
        """See ``Statement``."""
        return 0

    def reads(self) -> set[Buffer]:
        """See ``Statement``."""
        return loaded(self.expr)

    def writes(self) -> tuple[Buffer, ...]:
        """See ``Statement``."""
        return (self.out,)

    def lines(self, names: Names) -> list[str]:
        """See ``Statement``."""
        some = leaves(self.expr)
        kept = [dim for dim in range(len(self.shape)) if dim not in self.dims]
        real = TYPES[self.out.dtype]
        inner = self._along_memory(some)
        step, place = 1, {}
        for dim in reversed(kept):
            place[dim], step = step, step * self.shape[dim]
        out = [place.get(dim, 0) for dim in range(len(self.shape))]
        along = [tuple(leaf.strides[dim] for dim in kept) for leaf in some]
        keeping = Dims.of([self.shape[dim] for dim in kept], [*along, tuple(out[dim] for dim in kept)])
        dims = sorted(self.dims, key=lambda dim: -max((abs(leaf.strides[dim]) for leaf in some), default=0))
        over = Dims.of([self.shape[d] for d in dims], [tuple(s.strides[d] for d in dims) for s in some])
        indices = [f"i{place}" for place in range(len(keeping.sizes) + len(over.sizes))]
        order = (keeping, over) if inner else (over, keeping)
        strides = {id(leaf): [*order[0].strides[place], *order[1].strides[place]] for place, leaf in enumerate(some)}
        body = Body(names, strides, indices)
        value = body.converted(self.expr, self.out.dtype)
        start = "0" if self.kind == "sum" else _extreme(self.out.dtype, largest=self.kind == "min")
        first = [f"i{place}" for place in range(len(keeping.sizes))]
        target = names.of(self.out)
        where = Body(names, {}, first).place(0, keeping.strides[-1])
        simd = not looks_up(self.expr)
        if inner:
            more = {
                "sum": "s += {0};",
                "max": "s = {0} > s ? {0} : s; bad_s |= {0} != {0};",
                "min": "s = {0} < s ? {0} : s; bad_s |= {0} != {0};",
            }[self.kind].format(value)
            clause = "reduction(+: s)" if self.kind == "sum" else f"reduction({self.kind}: s) reduction(|: bad_s)"
            loop = nest(over.sizes, [*body.lines, more], f"{SIMD} {clause}" if simd else "", len(keeping.sizes))
            head = [f"{real} s = {start};", *(["int bad_s = 0;"] if self.kind != "sum" else [])]
            nan = self.kind != "sum" and self.out.dtype.is_floating_point
            tail = f"{target}[{where}] = {'bad_s ? NAN : s' if nan else 's'};"
            return nest(keeping.sizes, [*head, *loop, tail])
        clear = nest(keeping.sizes, [f"{target}[{where}] = {start};"], SIMD)
        depth = len(over.sizes)
        place_inner = Body(names, {}, indices[depth:]).place(0, keeping.strides[-1])
        more = {
            "sum": "{1} += {0};",
            "max": "{1} = {0} > {1} || {0} != {0} ? {0} : {1};",
            "min": "{1} = {0} < {1} || {0} != {0} ? {0} : {1};",
        }[self.kind].format(value, f"{target}[{place_inner}]")
        loop = nest([*over.sizes, *keeping.sizes], [*body.lines, more], SIMD if simd and keeping.sizes else "")
        return [*clear, *loop]

    def _along_memory(self, some: Sequence[Load | Iota]) -> bool:
        """Whether the innermost loop should be one that is reduced over: where memory runs along it."""

        def nearest(dims: Iterable[int]) -> int:
            return min(
                (abs(leaf.strides[d]) for leaf in some for d in dims if leaf.strides[d] and self.shape[d] > 1),
                default=1 << 40,
            )

        kept = [dim for dim in range(len(self.shape)) if dim not in self.dims and self.shape[dim] > 1]
        return not kept or nearest(self.dims) < nearest(kept)


@dataclass
class Product:
    """Matrix products ``out = a @ b``, one for each place of the leading dimensions.

    ``filled``: rows of ``b`` are filled up to whole vectors.
    """

    out: Buffer
    lead: tuple[int, ...]
    rows: int
    columns: int
    inner: int
    a: Load
    b: Load
    filled: bool = False

    def panel(self, width: int) -> int:
        """See ``Statement``."""
        return products.room(self.inner, self.columns, width, self.out.dtype.itemsize)

    def reads(self) -> set[Buffer]:
        """See ``Statement``."""
        return {self.a.buffer, self.b.buffer}

    def writes(self) -> tuple[Buffer, ...]:
        """See ``Statement``."""
        return (self.out,)

    def packed(self) -> int:
        """What is done with the second factor: see ``pack`` in the C source."""
        if self.filled:
            return 2
        # Columns that do not lie side by side; or so many that processors would look for their pages again and again.
        return int(self.b.strides[-1] != 1 or self.inner * self.columns > LARGE)

    def lines(self, names: Names) -> list[str]:
        """See ``Statement``."""
        depth = len(self.lead)
        indices = [f"i{place}" for place in range(depth)]
        body = Body(names, {}, indices)
        strides = [stride * self.rows * self.columns for stride in contiguous(self.lead)]
        a = f"{names.of(self.a.buffer)} + {body.place(self.a.offset, self.a.strides[:depth])}"
        b = f"{names.of(self.b.buffer)} + {body.place(self.b.offset, self.b.strides[:depth])}"
        out = f"{names.of(self.out)} + {body.place(0, strides)}"
        real = "f" if self.out.dtype is torch.float32 else "d"
        call = (
            f"product_{real}({self.rows}, {self.columns}, {self.inner}, {a}, {self.a.strides[-2]}, "
            f"{self.a.strides[-1]}, {b}, {self.b.strides[-2]}, {self.b.strides[-1]}, {out}, {self.columns}, "
            f"{self.packed()}, 0, panel);"
        )
        return nest(self.lead, [call])


def value_of(buffer: Buffer, shape: Sequence[int]) -> Value:
    """All of a buffer, row after row."""
    return Value(tuple(shape), Load(buffer, 0, contiguous(shape)))
