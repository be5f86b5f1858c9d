"""An outcome as a plain dict and back, and what it keeps of further metrics."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np

from gradrace.outcomes import Curve, Outcome, Stage, Status

OUTCOME = Outcome(
    trial="confirmation/Adam/0/1/2",
    stage=Stage.CONFIRMATION,
    contender="Adam",
    study=0,
    seed=1,
    point=2,
    configuration={"lr": 0.1},
    status=Status.FINISHED,
    steps=20,
    test=0.5,
    curve=Curve([20], [1.0], [None], [0.25]),
    others={"auc": 0.75, "decile 1": 3.5},
)


def test_outcome_comes_back_from_json() -> None:
    assert Outcome.from_dict(json.loads(json.dumps(OUTCOME.to_dict()))) == OUTCOME


def test_dict_from_before_there_were_others_still_loads() -> None:
    old = OUTCOME.to_dict()
    del old["others"]
    assert Outcome.from_dict(old) == replace(OUTCOME, others={})


def test_values_that_are_not_finite_are_left_out() -> None:
    given = {"a": math.nan, "b": -math.inf, "c": np.float32(0.5), "d": 0.0}
    kept = replace(OUTCOME, others=given).others
    assert kept == {"c": 0.5, "d": 0.0}
    assert {type(value) for value in kept.values()} == {float}
    assert len(given) == 4  # the caller's dict stays as it was
