"""A function of tensors as a graph of operations that change nothing in place, with what it draws taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradrace.engine.native.values import Unsupported

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
    """The graph, what it takes besides the function's arguments, and how it looks to a reader of caches."""

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


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` in plain operations: its own one changes averages behind a trace's back."""
    mean, var, shape = running_mean, running_var, [1, -1, *[1] * (x.dim() - 2)]
    if training or mean is None or var is None:
        count = x.numel() // x.shape[1]
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        var, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
        if running_mean is not None and running_var is not None:
            running_mean.mul_(1 - momentum).add_(mean.detach(), alpha=momentum)
            running_var.mul_(1 - momentum).add_(var.detach(), alpha=momentum * count / (count - 1))
    result = (x - mean.view(shape)) * (var.view(shape) + eps).rsqrt()
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


@contextmanager
def _plain_batch_norm() -> Iterator[None]:
    original = functional.batch_norm
    functional.batch_norm = _batch_norm
    try:
        yield
    finally:
        functional.batch_norm = original


def captured(function: Callable[..., list[Tensor]], arguments: Sequence[Tensor]) -> Captured:
    """The graph of ``function(*arguments)``.

    Raises:
        Unsupported: it draws numbers in a way that depends on other numbers.
    """
    pure: Any = torch.func.functionalize(function)
    # Attention in its math form: its fused kernels are one operation that cannot be taken apart.
    with torch.random.fork_rng(devices=[]), sdpa_kernel(SDPBackend.MATH), _plain_batch_norm():
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
