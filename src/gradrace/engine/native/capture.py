"""A function of tensors as a graph of operations that change nothing in place, with what it draws taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from gradrace.engine.native.values import Unsupported
from gradrace.engine.plain import plain_functions

_BY_SHAPE = ("rand", "randn", "rand_like", "randn_like", "bernoulli.p")
"""Operations that draw numbers for which the shape of what they are given counts, and not its values."""
_TAKEN_APART = (
    "any", "elu", "gelu", "leaky_relu", "linalg_vector_norm", "native_layer_norm", "repeat",
)  # fmt: skip
"""Operations that PyTorch would leave whole, and knows how to take apart."""


@dataclass(frozen=True)
class Draw:
    """A tensor of random numbers that a program wants: how PyTorch draws it."""

    target: Any
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    shape: torch.Size
    dtype: torch.dtype

    def __call__(self) -> Tensor:
        """The numbers, from PyTorch's generator."""
        return self.target(*self.args, **self.keywords)


@dataclass(frozen=True)
class Captured:
    """The graph, and the random numbers that it takes after the function's arguments."""

    graph: fx.GraphModule
    draws: list[Draw]


@cache
def _decompositions() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions, get_decompositions

    more = get_decompositions([getattr(torch.ops.aten, name) for name in _TAKEN_APART])
    # What draws numbers stays whole: taken apart it would draw others than PyTorch does.
    seeded = torch.Tag.nondeterministic_seeded
    known = {**core_aten_decompositions(), **more}
    return {op: parts for op, parts in known.items() if seeded not in getattr(op, "tags", ())}


class _Bounded(TorchDispatchMode):
    """Lets so many operations through."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._left -= 1
        if self._left < 0:
            raise Unsupported("more operations than are worth compiling")
        return func(*args, **(kwargs or {}))


def captured(function: Callable[..., list[Tensor]], arguments: Sequence[Tensor], most: int | None = None) -> Captured:
    """The graph of ``function(*arguments)``.

    Raises:
        Unsupported: it draws numbers in a way that depends on other numbers, or has more than ``most`` operations.
    """

    def bounded(*tensors: Tensor) -> list[Tensor]:
        with nullcontext() if most is None else _Bounded(most):
            return function(*tensors)

    pure: Any = torch.func.functionalize(bounded)
    # Attention in its math form: its fused kernels are one operation that cannot be taken apart.
    with torch.random.fork_rng(devices=[]), sdpa_kernel(SDPBackend.MATH), plain_functions():
        graph = make_fx(
            pure,
            tracing_mode="fake",
            _allow_non_fake_inputs=True,
            decomposition_table=_decompositions(),
        )(*arguments)
    draws = _drawn(graph)
    graph.graph.eliminate_dead_code()
    return Captured(graph, draws)


def _drawn(graph: fx.GraphModule) -> list[Draw]:
    """Take out what draws numbers, and have the graph take the numbers, after its other arguments."""
    draws: list[Draw] = []
    last = [node for node in graph.graph.nodes if node.op == "placeholder"][-1]
    for node in list(graph.graph.nodes):
        if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
            continue
        name = str(node.target).removeprefix("aten.").removesuffix(".default").removesuffix(".memory_format")
        value = node.meta["val"]
        if name not in _BY_SHAPE or not isinstance(value, Tensor):
            raise Unsupported(str(node.target))
        args = fx.map_arg(node.args, lambda other: torch.empty(other.meta["val"].shape, dtype=other.meta["val"].dtype))
        draws.append(Draw(node.target, args, dict(node.kwargs), value.shape, value.dtype))
        with graph.graph.inserting_after(last):
            last = graph.graph.placeholder(f"drawn_{len(draws)}")
        last.meta["val"] = value
        node.replace_all_uses_with(last)
        graph.graph.erase_node(node)
    return draws
