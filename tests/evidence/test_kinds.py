"""The kind of a task is read off the workload, without touching the caller's generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradrace.workloads import Workload, workload
from gradrace.workloads._kinds import Kind, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("digits", Kind.PLAIN),
        ("linear", Kind.PLAIN),
        ("images", Kind.CONVOLUTIONS),
        ("forecast", Kind.RECURRENT),
        ("language", Kind.IDS),
        ("rare-words", Kind.IDS),
        ("clicks", Kind.STREAM),
        ("drift", Kind.STREAM),
        ("game", Kind.INTERACTION),
    ],
)
def test_built_in_workloads_have_their_kind(name: str, kind: Kind) -> None:
    assert kind_of(workload(name)) is kind


def test_the_first_kind_that_fits_is_taken_and_no_random_number_is_spent() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Embedding(5, 3), nn.GRU(3, 2), nn.Linear(2, 1))

    data = (torch.zeros(4, 1, dtype=torch.int64), torch.zeros(4, 1))
    task = Workload("own", model=model, loss=functional.mse_loss, train=data, validation=data, test=data)
    before = torch.random.get_rng_state()
    assert kind_of(task) is Kind.RECURRENT  # embeddings feed it, but it is a recurrent network
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_training_loop_of_ones_own_shows_no_kind() -> None:
    task = Workload.from_training_loop("own", lambda make, seed: iter(()), metric="loss", steps=10)
    assert kind_of(task) is None
