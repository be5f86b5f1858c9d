"""Every operation that the compiler knows does what PyTorch's does, whatever the shape and the values."""

from __future__ import annotations

from by_hand import Case, assert_equal_to_pytorch, found_and_expected, graph_of
from operations import cases, rounding
from torch import Tensor

from gradrace.engine.native.lowering import RULES, name_of

ALL = cases()
REFUSED = {"scatter_reduce"}
"""Rules that say no."""


def test_every_rule_has_a_case() -> None:
    known = {name_of(node) for node in graph_of(ALL).graph.nodes if node.op == "call_function"}
    assert known | REFUSED == set(RULES)
    assert not known & REFUSED
    assert len({case.name for case in ALL}) == len(ALL)


def halved(tensor: Tensor) -> Tensor:
    """Another trial's numbers. Indices and truth values stay as they are."""
    return tensor * 0.5 if tensor.is_floating_point() else tensor


def assert_all_equal(some: list[Case], relative: float, absolute: float) -> None:
    rows = found_and_expected(some, [lambda tensor: tensor, halved])
    assert len(rows) == 2 * len(some)
    assert_equal_to_pytorch(rows, relative, absolute)


# Hundreds of cases are one test, as they are one program: to compile each by itself would take minutes.
def test_all_operations() -> None:
    assert_all_equal(ALL, 1e-12, 1e-13)


def test_operations_in_float32() -> None:
    def cast(tensor: Tensor) -> Tensor:
        return tensor.float() if tensor.is_floating_point() else tensor

    some = rounding()
    assert len(some) > 200
    assert_all_equal([Case(one.name, one.function, [cast(t) for t in one.inputs]) for one in some], 1e-5, 1e-6)
