"""Trials trained one by one with the drop-in classes give what the reference loop gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agreement import STEPS, assert_agree, setup, training
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Surroundings
from gradrace.optim import _kernel
from gradrace.optimizers import optimizers
from gradrace.workloads import workload

WORK = workload("linear")


@pytest.mark.parametrize("around", [Surroundings(), Surroundings(0.2, 0.5, 0.01, 0.9)], ids=["alone", "surrounded"])
def test_every_rule_agrees_with_the_reference(around: Surroundings) -> None:
    setups = [
        replace(setup(rule.name, {"lr": rule.space["lr"].value(0.5)}, (0, 0, 0)), surroundings=around)
        for rule in optimizers().values()
    ]
    engines = Loop(WORK), Loop(WORK, drop_in=True)
    loop, drop_in = (engine.start(setups, training(WORK)) for engine in engines)
    assert_agree(loop, drop_in, STEPS)


def test_steps_are_compiled_from_the_first_on(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    real = _kernel.Kernel.__call__
    monkeypatch.setattr(_kernel.Kernel, "__call__", lambda *given: (called.append(1), real(*given))[1])
    Loop(WORK, drop_in=True).start([setup("adam", {}, (0, 0, 0))], training(WORK)).train(3)
    assert len(called) == 3
