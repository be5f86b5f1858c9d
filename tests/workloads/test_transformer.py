"""The parts of transformers are their formulas, and what must not be seen is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gradrace.workloads._transformer import Attention, Block, FeedForward, Norm, hide


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def inputs(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def test_norm_has_mean_square_one_before_its_gain() -> None:
    norm, x = Norm(6).double(), 3 * inputs(2, 5, 6)
    assert torch.allclose(norm(x).square().mean(-1), torch.ones(2, 5, dtype=torch.float64), atol=1e-4)
    with torch.no_grad():
        norm.gain[2] = 5
    assert torch.allclose(norm(x)[..., 2], 5 * x[..., 2] / x.square().mean(-1).sqrt(), rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs_own_with_the_bias_of_each_distance_as_its_mask(causal: bool) -> None:
    attention = Attention(8, 2, reach=6, causal=causal, slope=0.5).double()
    with torch.no_grad():
        attention.bias.add_(inputs(2, 13))
    places, seen = inputs(3, 4, 8), inputs(3, 4 if causal else 7, 8)
    away = torch.arange(seen.shape[1]) - torch.arange(4).unsqueeze(1)
    mask = attention.bias[:, away + 6]
    if causal:
        mask = mask.masked_fill(away > 0, float("-inf"))
    key, value = attention.keys(seen)
    query = attention.query(places).view(3, 4, 2, 4).transpose(1, 2)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    expected = attention.out(expected.transpose(1, 2).reshape(3, 4, 8))
    assert torch.allclose(attention(places, (key, value)), expected, rtol=1e-9)


def test_slope_is_what_the_bias_falls_by_with_each_step_of_distance() -> None:
    assert Attention(4, 1, reach=2, causal=False, slope=0.5).bias.tolist() == [[-1.0, -0.5, 0.0, -0.5, -1.0]]


def test_a_place_does_not_depend_on_later_places_nor_on_hidden_ones() -> None:
    block, x = Block(8, 2, reach=6, causal=True).double(), inputs(2, 6, 8)
    changed = x.clone()
    changed[:, 3:] += 1
    assert torch.equal(block(changed)[:, :3], block(x)[:, :3])
    assert not torch.isclose(block(changed)[:, 3:], block(x)[:, 3:]).any()

    block, hidden = Block(8, 2, reach=6, causal=False).double(), torch.zeros(2, 6, dtype=torch.bool)
    hidden[:, 3:] = True
    assert torch.equal(block(changed, hide(hidden))[:, :3], block(x, hide(hidden))[:, :3])
    assert torch.isfinite(block(x, hide(~hidden | hidden))).all()  # where nothing can be seen


def test_places_are_told_apart_only_by_distance() -> None:
    block, x = Block(8, 2, reach=6, causal=True).double(), inputs(1, 5, 8)
    with torch.no_grad():
        block.attention.bias.add_(inputs(2, 13))
    moved, hidden = torch.cat([inputs(1, 1, 8), x], dim=1), torch.tensor([[True] + [False] * 5])
    assert torch.allclose(block(moved, hide(hidden))[:, 1:], block(x), rtol=1e-9)


def test_places_one_by_one_with_kept_keys_give_what_all_at_once_give() -> None:
    attention, x = Attention(8, 2, reach=5, causal=True, slope=0.3).double(), inputs(2, 5, 8)
    whole = attention.keys(x)
    for place in range(5):
        kept = whole[0][:, :, : place + 1], whole[1][:, :, : place + 1]
        one = attention(x[:, place : place + 1], kept, first=place)
        assert torch.allclose(one, attention(x, whole)[:, place : place + 1], rtol=1e-9)


def test_feed_forward_by_hand() -> None:
    layer = FeedForward(1)
    with torch.no_grad():
        for parameter, values in zip(
            layer.parameters(), ([[1.0], [-2.0]], [0.5, 0.0], [[3.0, 4.0]], [7.0]), strict=True
        ):
            parameter.copy_(torch.tensor(values))
    assert layer(torch.tensor([[1.0], [-1.0]])).tolist() == [[3 * 1.5 + 7], [4 * 2.0 + 7]]


def test_dropout_leaves_out_what_is_added_and_only_while_training() -> None:
    block, x = Block(8, 2, reach=4, causal=True, dropout=0.5).double(), inputs(2, 4, 8)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
