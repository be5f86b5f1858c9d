"""oneDNN is used where it computes in float32, for as long as it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gradrace.engine import products
from gradrace.engine.products import available, onednn


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What is known of this machine is asked again, before and after."""
    available.cache_clear()
    yield
    available.cache_clear()


def setting() -> str:
    matmul: Any = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]
    return matmul.fp32_precision


def test_the_setting_lasts_as_long_as_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_exact", lambda *shape: True)
    if not available():
        pytest.skip("this PyTorch has no oneDNN")
    before = setting()
    with onednn(True):
        assert setting() == "bf16"
        with onednn(True):
            assert setting() == "bf16"
        assert setting() == "bf16"
    assert setting() == before
    with pytest.raises(KeyError), onednn(True):
        raise KeyError
    assert setting() == before
    with onednn(False):
        assert setting() == before


def test_where_it_rounds_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    before, tried = setting(), []
    monkeypatch.setattr(products, "_exact", lambda *shape: bool(tried.append(shape)))
    assert not available()
    assert setting() == before
    with onednn(True):
        assert setting() == before
    assert len(tried) <= 1  # one bad product is enough, and it is not tried again


def test_a_pytorch_without_the_setting_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        """Refuses the setting as PyTorch does."""

        def __getattr__(self, name: str) -> str:
            raise RuntimeError("no such setting")

    for backend in (SimpleNamespace(), SimpleNamespace(matmul=Older(), is_available=lambda: True)):
        available.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(torch.backends, "mkldnn", backend)
            assert not available()
            with onednn(True):
                pass


def test_an_error_of_bfloat16_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(products._exact(*shape) for shape in products.SHAPES)  # as PyTorch computes by default
    bmm = torch.bmm

    def rounded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return bmm(a.bfloat16().float(), b.bfloat16().float())

    monkeypatch.setattr(torch, "bmm", rounded)
    assert not any(products._exact(*shape) for shape in products.SHAPES)


def test_products_are_those_of_float32() -> None:
    # Where oneDNN is not available this is what MKL computes, which is as good.
    generator = torch.Generator().manual_seed(3)
    for batch, rows, inner, columns in ((6, 33, 128, 65), (2, 7, 3, 5)):
        a = torch.randn(batch, rows, inner, generator=generator)
        b = torch.randn(batch, inner, columns, generator=generator)
        with onednn(True):
            found = torch.bmm(a, b)
        size = a.double().abs() @ b.double().abs()
        assert float(((found.double() - a.double() @ b.double()).abs() / size).max()) < 1e-6
