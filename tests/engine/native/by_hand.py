"""Programs of exactly the operations that a test names, beside what PyTorch makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, fx
from torch.fx.proxy import GraphAppendingTracer
from torch.utils._pytree import tree_flatten

from gradrace.engine import native
from gradrace.engine.native import products, source
from gradrace.engine.native.lowering import Lowering
from gradrace.engine.native.program import Draft, Program
from gradrace.optim import _compiler


@dataclass
class Case:
    """A function of tensors that calls nothing but ``torch.ops.aten``, and tensors to call it with."""

    name: str
    function: Callable[..., Any]
    inputs: Sequence[Tensor]


def needs_a_compiler() -> str:
    """What the compiler says of itself; the test is skipped where there is none."""
    about = _compiler.machine()
    if about is None:
        pytest.skip("there is no C compiler")
    return about


class _Noting(fx.Interpreter):
    """Runs a graph and notes every value, as a trace does."""

    def run_node(self, n: fx.Node) -> Any:
        n.meta["val"] = value = super().run_node(n)
        return value


def graph_of(cases: Sequence[Case]) -> fx.GraphModule:
    """All functions in one graph, their values noted at their nodes. Nothing is taken apart as a trace would."""
    graph = fx.Graph()
    tracer, outputs = GraphAppendingTracer(graph), []
    places = [[graph.placeholder(f"x{n}_{m}") for m in range(len(case.inputs))] for n, case in enumerate(cases)]
    for case, nodes in zip(cases, places, strict=True):
        results = case.function(*(fx.Proxy(node, tracer) for node in nodes))
        outputs.append([result.node for result in (results if isinstance(results, list) else [results])])
    graph.output([node for nodes in outputs for node in nodes])
    module = fx.GraphModule({}, graph)
    _Noting(module).run(*(tensor for case in cases for tensor in case.inputs))
    return module


def lowered(graph: fx.GraphModule, arguments: Sequence[Tensor]) -> Lowering:
    """The statements of a graph for such arguments."""
    width = products.vector_bytes(needs_a_compiler())
    return Lowering(graph, [(tensor.shape, tensor.dtype) for tensor in arguments], width)


def program_of(graph: fx.GraphModule, arguments: Sequence[Tensor]) -> Program:
    """The graph compiled."""
    low = lowered(graph, arguments)
    text = source.written(low, products.vector_bytes(needs_a_compiler()))
    (last,) = [node for node in graph.graph.nodes if node.op == "output"]
    results: Any = [node.meta["val"] for node in last.args[0]]
    kinds = [(result.shape, result.dtype) for result in results]
    _, form = tree_flatten([0] * len(kinds))
    return native.compiled(Draft(text.text, text.scratch, [], kinds, form, low.constants, len(low.statements), []))


def found_and_expected(cases: Sequence[Case], trials: Sequence[Callable[[Tensor], Tensor]]) -> list[Any]:
    """For each trial and case: its name, what the program gives, and what PyTorch gives; all cases in one program.

    ``trials`` makes each trial's tensors from those of the cases.
    """
    graph = graph_of(cases)
    given = [tensor for case in cases for tensor in case.inputs]
    many = [[change(tensor) for tensor in given] for change in trials]
    program = program_of(graph, given)
    # A view of memory in another order, as a parameter's row is cut up, is what programs must be given contiguous.
    stacked = [torch.stack(tensors) for tensors in zip(*many, strict=True)]
    results = program.run(stacked, [True] * len(stacked), len(trials))
    rows: list[Any] = []
    for trial, tensors in enumerate(many):
        at, place = 0, 0
        for case in cases:
            expected = case.function(*tensors[at : at + len(case.inputs)])
            expected = list(expected) if isinstance(expected, list | tuple) else [expected]
            rows.append((case.name, [result[trial] for result in results[place : place + len(expected)]], expected))
            at, place = at + len(case.inputs), place + len(expected)
    return rows


def assert_equal_to_pytorch(rows: Sequence[Any], relative: float, absolute: float) -> None:
    """All differences at once: a table of hundreds of cases is one test, as it is one program."""
    wrong = []
    for name, found, expected in rows:
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            try:
                torch.testing.assert_close(one, other, rtol=relative, atol=absolute, equal_nan=True)
            except AssertionError as error:
                wrong.append(f"{name}, result {place}: {error}")
    assert not wrong, "\n\n".join(wrong)
