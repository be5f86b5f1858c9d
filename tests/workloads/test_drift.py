"""drift, held to its closed form: how its truth turns, what can be known of it, and who can follow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup
from gradrace.errors import SpecError
from gradrace.optimizers import optimizer
from gradrace.workloads import drift, workload
from gradrace.workloads._batch import tensors_of

TRAINED, TESTED = 8000, 4000
PAIRS = 10


def stream(turns: float) -> tuple[Tensor, Tensor]:
    """All events in their order, as float64: inputs [n, features] and what is to be predicted [n]."""
    parts = [tensors_of(part) for part in drift.load(turns)]
    assert [len(inputs) for inputs, _ in parts] == [TRAINED, TESTED]
    inputs, target = (torch.cat(sides).double() for sides in zip(*parts, strict=True))
    return inputs, target.squeeze(1)


@pytest.mark.parametrize("turns", [2.0, 0.5])
def test_pairs_of_weights_turn_on_a_circle_each_at_its_own_pace(turns: float) -> None:
    found = drift.truths(TRAINED + 1, turns)
    assert found.dtype == torch.float32
    pairs = torch.view_as_complex(found.double().unflatten(1, (PAIRS, 2)))
    assert torch.allclose(pairs.abs(), torch.ones_like(pairs.abs()), atol=1e-6)
    # Angles from one event to the next add up to the turns over the training part: the slowest ``turns``, the fastest
    # three times as many, the others evenly between.
    steps = (pairs[1:] / pairs[:-1]).angle()
    expected = turns * (1 + 2 * torch.arange(PAIRS, dtype=torch.float64) / (PAIRS - 1))
    assert torch.allclose(steps.sum(0) / (2 * math.pi), expected, atol=1e-5)
    assert float((steps - steps.mean(0)).abs().max()) < 1e-6  # at a constant pace, up to float32
    assert len({round(angle, 3) for angle in pairs[0].angle().tolist()}) == PAIRS  # from phases of their own


def test_nothing_drifts_without_turns() -> None:
    found = drift.truths(50, 0.0)
    assert torch.equal(found, found[:1].expand_as(found))
    assert torch.equal(found[0], drift.truths(1, 2.0)[0])  # the same start


@pytest.mark.parametrize("turns", [2.0, 0.0])
def test_saying_nothing_costs_ten_and_the_truth_a_hundredth(turns: float) -> None:
    inputs, target = stream(turns)
    count = TRAINED + TESTED
    # y has variance |w|^2 + 0.01 = 10.01 (ten pairs on the unit circle), the mean of its squares a relative standard
    # deviation of sqrt(2 / 12000) = 1.3 %; so has what the truth leaves, the noise of variance 0.01.
    apart = 4 * math.sqrt(2 / count)
    assert target.square().mean().item() == pytest.approx(drift.FEATURES / 2 + 0.01, rel=apart)
    left = target - (inputs * drift.truths(count, turns).double()).sum(1)
    assert left.square().mean().item() == pytest.approx(0.01, rel=apart)
    assert abs(left.mean().item()) < 4 * 0.1 / math.sqrt(count)
    assert inputs.square().mean().item() == pytest.approx(1, rel=apart)


def test_what_was_learnt_long_ago_is_wrong_by_now_only_where_the_truth_drifts() -> None:
    ends = {}
    for turns in (2.0, 0.0):
        inputs, target = stream(turns)
        learnt = torch.linalg.lstsq(inputs[:400], target[:400].unsqueeze(1)).solution.squeeze(1)
        late = slice(TRAINED, None)
        ends[turns] = (inputs[late] @ learnt - target[late]).square().mean().item()
    # 400 events, 20 weights: 0.01 (1 + 20 / 400). Under drift old and new weights are strangers of length sqrt(10)
    # whose difference squared is about 20, give or take what the few pairs happen to share.
    assert ends[0.0] == pytest.approx(0.0105, rel=0.1)
    assert ends[2.0] == pytest.approx(20, rel=0.4)


def test_who_takes_ever_shorter_steps_falls_behind() -> None:
    so_far: dict[str, list[float]] = {"sgd": [], "adagrad": []}
    for name, lr in (("sgd", 0.1), ("adagrad", 0.3)):
        rule = optimizer(name)
        setup = TrialSetup(rule, rule.configure({"lr": lr}), rule.options, (0, 0, 0))
        trials = Loop(drift.workload).start([setup], Training(drift.STEPS, drift.BATCH))
        for step in (100, 300):
            trials.train(step)
            so_far[name] += trials.evaluate("validation").metric
    assert so_far["adagrad"][1] > 1.2 * so_far["adagrad"][0]
    assert so_far["sgd"][1] < 0.8 * so_far["sgd"][0]


@pytest.mark.parametrize("turns", [-0.5, math.inf, math.nan])
def test_turns_that_cannot_be_are_told(turns: float) -> None:
    with pytest.raises(SpecError, match=rf"turns is {turns!r}; it must be a number, at least 0\."):
        drift.make(turns)


def test_it_is_a_stream_and_its_variants_have_names_of_their_own() -> None:
    assert workload("drift") is drift.workload
    assert drift.workload.online
    assert drift.workload.order == "time"
    assert [drift.make(turns).name for turns in (2.0, 0.0, 0.5)] == ["drift", "drift-0", "drift-0.5"]
    assert drift.make(0.5).target is None
