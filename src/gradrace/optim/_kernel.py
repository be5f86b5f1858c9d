"""Compiled steps: which there are, when compiling pays back, and how one is called."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from gradrace.optim import _compiler
from gradrace.optim._method import Kind, Method
from gradrace.optim._source import source
from gradrace.optim._trace import Untraceable, trace

# About what compiling costs, and what a compiled step then saves, measured on two cores of an AMD EPYC: seconds for
# each step, for each tensor, for each element. See docs/decisions/0009-drop-in-step.md.
COMPILE_SECONDS = 0.3
SAVED = (1e-4, 6e-6, 1.7e-9)
# Bytes read that are worth a thread: a tenth of a millisecond, many times what waking one costs.
PER_THREAD = 1 << 21
TRIED_ELEMENTS, LARGE_RATE = 64, 1e6
"""Elements that a step without a gradient is tried on, and the learning rate: what hardly moves them would show."""


class Stepped(Protocol):
    """What a compiled step works on; see ``Bucket``."""

    params: list[Tensor]
    sizes: list[int]
    count: float
    like: dict[str, list[Tensor]]
    scalars: dict[str, Tensor]
    pointers: Pointers | None


class Pointers:
    """The arguments of a compiled step that stay the same from step to step."""

    def __init__(self, kernel: Kernel, bucket: Stepped) -> None:
        self.kernel, self.numbers = kernel, array("d")
        self.hyper: Mapping[str, Any] | None = None
        self.columns = [array("Q", map(Tensor.data_ptr, bucket.like[name])) for name in kernel.like]
        self.columns = [array("Q", map(Tensor.data_ptr, bucket.params)), *self.columns]
        self.sizes = array("q", bucket.sizes)
        self.threads = sum(p.nbytes for p in bucket.params) * (len(self.columns) + 1) // PER_THREAD
        self.places = array("Q", [0, *(column.buffer_info()[0] for column in self.columns)])


class Kernel:
    """A compiled step of one method, for one dtype."""

    def __init__(self, method: Method, library: ctypes.CDLL, numbers: Sequence[str]) -> None:
        self.present, self.scalars = method.present, [name for name in numbers if name in method.fields(Kind.SCALAR)]
        self.like = method.fields(Kind.LIKE)
        self.method, self.library, self._function = method, library, library.step
        pointer = ctypes.c_void_p
        self._function.argtypes = [ctypes.c_int64, pointer, pointer, pointer, ctypes.c_int]
        self._function.restype = None

    def __call__(self, bucket: Stepped, grads: Sequence[Tensor], hyper: Mapping[str, Any]) -> None:
        """One step, in place; ``bucket.count`` counts it already. The bucket's tensors have not moved."""
        known = bucket.pointers
        if known is None or known.kernel is not self:
            known = bucket.pointers = Pointers(self, bucket)
        if known.hyper is not hyper:
            known.hyper = hyper
            known.numbers = array("d", [float(hyper[name]) for name in self.present])
        scalars = [bucket.scalars[name] for name in self.scalars]
        numbers = array("d", (*known.numbers, bucket.count, *map(float, scalars)))
        addresses = array("Q", map(Tensor.data_ptr, grads))
        known.places[0] = addresses.buffer_info()[0]
        threads = max(1, min(torch.get_num_threads(), known.threads))
        places = [values.buffer_info()[0] for values in (known.sizes, known.places, numbers)]
        self._function(len(grads), *places, threads)
        # Autograd must learn that the parameters changed, as it does from PyTorch's own operations.
        increment_version(bucket.params)
        for scalar, value in zip(scalars, numbers[len(numbers) - len(scalars) :], strict=True):
            scalar.fill_(value)


