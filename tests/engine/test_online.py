"""Streams: each batch is scored before it is learnt, and the test part goes on where training stood."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from agreement import assert_agree, assert_close, setup, training
from gradrace.engine.loop import Loop
from gradrace.engine.vectorized import Vectorized
from gradrace.errors import SpecError
from gradrace.workloads import METRICS, Metric, Workload

GENERATOR = torch.Generator().manual_seed(3)
EVENTS = torch.randn(120, 4, generator=GENERATOR)
CLICKS = (EVENTS.sum(1) + 0.5 * torch.randn(120, generator=GENERATOR) > 0).float()
BATCH, STEPS, LATER = 8, 10, 5  # ten batches to learn, five to test; the last of the 80 events is number 79

auc = METRICS["auc"].of


class Clicks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, events: Tensor) -> Tensor:
        return self.linear(events)[:, 0]


def stream(metric: str | Metric = "loss", **changes: Any) -> Workload:
    assert auc is not None
    settings = {
        "train": (EVENTS[:80], CLICKS[:80]),
        "test": (EVENTS[80:], CLICKS[80:]),
        "loss": functional.binary_cross_entropy_with_logits,
        "online": True,
        "batch_size": BATCH,
        "steps": STEPS,
        "others": {"auc": auc},
    }
    return Workload("clicks", Clicks, metric=metric, **{**settings, **changes})


def by_hand(task: Workload) -> tuple[list[float], Tensor]:
    """Loss of each of the 15 batches before SGD learns it, and the scores of the last five."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trials = Loop(task).start([setup("sgd", {"lr": 0.3}, (0, 0, 0))], training(task))
    model = Clicks().double()
    model.load_state_dict(trials._trials[0].model.state_dict())
    losses, scores = [], []
    for first in range(0, 120, BATCH):
        output = model(EVENTS[first : first + BATCH].double())
        loss = functional.binary_cross_entropy_with_logits(output, CLICKS[first : first + BATCH].double())
        grads = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for param, grad in zip(model.parameters(), grads, strict=True):
                param.sub_(0.3 * grad)
        losses.append(loss.item())
        scores.append(output.detach())
    return losses, torch.cat(scores[STEPS:])


@pytest.mark.parametrize("engine", [Loop, Vectorized], ids=["loop", "vectorized"])
def test_scores_are_those_before_learning(engine: type[Loop] | type[Vectorized]) -> None:
    task = stream()
    losses, scores = by_hand(task)
    trials = engine(task).start([setup("sgd", {"lr": 0.3}, (0, 0, 0))], training(task))
    first = trials.evaluate("validation").metric[0]
    assert 0 < first < 5  # nothing was learnt: the model as it begins
    for step in (1, 4, STEPS):
        trials.train(step)
        assert_close(trials.evaluate("validation").metric, [sum(losses[:step]) / step])
    test = trials.evaluate("test")
    assert_close(test.metric, [sum(losses[STEPS:]) / LATER])
    assert test.others[0]["auc"] == pytest.approx(roc_auc_score(CLICKS[80:], scores))
    again = trials.evaluate("test")
    assert (again.metric, again.others) == (test.metric, test.others)  # to be tested changes nothing
    assert_close(trials.evaluate("validation").metric, [sum(losses[:STEPS]) / STEPS])


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_both_engines_agree_through_a_rung(metric: str) -> None:
    task = stream(metric)
    setups = [setup(rule, {"lr": 0.1}, (0, 0, seed)) for rule in ("momentum", "adam") for seed in (1, 2)]
    loop, vectorized = (engine(task).start(setups, training(task)) for engine in (Loop, Vectorized))
    for until in (1, 5):
        assert_agree(vectorized, loop, until)
    for trials in (loop, vectorized):
        trials.keep([0, 3])
    assert_agree(vectorized, loop, STEPS)
    assert vectorized.evaluate("test").others[1] == pytest.approx(loop.evaluate("test").others[1])


def test_every_stream_of_randomness_sees_the_events_in_order() -> None:
    feed = Loop(stream()).start([setup("sgd", {}, (0, 0, 5))], training(stream()))._trials[0].feed
    for seed in (0, 1):
        batches = feed.batches((0, 0, seed))
        assert [batches.indices(step).tolist()[0] for step in (1, 2, STEPS)] == [0, 8, 72]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"validation": (EVENTS[:8], CLICKS[:8])}, "is online: it takes train= and test= as tensors in the order of"),
        ({"test": 0.2}, "is online: it takes train= and test= as tensors in the order of time, and no validation="),
        ({"workers": 1}, "is online: it takes train= and test= as tensors in the order of time, and no validation="),
    ],
)
def test_what_a_stream_cannot_be_is_told(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        stream(**given)
