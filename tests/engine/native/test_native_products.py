"""Products of matrices of every size and order in memory, and in which order their terms are added up."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from by_hand import Case, assert_equal_to_pytorch, found_and_expected, graph_of, lowered, program_of
from torch import Tensor

from gradrace.engine.native import products
from gradrace.engine.native.statements import Product

aten: Any = torch.ops.aten
GENERATOR = torch.Generator().manual_seed(3)
SIZES = [
    *itertools.product((1, 2, 7), (1, 5, 33), (1, 3, 8, 9)),
    *((6, 5, 17), (13, 64, 16), (24, 31, 40), (25, 10, 65)),  # one row or column more than tiles have, or as many
    *((3, products.INNER, 5), (7, products.INNER + 1, 9), (13, 2 * products.INNER + 100, 20), (2, 600, 1)),
    *((1, 600, 3), (1, 600, 1), (1, 40000, 1), (50, 400, 1), (2, 300, 200), (5, 250, 140)),  # above ``LARGE``
]
"""m, k and n of [m, k] times [k, n]."""


def real(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["64", "32"])
def test_products_of_many_sizes(dtype: torch.dtype, tolerance: float) -> None:
    cases = []
    for m, k, n in SIZES:
        # Terms add up to about 1, whose share an error is.
        a, b = real(m, k, dtype=dtype) / k**0.5, real(k, n, dtype=dtype)
        name = f"{m} x {k} x {n}"
        cases += [
            Case(name, aten.mm.default, [a, b]),
            Case(f"{name}, a turned", lambda a, b: aten.mm.default(aten.t.default(a), b), [a.t().contiguous(), b]),
            Case(f"{name}, b turned", lambda a, b: aten.mm.default(a, aten.t.default(b)), [a, b.t().contiguous()]),
        ]
    a, b = real(3, 5, 7, dtype=dtype), real(3, 4, 7, dtype=dtype)
    cases.append(Case("many, b turned", lambda a, b: aten.bmm.default(a, aten.permute.default(b, [0, 2, 1])), [a, b]))
    assert_equal_to_pytorch(found_and_expected(cases, [lambda tensor: tensor]), tolerance, tolerance)


def test_terms_are_added_up_in_their_order_whatever_the_tile() -> None:
    # Sums of such numbers depend on the order, and a product by 1 is not rounded.
    k = 2 * products.INNER + 50
    a = real(k) * 10 ** (8 * real(k))
    sums = list(itertools.accumulate(a.tolist()))
    assert sums[-1] != list(itertools.accumulate(a.flip(0).tolist()))[-1]
    rows, columns = a.expand(14, k).contiguous(), torch.ones(k, 19, dtype=torch.float64)
    shapes = [(2, 2), (2, 16), (5, 3), (6, 8), (7, 9), (12, 17), (13, 18), (14, 19)]

    def all_shapes(a: Any, b: Any) -> list[Any]:
        return [
            aten.mm.default(aten.slice.Tensor(a, 0, 0, m), right)
            for m, n in shapes
            for right in (aten.slice.Tensor(b, 1, 0, n), aten.t.default(aten.slice.Tensor(aten.t.default(b), 0, 0, n)))
        ]

    graph = graph_of([Case("all", all_shapes, [rows, columns])])
    found = program_of(graph, [rows, columns]).run([rows, columns], [False, False], 1)
    assert len(found) == 2 * len(shapes)
    assert all(bool((result == sums[-1]).all()) for result in found)


def test_factors_are_packed_where_they_must_be() -> None:
    """Each way of reading the second factor is used by some size above."""
    ways = set()
    for (m, k, n), turned in itertools.product(SIZES, (False, True)):
        b = real(n, k) if turned else real(k, n)
        act = (lambda a, b: aten.mm.default(a, aten.t.default(b))) if turned else aten.mm.default
        given = [real(m, k), b]
        for statement in lowered(graph_of([Case("one", act, given)]), given).statements:
            if isinstance(statement, Product):
                ways.add((statement.packed(), bool(n % 2)))
                assert statement.panel(32) >= min(k, products.INNER) * n * 8
    assert ways == set(itertools.product((0, 1, 2), (False, True)))
