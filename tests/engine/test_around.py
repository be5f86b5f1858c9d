"""What belongs to the race and not to the rule: both engines agree on it, and each part does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradrace
from gradrace import Contender, LogUniform, SpecError, Workload
from gradrace.engine.loop import Loop, LoopTrials
from gradrace.engine.trial import Schedule, Surroundings, Training, TrialSetup
from gradrace.engine.vectorized import Vectorized, VectorizedTrials
from gradrace.optimizers import find, optimizer
from gradrace.workloads import workload

EVERYTHING = [
    Surroundings(),
    Surroundings(warmup=0.3),
    Surroundings(clip_norm=0.1),
    Surroundings(decoupled_weight_decay=0.5),
    Surroundings(ema=0.9),
    Surroundings(warmup=0.1, clip_norm=1.0, decoupled_weight_decay=0.1, ema=0.99),
]


def setups(name: str, around: list[Surroundings], lr: float = 0.05) -> list[TrialSetup]:
    rule = optimizer(name)
    return [TrialSetup(rule, rule.configure({"lr": lr}), rule.with_options({}), (0, 0, 1), one) for one in around]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("biases", [False, True])
def test_both_engines_agree_when_every_trial_has_its_own(schedule: Schedule, biases: bool) -> None:
    work = workload("digits")
    training = Training(50, 32, schedule, biases, dtype=torch.float64)
    given = [*setups("sgd", EVERYTHING), *setups("adam", EVERYTHING, 0.005), *setups("schedulefree_sgd", EVERYTHING)]
    both: list[LoopTrials | VectorizedTrials] = [
        Loop(work).start(given, training),
        Vectorized(work).start(given, training),
    ]
    for until, keep in ((20, [0, 2, 4, 5, 7, 9, 10, 11, 12, 16]), (50, None)):
        losses = [trials.train(until) for trials in both]
        assert losses[0] == pytest.approx(losses[1], rel=1e-9)
        evaluations = [trials.evaluate("validation") for trials in both]
        assert evaluations[0].loss == pytest.approx(evaluations[1].loss, rel=1e-9)
        if keep:
            for trials in both:
                trials.keep(keep)
    # Every part makes a difference of its own: equal losses would mean that one of them is ignored.
    assert len(set(evaluations[0].loss)) == len(evaluations[0].loss)


def test_any_other_optimizer_is_surrounded_alike() -> None:
    training = Training(30, 32, "linear", dtype=torch.float64)
    around = EVERYTHING[1:]
    theirs = [TrialSetup(find("torch.optim.SGD"), {"lr": 0.05}, {}, (0, 0, 1), one) for one in around]
    ours, other = (Loop(workload("linear")).start(given, training) for given in (setups("sgd", around), theirs))
    assert ours.train(30) == pytest.approx(other.train(30), rel=1e-9)
    assert other.failures() == [None] * len(around)
    assert ours.evaluate("test").loss == pytest.approx(other.evaluate("test").loss, rel=1e-9)


class Line(nn.Module):
    """``w * x + b`` that starts at 1 and 1; ``w`` is a matrix, ``b`` a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(1, 1)), nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w + self.b


def flat(target: float = 1.0) -> Workload:
    """A workload whose gradient at the start is (0, 2 * (1 - target)): inputs are 0, so only the bias is pulled."""
    data = (torch.zeros(4, 1), torch.full((4, 1), target))
    return Workload(
        name="flat",
        model=Line,
        train=data,
        validation=data,
        test=data,
        loss=functional.mse_loss,
        metric="mse",
        batch_size=4,
    )


def after(work: Workload, steps: int, biases: bool = False, **around: Any) -> tuple[float, float]:
    """Weight and bias after some steps of SGD with lr 0.1, one batch each."""
    training = Training(10, 4, "constant", biases, dtype=torch.float64)
    trials = Loop(work).start(setups("sgd", [Surroundings(**around)], 0.1), training)
    trials.train(steps)
    params = trials._trials[0].params
    return params["w"].item(), params["b"].item()


def test_by_hand() -> None:
    # No gradient at all: only decay moves the weight, by lr * decay at each step, and spares the bias.
    assert after(flat(), 2, decoupled_weight_decay=0.5) == pytest.approx((0.95**2, 1.0))
    assert after(flat(), 1, decoupled_weight_decay=0.5, biases=True)[0] == pytest.approx(0.95)
    # The bias's gradient is 2 * (1 - 6) = -10: clipped to length 1 it moves by lr * 1; alone it would move by 1.
    assert after(flat(6.0), 1) == pytest.approx((1.0, 2.0))
    assert after(flat(6.0), 1, clip_norm=1.0) == pytest.approx((1.0, 1.1), rel=1e-5)
    # Warm-up over five of ten steps: the first has a fifth of the learning rate.
    assert after(flat(6.0), 1, warmup=0.5) == pytest.approx((1.0, 1.2))


def test_an_average_of_weights_is_evaluated_and_training_goes_on_without_it() -> None:
    training = Training(10, 4, dtype=torch.float64)
    for engine in (Loop, Vectorized):
        trials = engine(flat(6.0)).start(setups("sgd", [Surroundings(ema=0.5), Surroundings()], 0.1), training)
        trials.train(2)
        # Biases after two steps: 2.0, then 2.0 + 0.1 * 2 * 4 = 2.8; their average 0.5 * 2.0 + 0.5 * 2.8 = 2.4.
        assert trials.evaluate("test").loss == pytest.approx([(6 - 2.4) ** 2, (6 - 2.8) ** 2])
        assert trials.train(3)[0] == pytest.approx((6 - 2.8) ** 2)


@pytest.mark.usefixtures("inline_lanes")
def test_a_race_holds_or_tunes_them(tmp_path: Path) -> None:
    small: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40, "store": tmp_path / "r.db"}
    plain = gradrace.race("linear", ["sgd"], **small)
    clipped = Contender("sgd", label="tuned", space={"clip_norm": LogUniform(0.01, 10)})
    held = Contender("sgd", label="held", hyper={"decoupled_weight_decay": 0.3})
    result = gradrace.race("linear", [clipped, held, "sgd"], warmup=0.2, ema=0.5, schedule="cosine", **small)
    rows = {row["label"]: row for row in result.standings}
    assert set(rows["tuned"]["configuration"]) == {"lr", "clip_norm"}
    assert "gradients clipped to norm" in rows["tuned"]["code"]
    assert rows["held"]["code"].endswith(
        "# with warm-up over 0.2 of the steps, decoupled weight decay 0.3, weights averaged with decay 0.5, "
        "cosine schedule"
    )
    assert rows["sgd"]["test"]["values"] != plain.standings[0]["test"]["values"]
    assert "#" not in plain.recommendation["code"]
    assert gradrace.resume(result.id, store=tmp_path / "r.db").to_json() == result.to_json()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"warmup": 1.0}, "warmup must be less than 1, but is 1.0"),
        ({"clip_norm": -1.0}, "clip_norm must be at least 0, but is -1.0"),
        ({"ema": 2.0}, "ema must be less than 1, but is 2.0"),
        ({"decoupled_weight_decay": float("nan")}, "decoupled_weight_decay must be a finite number, but is nan"),
    ],
)
def test_values_that_are_not_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        gradrace.race("linear", ["sgd"], **given)


def test_a_contender_cannot_hold_what_is_not_allowed() -> None:
    with pytest.raises(SpecError, match="ema must be a number at least 0 and below 1, but is 1"):
        Contender("sgd", hyper={"ema": 1})
