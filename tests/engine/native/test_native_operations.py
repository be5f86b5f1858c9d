"""Every operation that the compiler knows does what PyTorch's does, whatever the shape and the values."""

from __future__ import annotations

import pytest
import torch
from by_hand import Case, assert_equal_to_pytorch, found_and_expected, graph_of
from operations import cases
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


@pytest.mark.parametrize(
    ("dtype", "relative", "absolute"),
    [(torch.float64, 1e-12, 1e-13), (torch.float32, 1e-5, 1e-6)],
    ids=["float64", "float32"],
)
def test_all_operations(dtype: torch.dtype, relative: float, absolute: float) -> None:
    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    some = [Case(case.name, case.function, [cast(tensor) for tensor in case.inputs]) for case in ALL]
    rows = found_and_expected(some, [lambda tensor: tensor, halved])
    assert len(rows) == 2 * len(ALL)
    assert_equal_to_pytorch(rows, relative, absolute)
