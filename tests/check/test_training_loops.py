"""What is told of a training loop of one's own: one broken loop for each thing that can be wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from gradrace.check import LOOP_CHECKS, check_workload
from gradrace.check.findings import ran
from gradrace.workloads import Workload

counter = itertools.count()


def good(make_optimizer: Any, seed: int) -> Iterator[Any]:
    weight = torch.randn(3, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    optimizer = make_optimizer([weight])
    for step in range(1, 41):
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        optimizer.step()
        yield step, {"loss": loss.item(), "gain": -loss.item()}


def unseeded(make_optimizer: Any, seed: int) -> Iterator[Any]:
    yield from ((step, {"loss": values["loss"] + next(counter)}) for step, values in good(make_optimizer, seed))


def always_the_same(make_optimizer: Any, seed: int) -> Iterator[Any]:
    return good(make_optimizer, 0)


def backwards(make_optimizer: Any, seed: int) -> Iterator[Any]:
    yield from ((9 - step, values) for step, values in good(make_optimizer, seed))


def workload(train: Callable[..., Any] = good, metric: str = "loss", **changes: Any) -> Workload:
    return Workload.from_training_loop("own", train, metric, **{"steps": 40, **changes})


def test_a_good_loop_passes() -> None:
    found = check_workload(workload())
    assert [finding.check for finding in found] == list(LOOP_CHECKS)
    assert all(finding.passed for finding in found)


@pytest.mark.parametrize(
    ("check", "task", "sentence"),
    [
        ("reports", workload(backwards), "yielded step 7 after step 8; steps are whole numbers that never go back."),
        ("reports", workload(metric="acc"), "yielded ['gain', 'loss'] at step 1, without 'acc'."),
        ("repeats", workload(unseeded), "something random does not follow from seed."),
        ("repeats", workload(always_the_same), "Another seed gives the same values, so that seeds would not show luck"),
        ("learning", workload(metric="gain"), "'gain' should fall, but goes from"),
    ],
)
def test_what_a_loop_does_wrong_is_told(check: str, task: Workload, sentence: str) -> None:
    (found,) = ran(check, LOOP_CHECKS[check], task)
    assert not found.passed
    assert sentence in found.sentence
