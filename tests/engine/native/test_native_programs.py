"""Programs as they are drafted from functions: what they draw, what they refuse, and what becomes of bad indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from by_hand import Case, graph_of, needs_a_compiler, program_of
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_flatten

from gradrace.engine import native
from gradrace.engine.native import OutOfRange, Unsupported
from gradrace.engine.native.program import Draft

aten: Any = torch.ops.aten


def drafted(function: Callable[..., Any], *arguments: Tensor) -> Draft:
    needs_a_compiler()
    return native.draft(function, arguments, tree_flatten(tuple(arguments))[1])


# --- what is refused ---


def convolution(transposed: bool) -> Callable[..., Tensor]:
    def function(x: Tensor) -> Tensor:
        return functional.conv_transpose1d(x, x) if transposed else functional.conv3d(x, x)

    return function


X = torch.randn(3, 4)
REFUSED: dict[str, tuple[Callable[..., Any], list[Tensor], str]] = {
    "cumsum": (lambda x: x.cumsum(0), [X], r"^aten\.cumsum\.default$"),
    "sort": (lambda x: x.sort().values, [X], r"^aten\.sort"),
    "argmax": (lambda x: x.argmax(1), [X], r"^aten\.argmax"),
    "inverse": (lambda x: torch.linalg.inv(x[:3, :3]), [X], r"linalg_inv"),
    "halves": (lambda x: x.half() * 2, [X], r"numbers of dtype torch\.float16"),
    "complex numbers": (lambda x: torch.complex(x, x).abs(), [X], r"complex"),
    "a transposed convolution": (convolution(True), [torch.randn(2, 2, 3)], r"^a transposed convolution$"),
    "three dimensions": (convolution(False), [torch.randn(2, 2, 3, 3, 3)], r"^a convolution in three dimensions$"),
    "rounded divisions": (lambda x: torch.div(x, 2, rounding_mode="floor"), [X], r"floor"),
    "bits": (lambda x: x & 3, [torch.arange(4)], r"^aten\.bitwise_and\.\w+ of numbers$"),
    "bits turned": (lambda x: ~x, [torch.arange(4)], r"^aten\.bitwise_not\.default of numbers$"),
    "bits of another type": (
        lambda x: aten.view.dtype(x, torch.int32) + 1,
        [X],
        r"^aten\.view\.dtype to torch\.int32$",
    ),
    "another dtype of a mean": (lambda x: x.mean(0, dtype=torch.float64), [X], r"^aten\.mean\.dim to torch\.float64$"),
    "scattered maxima": (
        lambda x: torch.zeros(4).scatter_reduce(0, torch.zeros(4, dtype=torch.int64), x[0], "amax"),
        [X],
        r"^aten\.scatter_reduce\.two$",
    ),
    "permutations": (lambda x: x[torch.randperm(3)], [X], r"^aten\.randperm"),
    "draws that depend on numbers": (lambda x: torch.bernoulli(x.sigmoid()), [X], r"^aten\.bernoulli"),
    "averages of uncounted borders": (
        lambda x: functional.avg_pool2d(x, 3, padding=1, count_include_pad=False),
        [torch.randn(1, 1, 5, 5)],
        r"^aten\.avg_pool2d\.default with these options$",
    ),
    "pooling beyond the image": (
        lambda x: functional.max_pool2d(x, 2, ceil_mode=True),
        [torch.randn(1, 1, 5, 5)],
        r"^pooling whose last patches reach beyond the image$",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_compiler_has_no_words_for_is_named(name: str) -> None:
    function, arguments, words = REFUSED[name]
    with pytest.raises(Unsupported, match=words) as refused:
        drafted(function, *arguments)
    assert native.reason(refused.value) == str(refused.value)


def test_reasons_are_one_line() -> None:
    assert native.reason(RuntimeError("the first line\nand more that nobody reads")) == "the first line"
    assert native.reason(RuntimeError()) == "RuntimeError"
    assert len(native.reason(ValueError("x" * 1000))) == 200


# --- what is written ---


def test_a_text_follows_from_shapes_and_not_from_values() -> None:
    def function(x: Tensor, y: Tensor) -> Any:
        return {"a": x @ y, "b": (x.sum(), y.exp())}

    one, other = (drafted(function, torch.randn(3, 4), torch.randn(4, 5)) for _ in range(2))
    assert one.text == other.text
    assert [tuple(shape) for shape, _ in one.results] == [(3, 5), (), (4, 5)]
    texts = {one.text, drafted(function, X, torch.randn(4, 6)).text, drafted(function, X.double(), X.double().t()).text}
    assert len(texts) == 3


def test_a_results_form_is_the_functions_and_constants_are_its_own() -> None:
    table = torch.arange(6.0).reshape(2, 3)

    def function(x: Tensor, y: Tensor) -> Any:
        return {"twice": x, "sum": (x + table, y), "number": torch.tensor(2.5) * y}

    x, y = torch.randn(4, 2, 3), torch.randn(3)
    program = native.compiled(drafted(function, x[0], y))
    found = program.result(program.run([x, y], [True, False], 4))
    assert torch.equal(found["twice"], x)
    assert torch.equal(found["sum"][0], x + table)
    assert torch.equal(found["sum"][1], y.expand(4, 3))
    assert torch.equal(found["number"], (2.5 * y).expand(4, 3))
    # Whatever order a trial's memory has, and wherever it begins.
    turned = torch.randn(3, 2, 9).permute(2, 1, 0)[1:5]
    assert torch.equal(program.run([turned, y], [True, False], 4)[1], turned + table)
    assert [len(result) for result in program.run([x[:0], y], [True, False], 0)] == [0] * 4


def test_gradients_of_a_model_of_many_parts() -> None:
    """Many statements that share memory; each result is compared, so that none may lie in another's place."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.GELU(), nn.MaxPool2d(2), nn.ELU(), nn.Flatten(), nn.Linear(45, 7),
        nn.LayerNorm(7), nn.SiLU(), nn.LeakyReLU(), nn.Linear(7, 3),
    ).double()  # fmt: skip
    named = dict(model.named_parameters())

    def loss(x: Tensor, *values: Tensor) -> Tensor:
        params = dict(zip(named, values, strict=True))
        return functional.cross_entropy(torch.func.functional_call(model, params, (x,)), torch.tensor([0, 2, 1]))

    function = torch.func.grad(loss, argnums=tuple(range(1 + len(named))))
    given = [torch.randn(3, 2, 7, 6).double(), *(p.detach() for p in named.values())]
    found = native.compiled(drafted(function, *given)).run([t[None] for t in given], [True] * len(given), 1)
    for one, other in zip(found, function(*given), strict=True):
        torch.testing.assert_close(one[0], other, rtol=1e-10, atol=1e-14)


