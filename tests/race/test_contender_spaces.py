"""A contender's search spaces are refused before the race, not in the middle of it."""

from __future__ import annotations

from typing import Any

import pytest

from gradrace import Choice, Contender, LogUniform, SpecError, Uniform
from gradrace.engine.trial import Training, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.optimizers import optimizer
from gradrace.race.spec import find_task, make_spec, race_id
from gradrace.workloads import workload


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"space": {"beta1": Uniform(0.5, 2)}}, r"beta1 must be a number at least 0 and below 1, but is 2"),
        ({"space": {"ema": Choice((0.5, 1.5))}}, r"ema must be a number at least 0 and below 1, but is 1\.5"),
        (
            {"space": {"lr": (1e-3, 1e-1)}},
            r"space of 'lr' must be a LogUniform, Uniform or Choice, but is \(0\.001",
        ),
        ({"space": {"lr": LogUniform(1e-3, 1)}, "hyper": {"lr": 0.1}}, "both holds 'lr' at a value and tunes it"),
    ],
)
def test_what_a_space_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Contender("adam", **given)


def test_one_minus_a_value_above_one_is_refused() -> None:
    with pytest.raises(SpecError, match=r"1 - value cannot be above 1.*: high is 2"):
        LogUniform(0.5, 2, one_minus=True)


def test_a_whole_number_and_the_same_as_a_float_are_one_race() -> None:
    spec, task = make_spec(workload("linear"), "quick"), find_task("linear")
    ids = {race_id(spec, [Contender("sgd", hyper={"lr": lr})], task) for lr in (1, 1.0)}
    assert len(ids) == 1


def test_neighbours_that_meet_when_those_between_are_dropped_keep_their_states() -> None:
    a, b = optimizer("momentum"), optimizer("adam")
    setups = [
        TrialSetup(rule, rule.configure({"lr": 0.01 * (n + 1)}), rule.with_options({}), (0, 0, 0))
        for n, rule in enumerate((a, a, b, a))
    ]
    training = Training(20, 32)
    engine = Vectorized(workload("linear"))
    whole, dropped = engine.start(setups, training), engine.start(setups, training)
    whole.train(10)
    dropped.train(10)
    dropped.keep([0, 1, 3])
    losses = whole.train(20)
    assert dropped.train(20) == [losses[0], losses[1], losses[3]]
