"""A step of many parameters at once: those that stepped together so far are updated as one long vector."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter, is_, itemgetter
from typing import Any

import torch
from torch import Tensor

from gradrace.optim import _kernel
from gradrace.optim._literal import ensure_state, step_one
from gradrace.optim._method import Kind, Method

# Elements that the uncompiled step takes at once: few enough that what it computes on the way stays in the cache of a
# CPU, many enough that calls cost little. On other devices memory is the only limit.
CHUNK = {"cpu": 1 << 18}
CHUNK_ELSEWHERE = 1 << 24
# Small tensors are gathered up to this size: from 32768 elements on PyTorch calls its threads, and on a busy machine
# waiting for them costs more than such a vector does.
GATHERED = {"cpu": (1 << 15) - 1}

_dtype = attrgetter("dtype")

State = MutableMapping[Tensor, dict[str, Any]]


@dataclass(frozen=True)
class _Layout:
    """What parameters must share, beside their history, to be updated together."""

    dtype: torch.dtype
    device: torch.device
    contiguous: bool


def layout_of(param: Tensor, grad: Tensor) -> _Layout | None:
    """The layout of a parameter whose gradient lies in memory as it does; None for any other."""
    dense = param.layout is torch.strided and grad.layout is torch.strided and not param.is_complex()
    if not dense or grad.dtype != param.dtype or grad.device != param.device or grad.shape != param.shape:
        return None
    contiguous = param.is_contiguous()
    if contiguous != grad.is_contiguous():
        return None
    if not contiguous and not param.stride() == grad.stride() == torch.empty_like(param).stride():
        return None
    return _Layout(param.dtype, param.device, contiguous)


class Bucket:
    """Parameters of one layout and one history. They share the tensors of the state that have shape ()."""

    def __init__(self, method: Method, layout: _Layout, params: list[Tensor], states: list[dict[str, Any]]) -> None:
        self.method, self.layout, self.params, self.states = method, layout, params, states
        self.sizes = [param.numel() for param in params]
        self.count = float(states[0]["step"])
        self.step = torch.tensor(self.count, dtype=torch.float64)
        self.scalars = {name: states[0][method.keys[name]].clone() for name in method.fields(Kind.SCALAR)}
        self.like = {name: [state[method.keys[name]] for state in states] for name in method.fields(Kind.LIKE)}
        self.on_cpu = layout.device.type == "cpu"
        self.pays_back_after = _kernel.pays_back_after(self.sizes)
        self.pointers: _kernel.Pointers | None = None
        self._addresses = list(map(Tensor.data_ptr, params))
        self._keys = [("step", repeat(self.step))]
        self._keys += [(method.keys[name], repeat(value)) for name, value in self.scalars.items()]
        for state in states:
            state.update((key, next(value)) for key, value in self._keys)
        self._keys += [(method.keys[name], tensors) for name, tensors in self.like.items()]

    def gradients(self) -> list[Tensor] | None:
        """The gradients, or None unless everything still is as it was when the bucket was made."""
        grads: list[Any] = [param.grad for param in self.params]
        # This runs at every step, so it is made of calls that loop in C; a gradient that is None ends them.
        try:
            same = (
                list(map(Tensor.numel, grads)) == self.sizes
                and list(map(_dtype, grads)).count(self.layout.dtype) == len(grads)
                and list(map(Tensor.data_ptr, self.params)) == self._addresses
                and all(map(Tensor.is_contiguous, grads)) == self.layout.contiguous
                and all(map(Tensor.is_contiguous, self.params)) == self.layout.contiguous
                and all(all(map(is_, map(itemgetter(key), self.states), value)) for key, value in self._keys)
            )
        except (TypeError, KeyError):
            return None
        if same and not self.layout.contiguous:
            same = all(layout_of(*pair) == self.layout for pair in zip(self.params, grads, strict=True))
        return grads if same else None

    def advance(self, grads: Sequence[Tensor], hyper: Mapping[str, Any], compile_when: bool | str) -> None:
        """One step."""
        self.step.add_(1)
        self.count += 1
        due = compile_when is True or (compile_when == "auto" and self.count > self.pays_back_after)
        kernel = _kernel.kernel(self.method, self.layout.dtype, compile_when) if due and self.on_cpu else None
        if kernel is None:
            self._eager(grads, hyper)
        else:
            kernel(self, grads, hyper)

    def _eager(self, grads: Sequence[Tensor], hyper: Mapping[str, Any]) -> None:
        record = self.method.hyper_record(hyper)
        scalars = self.scalars
        device = self.layout.device.type
        chunk = CHUNK.get(device, CHUNK_ELSEWHERE)
        for unit in _units(self.sizes, chunk, min(chunk, GATHERED.get(device, chunk))):
            like = {name: _cut(tensors, unit) for name, tensors in self.like.items()}
            scalars = self._unit(_cut(self.params, unit), _cut(grads, unit), like, record)
        for name, value in scalars.items():
            self.scalars[name].copy_(value)

    def _unit(
        self, params: list[Tensor], grads: list[Tensor], like: dict[str, list[Tensor]], hyper: Any
    ) -> dict[str, Tensor]:
        param, grad = _joined(params), _joined(grads)
        fields = {name: _joined(tensors) for name, tensors in like.items()}
        if self.method.maximize:
            grad = -grad
        update, new = self.method.update(grad, {**fields, **self.scalars}, param, hyper, self.step)
        sizes = [tensor.numel() for tensor in params]
        for name in like:
            if new[name] is param:  # the parameter as it was before this step
                new[name] = param.clone()
        torch.ops.aten._foreach_add_.List(params, _split(update, sizes))
        for name, tensors in like.items():
            if new[name] is not fields[name] or len(tensors) > 1:
                torch.ops.aten._foreach_copy_.default(tensors, _split(new[name], sizes))
        return {name: new[name] for name in self.scalars}


class Plan:
    """How the parameters of a group are split into buckets, those that are stepped one by one, and those that rest."""

    def __init__(self, method: Method, state: State, params: list[Tensor], hyper: Mapping[str, Any]) -> None:
        self.method, self.params = method, list(params)
        self.alone: list[Tensor] = []
        members: dict[Any, list[Tensor]] = defaultdict(list)
        for param in params:
            if param.grad is None:
                continue
            layout = layout_of(param, param.grad)
            entry = state[param] if layout is None else ensure_state(state[param], method, param, hyper)
            if layout is None or any(_differs(param, entry[method.keys[name]]) for name in method.fields(Kind.LIKE)):
                self.alone.append(param)
                continue
            history = [float(entry[method.keys[name]]) for name in method.fields(Kind.SCALAR)]
            members[layout, float(entry["step"]), *history].append(param)
        self.resting = [param for param in params if param.grad is None]
        self.buckets = [Bucket(method, key[0], some, [state[p] for p in some]) for key, some in members.items()]

    def gradients(self, method: Method, params: list[Tensor]) -> list[list[Tensor]] | None:
        """The gradients by bucket, or None unless the plan holds for this step."""
        if method is not self.method or not same(params, self.params):
            return None
        if any(param.grad is not None for param in self.resting):
            return None
        # What makes a parameter step alone is worked out anew at every step; it is rare.
        found = None if self.alone else [bucket.gradients() for bucket in self.buckets]
        return None if found is None or None in found else [grads for grads in found if grads is not None]

    def advance(
        self, state: State, found: list[list[Tensor]], hyper: Mapping[str, Any], compile_when: bool | str
    ) -> None:
        """One step of all. ``found``: the gradients by bucket."""
        for bucket, grads in zip(self.buckets, found, strict=True):
            bucket.advance(grads, hyper, compile_when)
        for param in self.alone:
            if param.grad is not None:
                step_one(state[param], self.method, param, param.grad, hyper)


def same(now: Collection[Any], before: Collection[Any]) -> bool:
    """Whether these are the same objects in the same order."""
    return len(now) == len(before) and all(map(is_, now, before))


def _differs(param: Tensor, other: Tensor) -> bool:
    return other.shape != param.shape or other.stride() != param.stride() or other.dtype != param.dtype


def _units(sizes: list[int], limit: int, gathered: int) -> list[list[tuple[int, int, int]]]:
    """Pieces (tensor, start, length) of at most ``limit`` elements; small ones in units of at most ``gathered``."""
    units: list[list[tuple[int, int, int]]] = []
    room = 0
    for tensor, size in enumerate(sizes):
        for start in range(0, size, limit):
            length = min(limit, size - start)
            if length > room:
                units.append([])
                room = gathered
            units[-1].append((tensor, start, length))
            room -= length
    return units


def _cut(tensors: Sequence[Tensor], unit: list[tuple[int, int, int]]) -> list[Tensor]:
    """The pieces as vectors that share the tensors' memory."""
    return [tensors[i].as_strided((length,), (1,), tensors[i].storage_offset() + start) for i, start, length in unit]


def _joined(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _split(vector: Tensor, sizes: list[int]) -> list[Tensor]:
    return [vector] if len(sizes) == 1 else list(vector.split(sizes))
