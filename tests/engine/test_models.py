"""Models and batches of every kind that users have: both engines train them alike, in float64 to 1e-9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agreement import assert_agree, setup, training
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, Trials
from gradrace.engine.vectorized import Vectorized
from gradrace.randomness import Stream
from gradrace.workloads import Metric, Workload

GENERATOR = torch.Generator().manual_seed(7)
IMAGES = torch.randn(60, 1, 8, 8, generator=GENERATOR)
WORDS = torch.randint(0, 30, (60, 6), generator=GENERATOR)
NUMBERS = torch.randn(60, 6, generator=GENERATOR)
CLASSES = torch.randint(0, 4, (60,), generator=GENERATOR)
STEPS = 12
SEVERAL: tuple[Stream, ...] = ((0, 0, 1), (0, 0, 2))
ONE: tuple[Stream, ...] = ((0, 0, 0),)


def classify(model: Callable[[], nn.Module], *inputs: Tensor, **changes: Any) -> Workload:
    data = {"train": (*inputs, CLASSES), "validation": 0.2, "test": 0.2}
    settings = {"loss": functional.cross_entropy, "metric": "accuracy", "batch_size": 7, **data}
    return Workload("mine", model, **{**settings, **changes})


def convolutions() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 4))


def batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.BatchNorm1d(8),
        nn.Linear(8, 4),
    )


def embeddings() -> nn.Module:
    return nn.Sequential(nn.Embedding(30, 5), nn.Flatten(), nn.Linear(30, 4))


class Attention(nn.Module):
    """One head of attention in its math form, over words with learnt places."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(30, 8), nn.Parameter(0.1 * torch.randn(6, 8))
        self.mixed, self.norm, self.last = nn.Linear(8, 24), nn.LayerNorm(8), nn.Linear(8, 4)
        self.register_buffer("mask", torch.full((6, 6), -torch.inf).triu(1))

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words) + self.places
        query, key, value = self.mixed(self.norm(x)).chunk(3, dim=-1)
        weights = (query @ key.transpose(-2, -1) / 8**0.5 + self.mask).softmax(-1)
        return self.last((x + weights @ value).mean(1))


class LibraryAttention(nn.Module):
    """PyTorch's own layer, whose attention is a fused kernel outside of vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.last = nn.Linear(8, 4)

    def forward(self, words: Tensor) -> Tensor:
        return self.last(self.layer(self.words(words)).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(1, 6, batch_first=True), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.gru(x.unsqueeze(-1))[0][:, -1])


class Tied(nn.Module):
    """The embedding's weights are the last layer's too."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(30, 5), nn.Linear(5, 30, bias=False)
        self.last.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.last(self.words(words).mean(1))[:, :4]


def frozen() -> nn.Module:
    """A fresh random first layer that is not trained: it differs from seed to seed, and trials must keep theirs."""
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 4))
    model[0].requires_grad_(False)
    return model


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.numbers = nn.Embedding(30, 4), nn.Linear(6, 4)

    def forward(self, words: Tensor, numbers: Tensor) -> Tensor:
        return self.words(words).mean(1) + self.numbers(numbers)


