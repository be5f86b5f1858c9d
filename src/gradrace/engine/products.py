"""Which library computes float32 matrix products.

PyTorch takes Intel's MKL, which on processors of other makers leaves half of their vector units idle, or oneDNN, which
does not: up to 2.3 times as fast for the products of a transformer, slower for tiny ones. PyTorch has no switch between
the two. What comes nearest allows oneDNN to *round the factors to bfloat16*; where the processor has no instructions
that would make this faster, oneDNN computes in float32 all the same. Whether it does is tried, not assumed, and where
it rounds MKL stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

ALLOWED = 2e-6
"""Greatest error of a product's entry, as a share of the sum of its terms' sizes: some units in the last place of
float32. Rounding to bfloat16 errs by a thousandth."""
SHAPES = [(1, 2, 3, 5), (4, 32, 16, 32), (8, 64, 64, 64), (3, 200, 512, 96), (1, 384, 384, 384), (2, 1, 700, 20)]


@contextmanager
def onednn(use: bool) -> Iterator[None]:
    """Have oneDNN compute float32 matrix products in this process for a while, where ``available``."""
    if not use or not available():
        yield
        return
    with _allowed():
        yield


@cache
def available() -> bool:
    """Whether oneDNN can be had, and computes in float32."""
    if not hasattr(torch.backends.mkldnn, "matmul") or not torch.backends.mkldnn.is_available():
        return False
    try:
        with _allowed():
            return all(_exact(*shape) for shape in SHAPES)
    except RuntimeError:  # a setting that this PyTorch does not have
        return False


@contextmanager
def _allowed() -> Iterator[None]:
    backend: Any = torch.backends.mkldnn
    setting = backend.matmul
    before = setting.fp32_precision
    setting.fp32_precision = "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before


def _exact(batch: int, rows: int, inner: int, columns: int) -> bool:
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(batch, rows, inner, generator=generator) - 0.5
    b = torch.rand(batch, inner, columns, generator=generator) - 0.5
    turned = b.transpose(1, 2).contiguous().transpose(1, 2)
    exact, size = a.double() @ b.double(), a.double().abs() @ b.double().abs()
    found = [
        torch.bmm(a, b),
        torch.bmm(a, turned),
        torch.stack([torch.mm(one, two) for one, two in zip(a, b, strict=True)]),
    ]
    return all(bool(((product.double() - exact).abs() <= ALLOWED * size).all()) for product in found)