class Rows:
    """A compiled step of many trials at once, one row of memory for each, with numbers of its own.

    Args:
        kernel: the compiled step.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.method, self._kernel, self._function = kernel.method, kernel, kernel.library.rows
        self.numbers = [*kernel.present, "step", *kernel.scalars]
        pointer = ctypes.c_void_p
        self._function.argtypes = [ctypes.c_int64, ctypes.c_int64, pointer, pointer, ctypes.c_int64]
        self._function.restype = None

    @property
    def address(self) -> int:
        """Where the C function ``rows`` lies, for other C functions to call."""
        return ctypes.cast(self._function, ctypes.c_void_p).value or 0

    @property
    def pieces(self) -> int:
        """Where the C function ``pieces`` lies, which updates pieces of one row."""
        return ctypes.cast(self._kernel.library.pieces, ctypes.c_void_p).value or 0

    def rests(self, numbers: Tensor, dtype: torch.dtype) -> bool:
        """Whether a step leaves parameters and state as they are where the gradient is zero: tried, not assumed.

        Args:
            numbers: of some rows, as for a step.
            dtype: of the parameters.
        """
        generator = torch.Generator().manual_seed(0)
        shape = (len(numbers), TRIED_ELEMENTS)
        params = torch.randn(shape, dtype=dtype, generator=generator)
        fields = {name: torch.rand(shape, dtype=dtype, generator=generator) for name in self.like}
        before, tried = [params.clone(), *(tensor.clone() for tensor in fields.values())], numbers.clone()
        tried[:, self.numbers.index("step")] = 2.0
        tried[:, self.numbers.index("lr")] = LARGE_RATE
        self(torch.zeros(shape, dtype=dtype), params, fields, tried)
        alike = all(torch.equal(old, new) for old, new in zip(before, (params, *fields.values()), strict=True))
        return alike and not self._kernel.scalars

    @property
    def like(self) -> list[str]:
        """The names of the state's tensors that it moves, in the order of its arguments."""
        return self._kernel.like

    def __call__(self, grads: Tensor, params: Tensor, fields: Mapping[str, Tensor], numbers: Tensor) -> None:
        """One step, in place.

        Args:
            grads: [rows, P], contiguous.
            params: likewise.
            fields: the state's tensors of that shape, by name, contiguous.
            numbers: float64 [rows, len(self.numbers)], contiguous: hyperparameters, the step that this one is (from 1),
                and the state's numbers, which are changed.
        """
        columns = [grads, params, *(fields[name] for name in self._kernel.like)]
        places = array("Q", map(Tensor.data_ptr, columns))
        self._function(*grads.shape, places.buffer_info()[0], numbers.data_ptr(), numbers.shape[1])


class _Entry:
    """What is known of one method and dtype: its C code, its kernel, and the seconds spent without it."""

    def __init__(self, method: Method, dtype: torch.dtype) -> None:
        self.method, self.tried = method, False
        self.kernel: Kernel | None = None
        self.obstacle = "no C compiler works: neither cc, gcc and clang nor the one that CC names"
        try:
            traced = trace(method, dtype)
            self.source, self.numbers = source(traced), list(traced.numbers)
        except Untraceable as error:
            self.source, self.numbers, self.obstacle, self.tried = "", [], f"it has {error}", True

    def compile(self) -> None:
        self.tried = True
        library = _compiler.compiled(self.source)
        if library is not None:
            self.kernel = Kernel(self.method, library, self.numbers)


_entries: dict[tuple[Method, torch.dtype], _Entry] = {}


def pays_back_after(sizes: Sequence[int]) -> float:
    """The number of steps of these tensors after which compiling has paid back.

    "auto" compiles then: at worst the time is spent twice, and a short run never compiles. The number follows from the
    sizes alone and not from a clock, so that a run that is repeated, or resumed, takes the same path.
    """
    step, tensor, element = SAVED
    return COMPILE_SECONDS / (step + tensor * len(sizes) + element * sum(sizes))


def kernel(method: Method, dtype: torch.dtype, when: bool | str) -> Kernel | None:
    """The compiled step, compiled now if need be; None where there can be none.

    Raises:
        RuntimeError: there can be none, and ``when`` is True.
    """
    entry = _entries.get((method, dtype))
    if entry is None:
        entry = _entries[method, dtype] = _Entry(method, dtype)
    if not entry.tried:
        entry.compile()
    if when is True and entry.kernel is None:
        raise RuntimeError(
            f"compile=True, but the step of '{method.optimizer.name}' for {dtype} cannot be compiled: "
            f"{entry.obstacle}. compile='auto' compiles what can be."
        )
    return entry.kernel


def rows_kernel(method: Method, dtype: torch.dtype) -> Rows | None:
    """The compiled step of many trials at once, compiled now if need be; None where there can be none."""
    if not (method.tensor_by_tensor and method.flat):
        return None
    known = kernel(method, dtype, "auto")
    return None if known is None else Rows(known)
