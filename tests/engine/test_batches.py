"""Batches: a new permutation for each epoch, from the stream and the step alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradrace.engine.batches import Batches, Feed
from gradrace.engine.trial import Training
from gradrace.randomness import Stream
from gradrace.workloads import Workload
from gradrace.workloads._batch import on_device, tensors_of

EXAMPLES = 20


def batches(stream: Stream = (0, 0, 0), size: int = 5, training: Training | None = None) -> Batches:
    data = (torch.zeros(EXAMPLES, 2), torch.zeros(EXAMPLES, 1))
    task = Workload("own", lambda: nn.Linear(2, 1), nn.functional.mse_loss, "mse", data, data, data)
    return Feed(task, training or Training(100, size)).batches(stream)


def steps(found: Batches, first: int, last: int) -> list[list[int]]:
    return [found.indices(step).tolist() for step in range(first, last + 1)]


def joined(found: Batches, first: int, last: int) -> list[int]:
    return [row for batch in steps(found, first, last) for row in batch]


def test_an_epoch_holds_every_example_once_in_an_order_of_its_own() -> None:
    found = batches()
    epochs = [joined(found, first, first + 3) for first in (1, 5, 9)]
    assert all(sorted(epoch) == list(range(EXAMPLES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(EXAMPLES)]}) == 4


def test_what_does_not_fill_a_batch_waits_for_another_epoch() -> None:
    found = batches(size=8)
    epochs = [joined(found, first, first + 1) for first in range(1, 21, 2)]
    assert all(len(set(epoch)) == 16 for epoch in epochs)
    left_out = [set(range(EXAMPLES)) - set(epoch) for epoch in epochs]
    assert set.intersection(*left_out) == set()  # nobody waits for ever


def test_a_batch_is_a_function_of_stream_and_step() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.get_rng_state()
        expected = steps(batches(), 1, 12)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        found = batches(training=Training(7, 5, "cosine", dtype=torch.float64))
        assert [found.indices(step).tolist() for step in (12, 3, 1, 9, 3)] == [
            expected[n - 1] for n in (12, 3, 1, 9, 3)
        ]


@pytest.mark.parametrize("stream", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_other_streams_have_other_batches(stream: Stream) -> None:
    assert steps(batches(stream), 1, 1) != steps(batches(), 1, 1)
    assert steps(batches(stream), 1, 4) != steps(batches(), 1, 4)


def test_a_split_smaller_than_a_batch_is_the_batch() -> None:
    found = batches(size=64)
    assert found.size == EXAMPLES
    assert all(sorted(batch) == list(range(EXAMPLES)) for batch in steps(found, 1, 3))


def test_numbers_take_the_dtype_of_the_trials_and_classes_stay() -> None:
    given = (torch.zeros(2, dtype=torch.float32), torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.bool))
    found = on_device(given, "cpu", torch.float64)
    assert [tensor.dtype for tensor in tensors_of(found)] == [torch.float64, torch.int64, torch.bool]