class Counting(nn.Module):
    """Has a buffer that it replaces, and one that nobody changes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("scale", torch.full((6,), 0.5))

    mean: Tensor
    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.linear((x - self.mean) * self.scale)


def dictionaries() -> dict[str, Tensor]:
    return {"words": WORDS, "numbers": NUMBERS, "target": CLASSES}


def penalised(model: Any, batch: Any) -> Tensor:
    """A loss that looks into the model."""
    words, numbers, target = batch
    loss = functional.cross_entropy(model(words, numbers), target)
    return loss + 0.01 * model.words.weight.square().sum() + 0.1 * model.numbers(numbers).square().mean()


def autoencoder() -> Workload:
    def loss(model: Any, batch: Any) -> Tensor:
        (numbers,) = batch
        return functional.mse_loss(model(numbers), numbers)

    return Workload(
        "mine", lambda: nn.Linear(6, 6), loss_of_model=loss, train=NUMBERS, validation=0.2, test=0.2, batch_size=7
    )


TASKS = {
    "convolutions": classify(convolutions, IMAGES),
    "batch norm": classify(batch_norm, IMAGES),
    "embeddings": classify(embeddings, WORDS),
    "attention": classify(Attention, WORDS),
    "library attention": classify(LibraryAttention, WORDS),
    "recurrent": classify(Recurrent, NUMBERS),
    "tied weights": classify(Tied, WORDS),
    "frozen layer": classify(frozen, NUMBERS),
    "several inputs": classify(TwoInputs, WORDS, NUMBERS),
    "a dict": classify(TwoInputs, train=dictionaries()),
    "a changed buffer": classify(Counting, NUMBERS),
    "loss of the model": classify(TwoInputs, WORDS, NUMBERS, loss=None, loss_of_model=penalised),
    "no target": autoencoder(),
    "further metrics": classify(
        convolutions, IMAGES, others={"first": lambda output, target: output[:, 0].mean(), "n": lambda o, t: t.sum()}
    ),
    "predictions": classify(embeddings, WORDS, predict=lambda model, batch: 2 * model(batch[0]).softmax(-1)),
    "metric of the loss": classify(embeddings, WORDS, metric="perplexity"),
    "metric of one's own": classify(
        embeddings, WORDS, metric=Metric("hardest", lambda o, t: functional.cross_entropy(o, t, reduction="none").max())
    ),
}


def both(task: Workload, streams: tuple[Stream, ...], steps: Training | None = None) -> list[Trials]:
    rates = {"sgd": 0.05, "adam": 0.01}
    setups = [setup(rule, {"lr": rate}, stream) for rule, rate in rates.items() for stream in streams]
    return [engine(task).start(setups, steps or training(task)) for engine in (Loop, Vectorized)]


@pytest.mark.parametrize("streams", [ONE, SEVERAL], ids=["one stream", "several streams"])
@pytest.mark.parametrize("name", TASKS)
def test_both_engines_agree(name: str, streams: tuple[Stream, ...]) -> None:
    task = TASKS[name]
    loop, vectorized = both(task, streams)
    assert_agree(vectorized, loop, 3)
    for trials in (loop, vectorized):
        trials.keep([row for row in range(2 * len(streams)) if row != 1])  # as at a rung
    assert_agree(vectorized, loop, STEPS)
    found, expected = vectorized.evaluate("test").others, loop.evaluate("test").others
    assert [sorted(row) for row in found] == [sorted(task.others)] * len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def only_evaluated(model: Any, batch: Any) -> Tensor:
    assert not model.training
    return model(batch[0])


@pytest.mark.parametrize("engine", [Loop, Vectorized])
def test_training_makes_no_predictions(engine: type[Loop] | type[Vectorized]) -> None:
    task = classify(embeddings, WORDS, predict=only_evaluated)
    trials = engine(task).start([setup("sgd", {}, (0, 0, 0))], training(task))
    trials.train(2)
    assert trials.failures() == [None]
    assert 0 <= trials.evaluate("validation").metric[0] <= 1


def test_dropout_draws_the_same_masks_in_both() -> None:
    task = classify(lambda: nn.Sequential(nn.Linear(6, 20), nn.Dropout(0.5), nn.Linear(20, 4)), NUMBERS)
    loop, vectorized = both(task, ONE)
    assert_agree(vectorized, loop, STEPS)


def test_running_statistics_are_each_trials_own() -> None:
    engine = Vectorized(classify(batch_norm, IMAGES))
    setups = [setup("sgd", {"lr": rate}, (0, 0, 0)) for rate in (0.001, 0.5)]
    trials = engine.start(setups, training(engine.workload))
    trials.train(20)
    names = ["1.running_mean", "1.running_var", "1.num_batches_tracked", "5.running_mean", "5.running_var"]
    (own,) = trials._own
    assert set(own) == {*names, "5.num_batches_tracked"}
    assert own["1.num_batches_tracked"].tolist() == [20, 20]
    assert not torch.equal(*own["5.running_mean"])


def test_what_no_trial_changes_is_held_once() -> None:
    trials = Vectorized(TASKS["attention"]).start([setup("sgd", {}, (0, 0, 0))], training(TASKS["attention"]))
    assert trials._own == [{}]  # the mask is the same for all
    trials = Vectorized(TASKS["a changed buffer"]).start([setup("sgd", {}, (0, 0, 0))], training(TASKS["a dict"]))
    assert [list(own) for own in trials._own] == [["mean"]]


def test_a_device_of_whatever_kind_is_there() -> None:
    """On a machine with CUDA the models are there; everywhere the two engines agree to float32's precision."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loop, vectorized = both(TASKS["convolutions"], SEVERAL, Training(20, 7, device=device))
    assert_agree(vectorized, loop, 5, 1e-4)


class Sentences(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Lists of words of unequal length; the class is whether word 3 is in them."""

    def __init__(self, count: int, seed: int, lengths: tuple[int, int] = (2, 9)) -> None:
        generator = torch.Generator().manual_seed(seed)
        sizes = torch.randint(*lengths, (count,), generator=generator).tolist()
        self.items = [torch.randint(1, 6, (size,), generator=generator) for size in sizes]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.items[index], int((self.items[index] == 3).any())


def padded(items: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    words = nn.utils.rnn.pad_sequence([words for words, _ in items], batch_first=True)
    return {"words": words, "mask": words > 0, "target": torch.tensor([label for _, label in items])}


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(6, 5), nn.Linear(5, 2)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        return self.last((self.words(words) * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True))


def sentences(**changes: Any) -> Workload:
    data = {"train": Sentences(60, 1), "validation": Sentences(20, 2), "test": Sentences(20, 3)}
    settings = {"loss": functional.cross_entropy, "metric": "accuracy", "collate": padded, "batch_size": 6, **data}
    return Workload("sentences", **{"model": Bag, **settings, **changes})


def test_sentences_of_unequal_length() -> None:
    loop, vectorized = both(sentences(), ONE)
    assert_agree(vectorized, loop, 3)
    assert_agree(vectorized, loop, STEPS)


def test_endlessly_new_shapes_are_not_traced_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradrace.engine.programs.MOST_PROGRAMS", 3)
    engine = Vectorized(sentences(train=Sentences(300, 1, (1, 300)), batch_size=2))
    engine.start([setup("sgd", {}, (0, 0, 0))], training(engine.workload)).train(8)
    traced = [key for key, *_ in engine.programs._traced if key[0] == "gradients"]
    assert len(traced) == 3


def test_outputs_of_unequal_shape_are_scored_batch_by_batch() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.last = nn.Embedding(6, 5), nn.Linear(5, 2)

        def forward(self, words: Tensor, mask: Tensor) -> Tensor:
            return self.last(self.words(words)).movedim(-1, 1)

    def tagged(items: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
        batch = padded(items)
        return {**batch, "target": (batch["words"] % 2).masked_fill(~batch["mask"], -100)}

    task = sentences(
        model=Tagger, collate=tagged, metric=lambda o, t: (o.argmax(1) == t).double().mean(), direction="max"
    )
    loop, vectorized = both(task, ONE)
    assert_agree(vectorized, loop, STEPS)
