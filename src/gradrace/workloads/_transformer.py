"""Parts of small transformers, written as plain tensor operations so that ``torch.func.vmap`` can add a trial axis.

Shapes: B sequences of T places, width D, H heads of D / H each. Attention is the formula itself,

    ``softmax(Q K^T / sqrt(D / H) + b) V``

where ``b`` is a learned bias for each head and each distance between two places: it tells order, so there is no table
of places, and what was learned at one place holds at all.

Sources: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; blocks that normalise first, Xiong et al. 2020,
https://arxiv.org/abs/2002.04745; the bias, Raffel et al. 2020 (section 2.1), https://arxiv.org/abs/1910.10683;
the norm, Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Keys = tuple[Tensor, Tensor]
"""Keys and values of places that can be attended to, [B, H, T, D / H] each."""

HIDDEN = -1e9
"""Added to the score of a place that must not be seen. Finite: a row of nothing but hidden places gives no NaN."""


def cross_entropy(output: Tensor, target: Tensor, unscored: int) -> Tensor:
    """The mean over scored places in nats: logits [B, T, symbols], target [B, T], ``unscored`` at the other places."""
    return functional.cross_entropy(output.flatten(0, 1), target.flatten(), ignore_index=unscored)


def embedding(symbols: int, width: int) -> nn.Embedding:
    """A table of vectors with entries of spread 0.5: a sum of two is about as large as what a block adds to it."""
    table = nn.Embedding(symbols, width)
    nn.init.normal_(table.weight, std=0.5)
    return table


def onward(width: int, out: int, bias: bool = True) -> nn.Linear:
    """The last layer of a branch, begun at half its size: a block starts close to the identity."""
    layer = nn.Linear(width, out, bias=bias)
    with torch.no_grad():
        layer.weight *= 0.5
    return layer


class Norm(nn.Module):
    """``x / rms(x) * gain`` over the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.gain


class Attention(nn.Module):
    """Attention of some places to others.

    Args:
        width: D. heads: H, a divisor of it.
        reach: the largest distance between two places that there will be.
        causal: whether a place sees itself and those before it alone.
        slope: how much the bias falls at the start with each step of distance; above 0, near places are seen first.
    """

    def __init__(self, width: int, heads: int, reach: int, *, causal: bool, slope: float = 0.0) -> None:
        super().__init__()
        self.heads, self.reach, self.causal = heads, reach, causal
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = onward(width, width, bias=False)
        away = torch.arange(-reach, reach + 1).abs().to(torch.get_default_dtype())
        self.bias = nn.Parameter(-slope * away.repeat(heads, 1))

    def keys(self, x: Tensor) -> Keys:
        """Keys and values of the places ``x`` [B, T, D]."""
        places = self.key_value(x).view(*x.shape[:2], 2, self.heads, -1)
        key, value = places.permute(2, 0, 3, 1, 4).unbind(0)
        return key, value

    def forward(self, x: Tensor, keys: Keys, first: int = 0, hidden: Tensor | None = None) -> Tensor:
        """What the places ``x`` [B, T, D] gather from ``keys``.

        Args:
            x: the places that look.
            keys: what they look at, from place 0 on.
            first: the place of ``x[:, 0]``, where the places before it are in ``keys`` alone.
            hidden: added to the scores, broadcast to [B, H, T, places]; see ``hide``.
        """
        key, value = keys
        size = (*x.shape[:2], self.heads, key.shape[-1])
        query = self.query(x).view(size).transpose(1, 2)
        there, here = torch.arange(key.shape[2], device=x.device), torch.arange(x.shape[1], device=x.device) + first
        distance = there - here.unsqueeze(1)
        scores = query @ key.transpose(-1, -2) * key.shape[-1] ** -0.5 + self.bias[:, distance + self.reach]
        if self.causal:
            scores = scores.masked_fill(distance > 0, HIDDEN)
        if hidden is not None:
            scores = scores + hidden
        return self.out((scores.softmax(-1) @ value).transpose(1, 2).reshape(x.shape))


def hide(places: Tensor) -> Tensor:
    """Where ``places`` [B, T] is true, hidden from all: to be added to scores, [B, 1, 1, T]."""
    return (places * HIDDEN)[:, None, None, :]


class FeedForward(nn.Module):
    """``W2 relu(W1 x + b1) + b2``, twice as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(width, 2 * width), onward(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return self.narrow(torch.relu(self.wide(x)))


class Block(nn.Module):
    """Attention of a sequence to itself, then a feed-forward layer; each is added to what came in.

    ``dropout`` is the share of what each adds that is left out while training.
    """

    def __init__(self, width: int, heads: int, reach: int, *, causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.before_attention, self.attention = Norm(width), Attention(width, heads, reach, causal=causal)
        self.before_feed_forward, self.feed_forward = Norm(width), FeedForward(width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Same shape as ``x`` [B, T, D]; ``hidden`` as in ``Attention``."""
        seen = self.before_attention(x)
        x = x + self.dropout(self.attention(seen, self.attention.keys(seen), hidden=hidden))
        return x + self.dropout(self.feed_forward(self.before_feed_forward(x)))
