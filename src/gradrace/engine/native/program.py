"""A function for one trial as a compiled library that runs it for many, and trains them step by step."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from gradrace.engine.native import products
from gradrace.engine.native.capture import Draw, captured
from gradrace.engine.native.lowering import Lowering
from gradrace.engine.native.scatterings import Table
from gradrace.engine.native.source import LINE, written
from gradrace.engine.native.values import Unsupported
from gradrace.errors import WorkloadError
from gradrace.optim import _compiler
from gradrace.optim._kernel import Rows

_POINTER = ctypes.c_void_p


class OutOfRange(WorkloadError):
    """An index that a model looked up lies outside of what it looked it up in."""


@dataclass(frozen=True)
class Draft:
    """A program that is written but not compiled.

    Attributes:
        text: the C file.
        scratch: bytes of memory that a run needs.
        draws: tensors of random numbers that it takes after its arguments.
        results: shape and dtype of each result.
        form: of the results.
        constants: tensors of its own.
        size: statements, which compiling takes time for.
        tables: parts of the gradient of which a step touches few rows, and their rows.
    """

    text: str
    scratch: int
    draws: list[Draw]
    results: list[tuple[torch.Size, torch.dtype]]
    form: TreeSpec
    constants: list[Tensor]
    size: int
    tables: list[tuple[Table, int]]


def draft(function: Callable[..., Any], arguments: Sequence[Tensor], form: TreeSpec, most: int | None = None) -> Draft:
    """Write the program of ``function(*tree_unflatten(arguments, form))``, a tree of tensors.

    Raises:
        Unsupported: the compiler has no words for something in it, or it has more than ``most`` operations.
    """
    try:
        return _draft(function, arguments, form, most)
    except Unsupported:
        raise
    except Exception as error:
        # A fault of the model's shows again where it runs uncompiled. One of ours must not end a race.
        raise Unsupported(f"the compiler failed with {type(error).__name__}: {error}") from error


def _draft(function: Callable[..., Any], arguments: Sequence[Tensor], form: TreeSpec, most: int | None) -> Draft:
    about = _compiler.machine()
    if about is None:
        raise Unsupported("no C compiler works on this machine")
    forms: list[TreeSpec] = []

    def flat(*tensors: Tensor) -> list[Tensor]:
        found, result = tree_flatten(function(*tree_unflatten(list(tensors), form)))
        forms.append(result)
        return found

    found = captured(flat, arguments, most)
    shapes = [(tensor.shape, tensor.dtype) for tensor in [*arguments, *found.draws]]
    width = products.vector_bytes(about)
    low = Lowering(found.graph, shapes, width)
    text = written(low, width)
    (last,) = [node for node in found.graph.graph.nodes if node.op == "output"]
    results = [(node.meta["val"].shape, node.meta["val"].dtype) for node in last.args[0]]
    return Draft(
        text.text, text.scratch, found.draws, results, forms[-1], low.constants, len(low.statements), text.tables
    )


class Program:
    """A compiled program.

    Args:
        made: what was written.
        library: what the compiler made of it.
    """

    def __init__(self, made: Draft, library: ctypes.CDLL) -> None:
        self.draws, self.form, self.results, self._library = made.draws, made.form, made.results, library
        self._tables = made.tables
        memory = torch.empty(made.scratch + LINE, dtype=torch.uint8)
        self._constants = made.constants
        self._constant = array("Q", [tensor.data_ptr() for tensor in made.constants] or [0])
        self._memory, self._scratch = memory, -(-memory.data_ptr() // LINE) * LINE
        library.run.restype = library.train.restype = ctypes.c_int
        library.run.argtypes = [ctypes.c_int64, *[_POINTER] * 6]
        library.train.argtypes = [_POINTER]

    def run(self, arguments: Sequence[Tensor], each: Sequence[bool], trials: int) -> list[Tensor]:
        """The results of all trials, [trials, ...] each.

        Args:
            arguments: tensors of all trials, and those that trials share, which the draws follow.
            each: which ones have a first dimension of trials.
            trials: how many.

        Raises:
            OutOfRange: an index was.
        """
        given = [tensor.contiguous() for tensor in arguments]
        results = [torch.empty((trials, *shape), dtype=dtype) for shape, dtype in self.results]
        places = array("Q", [tensor.data_ptr() for tensor in given])
        strides = array("q", [_bytes(tensor) if own else 0 for tensor, own in zip(given, each, strict=True)])
        outs = array("Q", [tensor.data_ptr() for tensor in results])
        out_strides = array("q", [_bytes(tensor) for tensor in results])
        tables = [_address(table) for table in (places, strides, outs, out_strides, self._constant)]
        if self._library.run(trials, *tables, self._scratch):
            raise OutOfRange("An index is out of range.")
        return results

    def result(self, results: Sequence[Tensor]) -> Any:
        """Results in the form that the function gives them in."""
        return tree_unflatten(list(results), self.form)

    def _touched(self, update: Update) -> _Touched:
        """How rows of tables are dealt with: only those touched, where the others' update would change nothing."""
        if not self._tables or not update.kernel.rests(update.numbers, update.params.dtype):
            return _Touched({}, [])
        update.gradient.zero_()
        rows = sum(count for _, count in self._tables)
        starts, sizes = array("q"), array("q")
        at = 0
        for table, count in sorted(self._tables, key=lambda one: one[0].offset):
            starts.append(at)
            sizes.append(table.offset - at)
            at = table.offset + count * table.width
        starts.append(at)
        sizes.append(update.params.shape[1] - at)
        room = torch.zeros(3, len(starts) + rows, dtype=torch.int64)
        fields = {
            "tables": rows,
            "pieces": update.kernel.pieces,
            "starts": room[0].data_ptr(),
            "sizes": room[1].data_ptr(),
            "marks": room[2].data_ptr(),
            "dense_starts": _address(starts),
            "dense_sizes": _address(sizes),
            "dense": len(starts),
        }
        return _Touched(fields, [room, starts, sizes])

    def train(self, steps: Steps, update: Update) -> None:
        """Train trials, one after another, each for some steps.

        Raises:
            OutOfRange: an index was.
        """
        kept = array("q", [_bytes(tensor[0]) if step else _bytes(tensor) for tensor, step in steps.results])
        later = array("q", [_bytes(tensor) if step else 0 for tensor, step in steps.results])
        given = [tensor for tensor, *_ in steps.arguments]
        places = [array("Q", [t.data_ptr() for t in some]) for some in (given, [t for t, _ in steps.results])]
        strides, moves = array("q", [s for _, s, _ in steps.arguments]), array("q", [m for _, _, m in steps.arguments])
        rows = array("Q", [0, update.params.data_ptr(), *(tensor.data_ptr() for tensor in update.fields)])
        row = array("Q", rows)
        stream, factors = array("q", steps.stream), update.factors
        touched = self._touched(update)
        training = _Training(
            **touched.fields,
            trials=len(update.params),
            steps=steps.count,
            size=update.params.shape[1],
            own=steps.own,
            places=_address(places[0]),
            strides=_address(strides),
            moves=_address(moves),
            stream=_address(stream),
            out=_address(places[1]),
            out_strides=_address(kept),
            out_steps=_address(later),
            constant=_address(self._constant),
            scratch=self._scratch,
            grad=update.gradient.data_ptr(),
            update=update.kernel.address,
            rows=_address(rows),
            row=_address(row),
            columns=len(rows),
            row_bytes=_bytes(update.params),
            numbers=update.numbers.data_ptr(),
            width=update.numbers.shape[1],
            clock=update.clock,
            first=steps.first,
            rate=update.rate,
            rates=update.rates.data_ptr(),
            factors=None if factors is None else factors.data_ptr(),
            factors_step=0 if factors is None else factors.stride(0),
            item=update.params.element_size(),
        )
        if self._library.train(ctypes.byref(training)):
            raise OutOfRange("An index is out of range.")


