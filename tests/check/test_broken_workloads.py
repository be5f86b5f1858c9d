"""One broken workload for each thing that can be wrong, and the sentence that says so."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.check import WORKLOAD_CHECKS, check_workload
from gradrace.check.findings import ran
from gradrace.check.workloads import other_randomness
from gradrace.workloads import Workload


def examples(count: int, seed: int) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3


def task(**changes: Any) -> Workload:
    return Workload(
        **{
            "name": "stranger",
            "model": lambda: nn.Linear(3, 1),
            "train": examples(64, 1),
            "validation": examples(20, 2),
            "test": examples(20, 3),
            "loss": functional.mse_loss,
            "metric": "mse",
            "batch_size": 16,
            "steps": 60,
            **changes,
        }
    )


def linear(fill: Any) -> nn.Linear:
    model = nn.Linear(3, 1)
    with torch.no_grad():
        fill(model.weight)
        model.bias.zero_()
    return model


SHARED = nn.Linear(3, 1)
counter = itertools.count()


class Spare(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(3, 1), nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.used(inputs)


def seeded() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def accuracy_of_sign(output: Tensor, target: Tensor) -> Tensor:
    return ((output > 0) == (target > 0)).double().mean()


def drawn() -> Any:
    return examples(64, next(counter)), examples(20, 2), examples(20, 3)


def missing() -> Any:
    raise FileNotFoundError("no data today")


def fails(output: Tensor, target: Tensor) -> Tensor:
    raise ValueError("no loss today")


def overlapping() -> Any:
    inputs, target = examples(64, 1)
    return (inputs, target), (inputs[:5], target[:5]), examples(20, 3)


BROKEN: dict[str, tuple[Workload, str, str]] = {
    "data that raise": (
        Workload("s", lambda: SHARED, functional.mse_loss, "mse", data=missing),
        "data",
        "Workload 's' could not load its data",
    ),
    "data drawn anew": (
        task(train=None, validation=None, test=None, data=drawn),
        "data",
        "The train split differs from one loading to the next",
    ),
    "splits that overlap": (
        task(train=None, validation=None, test=None, data=overlapping),
        "splits",
        "5 of the 5 examples of the validation split are also in the train split.",
    ),
    "one model for all": (
        task(model=lambda: SHARED),
        "initial weights",
        "The model function returns the same model again",
    ),
    "weights from numpy": (
        task(model=lambda: linear(lambda w: w.copy_(torch.tensor(np.random.standard_normal((1, 3)))))),
        "initial weights",
        "Initial weights differ though the seed is the same",
    ),
    "weights of its own seed": (task(model=seeded), "initial weights", "Initial weights are the same for every seed"),
    "weights of zero": (
        task(model=lambda: linear(lambda w: w.zero_())),
        "initial weights",
        "Initial weights are the same for every seed",
    ),
    "batch larger than the data": (
        task(batch_size=65),
        "batches",
        "batch_size is 65, but there are only 64 examples to train on.",
    ),
    "loss of many numbers": (
        task(loss=lambda o, t: functional.mse_loss(o, t, reduction="none")),
        "start",
        "The loss must be a tensor of shape (), but is (16, 1).",
    ),
    "infinite loss": (
        task(loss=lambda o, t: (o - t).abs().mean() / 0),
        "start",
        "The loss before the first step is inf; it must be finite.",
    ),
    "detached loss": (
        task(loss=lambda o, t: functional.mse_loss(o.detach(), t)),
        "start",
        "The loss does not depend on the model's parameters",
    ),
    "spare layer": (task(model=Spare), "start", "The parameter 'spare.weight' does not take part in the loss"),
    "infinite gradient": (
        task(loss=lambda o, t: ((o - o.detach()).abs() + 0).sqrt().sum()),
        "start",
        "The first gradient of 'weight' is not finite.",
    ),
    "wrong direction": (
        task(metric=accuracy_of_sign, direction="min"),
        "learning",
        "The metric moves the wrong way: with direction 'min' training should lower it",
    ),
    "loss that rises": (
        task(loss=lambda o, t: functional.mse_loss(o, t) + (o - o.detach()).sum() * 0 + next(counter)),
        "learning",
        "Training does not lower the loss",
    ),
    "metric that is NaN": (
        task(metric=lambda o, t: o.sum() * torch.nan, direction="min"),
        "learning",
        "The metric is nan before and nan after training; it must be finite.",
    ),
    "loss that raises": (task(loss=fails), "learning", "no loss today"),
    "loss that remembers": (
        task(loss=lambda o, t: functional.mse_loss(o, t) * (1 + next(counter) % 7)),
        "engines",
        "the vectorized engine and the loop engine differ by more than 1e-9",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(what: str) -> None:
    workload, check, sentence = BROKEN[what]
    found = ran(check, WORKLOAD_CHECKS[check], workload)
    assert not any(finding.passed for finding in found)
    assert sentence in " ".join(finding.sentence for finding in found)


def test_a_good_workload_passes() -> None:
    found = check_workload(task())
    assert [finding.check for finding in found] == list(WORKLOAD_CHECKS)
    assert all(finding.passed and not finding.sentence for finding in found)


def test_what_the_vectorized_engine_cannot_train_is_no_failure() -> None:
    class Branching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) if self.weight.sum() > 1e9 else super().forward(2 * input)

    (found,) = ran("engines", WORKLOAD_CHECKS["engines"], task(model=lambda: Branching(3, 1)))
    assert found.passed
    assert "not vectorized, so it is trained by the loop engine alone" in found.sentence


def test_data_of_few_values_repeat_and_are_no_leak() -> None:
    def few(count: int, seed: int) -> tuple[Tensor, Tensor]:
        bits = torch.randint(0, 2, (count, 3), generator=torch.Generator().manual_seed(seed)).float()
        return bits, bits.sum(1, keepdim=True)

    workload = task(train=few(64, 1), validation=few(20, 2), test=few(20, 3))
    assert WORKLOAD_CHECKS["splits"](workload) == []


def test_data_that_cannot_be_loaded_end_the_list_and_this_is_said() -> None:
    found = check_workload(BROKEN["data that raise"][0])
    assert [finding.check for finding in found] == ["data", "the rest"]
    assert "6 checks were not tried: splits, initial weights" in found[1].sentence


def test_all_problems_of_a_workload_are_told() -> None:
    found = {
        f.check
        for f in check_workload(task(model=seeded, batch_size=65, metric=accuracy_of_sign, direction="min"))
        if not f.passed
    }
    assert found == {"initial weights", "batches", "learning"}


def test_generators_are_left_as_they_were() -> None:
    before = torch.get_rng_state(), repr(np.random.get_state())
    with other_randomness(5):
        assert torch.rand(3).shape == np.random.rand(3).shape
    check_workload(task(model=seeded))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
