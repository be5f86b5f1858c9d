"""Optimizers that evaluate a model with other parameters than they train: both engines do, and go on training."""

from __future__ import annotations

import pytest
import torch

from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, Trials, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.optimizers import optimizer
from gradrace.workloads import workload

ENGINES = pytest.mark.parametrize("engine", [Loop, Vectorized], ids=["loop", "vectorized"])
NAMES = pytest.mark.parametrize("name", ["schedulefree_sgd", "schedulefree_adamw"])
TRAINING = Training(steps=50, batch_size=32, schedule="cosine", dtype=torch.float64)


def setups(name: str) -> list[TrialSetup]:
    """Three trials of an averaging optimizer, one of them with warm-up, and one trial of SGD."""
    rule, sgd = optimizer(name), optimizer("sgd")
    hypers = [{"lr": 0.01}, {"lr": 0.3}, {"lr": 0.1, "warmup_steps": 10.0, "weight_decay": 0.01}]
    made = [TrialSetup(rule, rule.configure(hyper), rule.with_options({}), (1, 0, 0)) for hyper in hypers]
    return [*made, TrialSetup(sgd, sgd.configure({"lr": 0.1}), {}, (1, 0, 0))]


def scores(trials: Trials) -> torch.Tensor:
    found = trials.evaluate("validation")
    return torch.tensor([found.metric, found.loss], dtype=torch.float64)


@NAMES
def test_both_engines_evaluate_with_the_same_parameters(name: str) -> None:
    loop, vectorized = (engine(workload("linear")).start(setups(name), TRAINING) for engine in (Loop, Vectorized))
    for until in (0, 1, 2, 25, 50):
        losses = [torch.tensor(trials.train(until), dtype=torch.float64) for trials in (loop, vectorized)]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-9, atol=0)
        torch.testing.assert_close(scores(vectorized), scores(loop), rtol=1e-9, atol=0)


@ENGINES
@NAMES
def test_evaluating_leaves_the_training_as_it_was(name: str, engine: type[Loop] | type[Vectorized]) -> None:
    watched, alone = (engine(workload("linear")).start(setups(name), TRAINING) for _ in range(2))
    for until in (10, 20, 30):
        watched.train(until)
        assert torch.equal(scores(watched), scores(watched))
    alone.train(10)
    alone.train(20)
    alone.train(30)
    assert torch.equal(scores(watched), scores(alone))
    assert watched.train(31) == alone.train(31)


@ENGINES
def test_what_is_evaluated_is_the_average_of_the_fast_weights(engine: type[Loop] | type[Vectorized]) -> None:
    # At momentum close to 0 the fast weights themselves are trained, so the loss of training is SGD's; the average of
    # the way is elsewhere, and is what counts.
    rule, sgd = optimizer("schedulefree_sgd"), optimizer("sgd")
    training = Training(steps=30, batch_size=32, dtype=torch.float64)
    trials = engine(workload("linear")).start(
        [
            TrialSetup(rule, rule.configure({"lr": 0.1, "momentum": 1e-4}), {}, (1, 0, 0)),
            TrialSetup(sgd, sgd.configure({"lr": 0.1}), {}, (1, 0, 0)),
        ],
        training,
    )
    one, other = trials.train(30)
    assert one == pytest.approx(other, rel=1e-2)
    average, last = trials.evaluate("validation").loss
    assert average > 1.3 * last  # the way down from the start counts in full


@ENGINES
def test_dropped_rows_take_their_averages_along(engine: type[Loop] | type[Vectorized]) -> None:
    trials = engine(workload("linear")).start(setups("schedulefree_adamw"), TRAINING)
    trials.train(10)
    before = scores(trials)
    trials.keep([1, 3])
    torch.testing.assert_close(scores(trials), before[:, [1, 3]], rtol=1e-12, atol=0)