@dataclass(frozen=True)
class _Touched:
    """The part of ``_Training`` that is about tables, and the memory that it points to."""

    fields: dict[str, int]
    memory: list[Any]


def _fields(kind: Any, *names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names]


class _Training(ctypes.Structure):
    """The struct ``Training`` of the C source: see ``Steps`` and ``Update``."""

    _fields_ = [
        *_fields(ctypes.c_int64, "tables"),
        *_fields(_POINTER, "pieces"),
        *_fields(ctypes.c_int64, "count"),
        *_fields(_POINTER, "starts", "sizes", "marks", "dense_starts", "dense_sizes"),
        *_fields(ctypes.c_int64, "dense"),
        *_fields(ctypes.c_int64, "trials", "steps", "size", "own"),
        *_fields(_POINTER, "places", "strides", "moves", "stream", "out", "out_strides", "out_steps", "constant"),
        *_fields(_POINTER, "scratch", "grad", "update", "rows", "row"),
        *_fields(ctypes.c_int64, "columns", "row_bytes"),
        *_fields(_POINTER, "numbers"),
        *_fields(ctypes.c_int64, "width", "clock", "first", "rate"),
        *_fields(_POINTER, "rates", "factors"),
        *_fields(ctypes.c_int64, "factors_step", "item"),
    ]


@dataclass(frozen=True)
class Steps:
    """What is trained on for some steps. The program's results are a loss, a gradient, ``own`` tensors, and others.

    Attributes:
        first: number of the first step, from 1.
        count: how many.
        arguments: the parameters, whose place is not read; ``own`` tensors [trials, ...], which the results of that
            name replace after every step; and those of a step, [streams, steps, ...]. Each with the bytes from one
            trial, or stream, to the next, and from one step to the next.
        stream: which stream each trial is of.
        own: how many tensors are each trial's own and change from step to step.
        results: room for each result, and whether it is for every step: [steps, trials, ...], else [trials, ...]. That
            of the gradient is not used.
    """

    first: int
    count: int
    arguments: list[tuple[Tensor, int, int]]
    stream: list[int]
    own: int
    results: list[tuple[Tensor, bool]]


@dataclass(frozen=True)
class Update:
    """What moves some trials on.

    Attributes:
        kernel: the compiled update.
        gradient: room for one trial's gradient [P].
        params: [trials, P], contiguous.
        fields: the state's tensors of that shape, in the kernel's order.
        numbers: see ``Rows``.
        clock: which of them is the step.
        rate: which of them is the learning rate.
        rates: learning rates, float64 [trials].
        factors: the share of them in force, float64 [steps, trials], whose rows need not be neighbours.
    """

    kernel: Rows
    gradient: Tensor
    params: Tensor
    fields: list[Tensor]
    numbers: Tensor
    clock: int
    rate: int
    rates: Tensor
    factors: Tensor | None


def _bytes(tensor: Tensor) -> int:
    """From one place of the first dimension to the next."""
    return tensor.stride(0) * tensor.element_size() if tensor.dim() else 0


def _address(table: Any) -> int:
    return table.buffer_info()[0]
