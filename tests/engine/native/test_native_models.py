"""Models of every kind, compiled, train as the loop engine trains them: in float64 to 1e-9, whole steps at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from by_hand import needs_a_compiler
from torch import Tensor, nn
from torch.nn import functional

from agreement import STEPS, assert_agree, setup, training
from gradrace.engine import vectorized
from gradrace.engine.loop import Loop
from gradrace.engine.trial import fresh_model
from gradrace.engine.vectorized import Vectorized
from gradrace.optimizers import optimizer, optimizers
from gradrace.randomness import Stream
from gradrace.workloads import Workload, workload, workloads

GENERATOR = torch.Generator().manual_seed(7)
IMAGES = torch.randn(60, 1, 8, 8, generator=GENERATOR)
WORDS = torch.randint(0, 30, (60, 6), generator=GENERATOR)
ROWS = torch.randn(60, 6, 3, generator=GENERATOR)
NUMBERS = torch.randn(60, 6, generator=GENERATOR)
CLASSES = torch.randint(0, 4, (60,), generator=GENERATOR)
SEVERAL: tuple[Stream, ...] = ((0, 0, 1), (0, 0, 2))
ONE: tuple[Stream, ...] = ((0, 0, 1),)


def of(model: Callable[[], nn.Module], inputs: Tensor) -> Workload:
    data = {"train": (inputs, CLASSES), "validation": 0.2, "test": 0.2}
    return Workload("mine", model, functional.cross_entropy, metric="accuracy", batch_size=7, **data)


def images() -> nn.Module:
    """Convolutions, and averages of batches that each trial has of its own."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, 2),
        nn.GELU(), nn.AvgPool2d(2, 1, 1), nn.Flatten(), nn.Linear(24, 8), nn.BatchNorm1d(8), nn.Linear(8, 4),
    )  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self, layer: type[nn.GRU] | type[nn.LSTM], layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer = layer(3, 5, layers, batch_first=True, dropout=dropout)
        self.last = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x)[0][:, -1])


class Attention(nn.Module):
    """PyTorch's own layers, with dropout and a mask; the last layer's weights are the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(30, 8), nn.Linear(8, 30, bias=False)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(6))
        self.last.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.last(self.layer(self.dropout(self.words(words)), self.mask, is_causal=True).mean(1))[:, :4]


class Named(nn.Module):
    """Takes a batch that is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.numbers = nn.Embedding(30, 4), nn.Linear(6, 4)

    def forward(self, words: Tensor, numbers: Tensor) -> Tensor:
        return self.words(words).mean(1) + functional.normalize(self.numbers(numbers), dim=-1)


def frozen() -> nn.Module:
    """A fresh random first layer that is not trained: it differs from seed to seed, and trials must keep theirs."""
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Dropout(0.3), nn.Linear(12, 4), nn.SiLU())
    model[0].requires_grad_(False)
    return model


TASKS = {
    "images": of(images, IMAGES),
    "gru": of(lambda: Recurrent(nn.GRU, 1), ROWS),
    "lstm": of(lambda: Recurrent(nn.LSTM, 2, 0.2), ROWS),
    "attention": of(Attention, WORDS),
    "a dict": Workload(
        "mine", Named, functional.cross_entropy, metric="accuracy", batch_size=7, validation=0.2, test=0.2,
        train={"words": WORDS, "numbers": NUMBERS, "target": CLASSES},
    ),
    "a frozen layer": of(frozen, NUMBERS),
}  # fmt: skip


def assert_compiled(engine: Vectorized) -> None:
    """It was compiled what was compared, and whole steps were taken where they could be."""
    assert engine.programs.obstacle is None
    found = [program for (key, *_), program in engine.programs._compiled.items() if key[0] == "gradients"]
    assert found
    assert None not in found


def compare(task: Workload, rules: list[tuple[str, float]], streams: tuple[Stream, ...], until: int) -> Vectorized:
    setups = [setup(rule, {"lr": rate}, streams[n % len(streams)]) for n, (rule, rate) in enumerate(rules)]
    loop, engine = Loop(task), Vectorized(task, "always")
    found, expected = engine.start(setups, training(task)), loop.start(setups, training(task))
    assert_agree(found, expected, 2)
    for trials in (found, expected):
        trials.keep([row for row in range(len(setups)) if row != 1])  # as at a rung
    assert_agree(found, expected, until)
    assert_compiled(engine)
    return engine


@pytest.mark.parametrize("name", TASKS)
def test_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_a_compiler()
    taken: list[int] = []
    original = vectorized.advance
    monkeypatch.setattr(vectorized, "advance", lambda *given: taken.append(len(given[4])) or original(*given))
    task = TASKS[name]
    masked = any(
        isinstance(part, nn.Dropout) or getattr(part, "dropout", 0)
        for part in fresh_model(task, ONE[0], training(task)).modules()
    )
    rules = [("sgd", 0.05), ("adam", 0.01), ("momentum", 0.02), ("adam", 0.003)]
    compare(task, rules, ONE if masked else SEVERAL, 12)
    assert sum(taken) == 12
    assert max(taken) > 1


SMALL = ("digits", "linear")
OTHERS = [
    pytest.param(name, marks=pytest.mark.slow)
    for name, task in workloads().items()
    if name not in SMALL and not task.experience
]


@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
def test_every_workload(name: str) -> None:
    needs_a_compiler()
    task = workload(name)
    # Rules that look at whole matrices take their steps apart from the gradients: with them nothing is in one call.
    fused = [("momentum", 0.5), ("adam", 0.4), ("sgd", 0.3), ("adam", 0.6)]
    apart = [(rule.name, 0.4) for rule in optimizers().values() if not rule.elementwise][:1]
    masked = any(isinstance(part, nn.Dropout) for part in fresh_model(task, ONE[0], training(task)).modules())
    for shares in (fused, [*fused[:2], *apart]) if name in SMALL else (fused,):
        rules = [(rule, optimizer(rule).space["lr"].value(share)) for rule, share in shares]
        compare(task, rules, ONE if masked else SEVERAL, STEPS)
