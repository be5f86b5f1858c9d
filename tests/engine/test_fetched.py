"""Examples that are fetched as batches need them: the same batches as from memory, from this process or others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from agreement import assert_agree, setup, training
from gradrace.engine.batches import Feed
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training
from gradrace.engine.vectorized import Vectorized
from gradrace.errors import WorkloadError
from gradrace.workloads import Workload
from gradrace.workloads._batch import tensors_of

INPUTS = torch.arange(40.0).view(20, 2) / 40
TARGETS = INPUTS.sum(1, keepdim=True)


class Stored(Dataset[Any]):
    """Examples as from a disk; each tells the process that read it."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return INPUTS[index], TARGETS[index]


class Readers(Stored):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.tensor([float(os.getpid()), 0.0]), TARGETS[index]


class Noisy(Stored):
    """Examples that are changed at random whenever they are read."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return INPUTS[index] + torch.randn(2), TARGETS[index]


class Flow(IterableDataset[Any]):
    """Examples that come one after another, and nobody knows how many."""

    def __init__(self, count: int = 20) -> None:
        self.count = count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter((INPUTS[n], TARGETS[n]) for n in range(self.count))


def task(train: Any, **changes: Any) -> Workload:
    settings = {"validation": (INPUTS[:6], TARGETS[:6]), "test": (INPUTS[:9], TARGETS[:9]), "batch_size": 4}
    model = changes.pop("model", lambda: nn.Linear(2, 1))
    return Workload("fetched", model, nn.functional.mse_loss, "mse", train, **{**settings, **changes})


def drawn(work: Workload, steps: range, seed: int = 0) -> list[Tensor]:
    batches = Feed(work, Training(100, work.batch_size)).batches((0, 0, seed))
    with torch.random.fork_rng():
        found = [tensors_of(batches.batch(step))[0] for step in steps]
    batches.rest()
    return found


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_those_from_memory(workers: int) -> None:
    memory = drawn(task((INPUTS, TARGETS)), range(1, 12))
    fetched = drawn(task(Stored(), workers=workers), range(1, 12))
    assert all(torch.equal(one, other) for one, other in zip(memory, fetched, strict=True))
    later = drawn(task(Stored(), workers=workers), range(9, 12))
    assert all(torch.equal(one, other) for one, other in zip(memory[8:], later, strict=True))


def test_worker_processes_read() -> None:
    readers = {int(reader) for batch in drawn(task(Readers(), workers=2), range(1, 7)) for reader in batch[:, 0]}
    assert len(readers) == 2
    assert os.getpid() not in readers


def test_changes_at_random_follow_from_stream_and_step() -> None:
    work = task(Noisy(), workers=0)
    one, again, other = drawn(work, range(1, 5)), drawn(work, range(3, 5)), drawn(work, range(1, 5), seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one[2:], again, strict=True))
    assert not torch.equal(one[0], other[0])


def test_a_flow_is_read_again_and_again() -> None:
    work = task(Flow(10), workers=0)
    assert work.sizes()["train"] is None
    found = drawn(work, range(1, 6))
    rows = [batch[:, 0].mul(20).round().int().tolist() for batch in found]
    assert rows == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert torch.equal(drawn(work, range(4, 5))[0], found[3])
    with pytest.raises(
        WorkloadError, match=r"train split of workload 'fetched' gives fewer examples than a batch of 4"
    ):
        drawn(task(Flow(3), workers=0), range(1, 2))


@pytest.mark.parametrize("train", [Stored(), Flow()], ids=["dataset", "flow"])
def test_both_engines_agree(train: Any) -> None:
    work = task(train, workers=0, test=Stored())
    setups = [setup(rule, {"lr": 0.1}, (0, 0, 0)) for rule in ("sgd", "adam")]
    loop, vectorized = (engine(work).start(setups, training(work)) for engine in (Loop, Vectorized))
    for trials in (vectorized, loop):
        assert trials.train(7)[0] > 0
    for split in ("validation", "test"):
        assert vectorized.evaluate(split).metric == pytest.approx(loop.evaluate(split).metric, rel=1e-9)
    if isinstance(train, Stored):
        assert_agree(vectorized, loop, 12)


def test_collating_to_something_else_is_told() -> None:
    work = task(Stored(), collate=len)
    with pytest.raises(WorkloadError, match="Batches of workload 'fetched' must be tuples or dicts of tensors, but"):
        drawn(work, range(1, 2))


@pytest.mark.parametrize("engine", [Loop, Vectorized])
def test_what_is_changed_at_random_is_evaluated_alike_and_leaves_the_caller_alone(engine: Any) -> None:
    """Batches of noise, a model whose buffers each trial owns: all draw, and nobody else's generator moves on."""
    work = task(
        Noisy(),
        model=lambda: nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)),
        validation=Noisy(),
        test=Noisy(),
        workers=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        before = torch.get_rng_state()
        trials = engine(work).start([setup("sgd", {"lr": 0.1}, (0, 0, 0))], training(work))
        trials.train(3)
        found = trials.evaluate("validation")
        assert trials.evaluate("validation") == found
        assert torch.equal(torch.get_rng_state(), before)
    assert trials.failures() == [None]
