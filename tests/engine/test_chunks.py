"""A block whose gradients are computed a few trials at a time trains as one in which they are computed at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agreement import assert_agree, assert_close, setup
from gradrace.engine.trial import Surroundings, Training, TrialSetup
from gradrace.engine.vectorized import Vectorized, VectorizedTrials
from gradrace.randomness import Stream
from gradrace.workloads import METRICS, Workload, workload

CHUNK, TRIALS, STEPS = 3, 7, 10  # two whole chunks, and one with two copies of the first trial
GENERATOR = torch.Generator().manual_seed(4)
INPUTS = torch.randn(96, 6, generator=GENERATOR)
TARGET = INPUTS[:, :1].sin() + 0.1 * torch.randn(96, 1, generator=GENERATOR)
ONE: tuple[Stream, ...] = ((0, 0, 1),)
SEVERAL: tuple[Stream, ...] = ((0, 0, 1), (0, 0, 2))
RULES = ("momentum",) * 4 + ("adam",) * 2 + ("lamb",)  # neighbours across chunks; and one that looks at whole tensors


def seven(streams: Sequence[Stream], rules: Sequence[str] = RULES) -> list[TrialSetup]:
    return [setup(rule, {"lr": 0.004 * (n + 1)}, streams[n % len(streams)]) for n, rule in enumerate(rules)]


def both(task: Workload, given: list[TrialSetup], **changes: Any) -> tuple[VectorizedTrials, VectorizedTrials]:
    engine = Vectorized(task)
    whole = Training(2 * STEPS, 8, dtype=torch.float64, **changes)
    return engine.start(given, replace(whole, chunk=CHUNK)), engine.start(given, whole)


def assert_alike(task: Workload, given: list[TrialSetup], **changes: Any) -> tuple[VectorizedTrials, VectorizedTrials]:
    """Train both ways, drop trials so that chunks are cut anew, and train on."""
    chunked, whole = both(task, given, **changes)
    assert [len(trials._at.slices) for trials in (chunked, whole)] == [3, 1]
    for until in (1, 4):
        assert_agree(chunked, whole, until, 1e-12)
    for trials in (chunked, whole):
        trials.keep([1, 3, 4, 6])
    assert len(chunked._at.slices) == 2
    assert_agree(chunked, whole, 7, 1e-12)
    for trials in (chunked, whole):
        trials.keep([0, 3])
    assert_agree(chunked, whole, STEPS, 1e-12)
    assert chunked.diverged_at() == [None, None]
    return chunked, whole


seeds = pytest.mark.parametrize("streams", [ONE, SEVERAL], ids=["one seed", "several seeds"])


@seeds
@pytest.mark.parametrize("name", ["linear", "digits"])
def test_workloads(name: str, streams: Sequence[Stream]) -> None:
    assert_alike(workload(name), seven(streams))


def own(model: Callable[[], nn.Module]) -> Workload:
    data = {"train": (INPUTS, TARGET), "validation": 0.2, "test": 0.2}
    return Workload("own", model, functional.mse_loss, metric="mae", batch_size=8, **data)


@seeds
def test_running_averages_of_a_batch_norm(streams: Sequence[Stream]) -> None:
    task = own(lambda: nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 1)))
    chunked, whole = assert_alike(task, seven(streams))
    found, expected = (trials._at.whole(trials._own) for trials in (chunked, whole))
    assert {name.rpartition(".")[2] for name in found} >= {"running_mean", "running_var"}
    for name, tensor in expected.items():
        assert_close(found[name].flatten().tolist(), tensor.flatten().tolist(), 1e-12)
    means = next(tensor for name, tensor in found.items() if name.endswith("running_mean"))
    assert not torch.equal(means[0], means[1])  # each trial has its own, that of its row


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1))


def test_every_chunk_draws_the_same_masks() -> None:
    assert_alike(own(with_dropout), seven(ONE))
    # One trial seven times over: masks of its own in any chunk would show.
    chunked, _ = both(own(with_dropout), [setup("adam", {"lr": 0.01}, ONE[0])] * TRIALS)
    losses = chunked.train(STEPS)
    assert_close(losses, losses[:1] * TRIALS, 1e-12)


class Clicks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 1)

    def forward(self, events: Tensor) -> Tensor:
        return self.linear(events)[:, 0]


@seeds
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_streams_are_scored_and_tested_alike(metric: str, streams: Sequence[Stream]) -> None:
    clicked = (INPUTS.sum(1) > 0).float()
    task = Workload(
        "clicks",
        Clicks,
        functional.binary_cross_entropy_with_logits,
        metric=metric,
        train=(INPUTS[:80], clicked[:80]),
        test=(INPUTS[80:], clicked[80:]),
        online=True,
        batch_size=8,
        steps=STEPS,
        others={"auc": METRICS["auc"].of},  # pyright: ignore[reportArgumentType]
    )
    chunked, whole = assert_alike(task, seven(streams))
    first = chunked.evaluate("test")
    assert first.others[1] == pytest.approx(whole.evaluate("test").others[1], rel=1e-12)
    again = chunked.evaluate("test")  # the chunks of what goes on through the test part are copies
    assert (again.metric, again.loss, again.others) == (first.metric, first.loss, first.others)


@seeds
def test_what_belongs_to_the_race(streams: Sequence[Stream]) -> None:
    around = [
        Surroundings(),
        Surroundings(clip_norm=0.1),
        Surroundings(decoupled_weight_decay=0.5),
        Surroundings(ema=0.9),
        Surroundings(warmup=0.3),
        Surroundings(warmup=0.1, clip_norm=1.0, decoupled_weight_decay=0.1, ema=0.99),
        Surroundings(ema=0.5),
    ]
    given = [replace(one, surroundings=it) for one, it in zip(seven(streams), around, strict=True)]
    assert_alike(workload("digits"), given, schedule="cosine", decay_biases=True)
    # Each of them moves the last, filled up chunk's trials: plain ones end elsewhere.
    ends = []
    for setups in (given, seven(streams)):
        trials = both(workload("digits"), setups, schedule="cosine")[0]
        trials.train(STEPS)
        ends.append(trials.evaluate("validation").loss)
    differ = [one != other for one, other in zip(*ends, strict=True)]
    assert differ == [False, True, True, True, True, True, True]


@pytest.mark.parametrize("chunk", [1, TRIALS, 2 * TRIALS])
def test_a_chunk_of_any_size(chunk: int) -> None:
    engine, given = Vectorized(workload("linear")), seven(SEVERAL)
    whole = Training(STEPS, 8, dtype=torch.float64)
    some = engine.start(given, replace(whole, chunk=chunk))
    assert len(some._at.memory) == -(-TRIALS // chunk) * chunk
    assert_agree(some, engine.start(given, whole), STEPS, 1e-12)


def test_divergence_in_a_chunk_is_that_trials_alone() -> None:
    given = [setup("sgd", {"lr": 1e30 if row in (0, 4) else 0.01}, ONE[0]) for row in range(TRIALS)]
    chunked, whole = both(workload("linear"), given)
    assert_agree(chunked, whole, STEPS, 1e-12)  # the first trial's copies fill the last chunk up
    assert [row for row, step in enumerate(chunked.diverged_at()) if step is not None] == [0, 4]


def test_nothing_may_be_left() -> None:
    for task in (workload("linear"), own(lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 1)))):
        for trials in both(task, seven(SEVERAL)):
            trials.train(2)
            trials.keep([])
            assert (trials.diverged_at(), trials.failures(), len(trials._at.memory)) == ([], [], 0)
