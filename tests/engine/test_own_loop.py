"""Training loops of users' own, and what each may do wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from agreement import assert_close, setup
from gradrace.engine.loop import Loop
from gradrace.engine.own_loop import OwnLoop
from gradrace.engine.trial import Surroundings, Training, TrialSetup, fresh_model
from gradrace.optimizers import find
from gradrace.workloads import StopTraining, Workload, reporting

INPUTS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = INPUTS.sum(1, keepdim=True)
STREAM = (0, 0, 0)


def workload(train: Callable[..., Any], **changes: Any) -> Workload:
    return Workload.from_training_loop("own", train, "loss", **{"steps": 10, **changes})


def start(work: Workload, *setups: TrialSetup, **training: Any) -> Any:
    return OwnLoop(work).start(setups or [setup("sgd", {"lr": 0.1}, STREAM)], Training(10, 1, **training))


FULL_BATCH = Workload(
    "same",
    lambda: nn.Linear(3, 1),
    nn.functional.mse_loss,
    "mse",
    (INPUTS, TARGETS),
    (INPUTS, TARGETS),
    (INPUTS, TARGETS),
    batch_size=12,
)


def same(make_optimizer: Any, seed: int, with_closure: bool = False) -> Iterator[Any]:
    """What the engine does with the workload above, as a user would write it."""
    model = fresh_model(FULL_BATCH, STREAM, Training(10, 12, dtype=torch.float64))
    optimizer = make_optimizer(model.parameters())

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(INPUTS), TARGETS)
        loss.backward()
        return loss

    for step in range(1, 11):
        if with_closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        yield step, {"loss": nn.functional.mse_loss(model(INPUTS), TARGETS).item()}


AROUND = [
    (Surroundings(), "constant"),
    (Surroundings(warmup=0.3, clip_norm=0.5), "cosine"),
    (Surroundings(decoupled_weight_decay=0.5), "linear"),
]


@pytest.mark.parametrize("with_closure", [False, True])
@pytest.mark.parametrize(("around", "schedule"), AROUND)
@pytest.mark.parametrize("rule", ["sgd", "adam", "torch.optim.NAdam"])
def test_a_loop_of_ones_own_trains_as_the_engine_does(
    rule: str, around: Surroundings, schedule: Any, with_closure: bool
) -> None:
    found = find(rule, ["lr"])
    trial = TrialSetup(found, found.configure({"lr": 0.05}), found.with_options({}), STREAM, around)
    own = start(workload(partial(same, with_closure=with_closure)), trial, schedule=schedule)
    loop = Loop(FULL_BATCH).start([trial], Training(10, 12, schedule, dtype=torch.float64))
    for until in (1, 4, 10):
        own.train(until)
        loop.train(until)
        assert own.failures() == [None]
        assert_close(own.evaluate("validation").metric, loop.evaluate("validation").metric, 1e-7)


def noisy(make_optimizer: Any, seed: int) -> Iterator[Any]:
    for step in range(1, 11):
        assert torch.is_grad_enabled()
        with torch.no_grad():
            yield step, {"loss": torch.rand(()).item() + random.random() + numpy.random.rand(), "seed": seed}


def test_global_generators_are_each_trials_own_and_the_callers_stay() -> None:
    torch.manual_seed(5)
    random.seed(5)
    before = torch.get_rng_state(), random.getstate()
    alone = start(workload(noisy))
    alone.train(10)
    trials = start(workload(noisy), *[setup("sgd", {}, (0, 0, seed)) for seed in (0, 1)])
    for until in (2, 3, 10):  # the two take turns
        trials.train(until)
    values = trials.evaluate("validation").metric
    assert values[0] == alone.evaluate("validation").metric[0] != values[1]
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert torch.is_grad_enabled()


def test_steps_may_be_told_now_and_then_and_end_early() -> None:
    def rare(make_optimizer: Any, seed: int) -> Iterator[Any]:
        yield from ((step, {"loss": 1 / step, "test": 2 / step}) for step in (3, 8))

    trials = start(workload(rare, test_metric="test"))
    for until, loss in ((1, 1 / 3), (3, 1 / 3), (4, 1 / 8), (10, 1 / 8)):
        trials.train(until)
        assert trials.evaluate("validation").metric == [loss]
    assert trials.evaluate("test").metric == [2 / 8]
    assert trials.failures() == [None]


@pytest.mark.parametrize("with_callback", [False, True])
def test_a_dropped_trial_is_told_to_stop(with_callback: bool) -> None:
    ended = []

    def generator(make_optimizer: Any, seed: int) -> Iterator[Any]:
        try:
            for step in range(1, 100):
                yield step, {"loss": 1.0}
        finally:
            ended.append(seed)

    @reporting
    def callback(make_optimizer: Any, seed: int, report: Any) -> None:
        try:
            for step in range(1, 100):
                report(step, {"loss": 1.0})
        except StopTraining:
            ended.append(seed)
            raise

    trials = start(
        workload(callback if with_callback else generator), *[setup("sgd", {}, (0, 0, seed)) for seed in (0, 1)]
    )
    trials.train(3)
    trials.keep([1])
    assert len(ended) == 1
    trials.train(5)
    assert trials.failures() == [None]
    trials.keep([])
    assert len(set(ended)) == 2


def test_a_diverged_trial_is_one() -> None:
    def diverging(make_optimizer: Any, seed: int) -> Iterator[Any]:
        yield from ((step, {"loss": 1.0 if step < 4 else float("nan")}) for step in range(1, 11))

    trials = start(workload(diverging))
    trials.train(10)
    assert trials.diverged_at() == [4]


def yields(*reports: Any) -> Callable[..., Any]:
    return lambda make_optimizer, seed: iter(reports)


def raises(make_optimizer: Any, seed: int) -> Iterator[Any]:
    yield 1, {"loss": 1.0}
    raise OSError("the disk is gone")


@reporting
def raises_in_its_thread(make_optimizer: Any, seed: int, report: Any) -> None:
    report(1, {"loss": 1.0})
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (
            yields((5, {"loss": 1.0}), (4, {"loss": 1.0})),
            "The training loop of workload 'own' yielded step 4 after step 5; steps are whole numbers that never go",
        ),
        (yields((1, {"lost": 1.0})), "The training loop of workload 'own' yielded ['lost'] at step 1, without 'loss'."),
        (yields(3), "The training loop of workload 'own' must yield (step, {metric: value}), but yielded 3."),
        (yields(), "The training loop of workload 'own' ended without yielding anything."),
        (lambda make_optimizer, seed: None, "must yield (step, metrics), but returned NoneType."),
        (raises, "OSError: the disk is gone"),
        (raises_in_its_thread, "OSError: the disk is gone"),
    ],
)
def test_what_a_loop_does_wrong_is_told(train: Callable[..., Any], sentence: str) -> None:
    trials = start(workload(train))
    trials.train(10)
    (failure,) = trials.failures()
    assert sentence in failure