# --- what is drawn ---


def test_what_is_drawn_is_taken_as_pytorch_draws_it() -> None:
    def function(x: Tensor) -> Any:
        return functional.dropout(x, 0.3), torch.randn_like(x) + x, torch.rand(2, 3) * 2

    x = torch.randn(5, 4)
    before = torch.get_rng_state()
    program = native.compiled(drafted(function, x))
    assert torch.equal(torch.get_rng_state(), before)
    assert [tuple(draw.shape) for draw in program.draws] == [(5, 4), (5, 4), (2, 3)]
    torch.manual_seed(3)
    drawn = [draw() for draw in program.draws]
    found = program.run([torch.stack([x, 2 * x]), *drawn], [True, *[False] * 3], 2)
    for trial, given in enumerate((x, 2 * x)):
        torch.manual_seed(3)
        for result, expected in zip(found, function(given), strict=True):
            torch.testing.assert_close(result[trial], expected, rtol=1e-6, atol=1e-6)
    assert 0 < int((found[0] == 0).sum()) < found[0].numel()


# --- indices that are out of range ---

INDEXED: dict[str, Callable[..., Any]] = {
    "embedding": aten.embedding.default,
    "index": lambda x, i: aten.index.Tensor(x, [i]),
    "index of the last dimension": lambda x, i: aten.index.Tensor(x, [None, i]),
    "gather": lambda x, i: aten.gather.default(x, 0, aten.unsqueeze.default(i, 1)),
    "scatter_add": lambda x, i: aten.scatter_add.default(x, 0, aten.unsqueeze.default(i, 1), x),
    "index_put": lambda x, i: aten.index_put.default(x, [i], x, True),
    "sum of what is indexed": lambda x, i: aten.sum.default(aten.index.Tensor(x, [i])),
}


def test_an_index_out_of_range_is_told() -> None:
    for name, function in INDEXED.items():
        x, good = torch.randn(4, 4), torch.tensor([0, 3, 1, 2])
        program = program_of(graph_of([Case(name, function, [x, good])]), [x, good])
        many = torch.stack([x, x, x])
        assert program.run([many, good], [True, False], 3)[0].isfinite().all()
        for bad in (4, -5, 1 << 62, -(1 << 62)):
            indices = torch.stack([good, torch.tensor([0, 1, bad, 2]), good])
            with pytest.raises(OutOfRange, match="out of range"):
                program.run([many, indices], [True, True], 3)
        assert program.run([many, good], [True, False], 3)[0].isfinite().all()
