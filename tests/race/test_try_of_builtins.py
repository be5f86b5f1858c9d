"""What is found when each built-in workload is tried."""

from __future__ import annotations

import pytest

from gradrace.race.planning import Entry
from gradrace.race.probe import probe
from gradrace.race.spec import find_task, make_contenders, make_spec
from gradrace.race.train import prepare
from gradrace.workloads import workloads
from inline_lanes import InlineLanes


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(workloads()))
def test_every_builtin_task_can_be_vectorized(name: str) -> None:
    task = find_task(name)
    lanes = InlineLanes(1)
    entry = Entry(make_spec(task.workload, "quick", steps=20), make_contenders(["sgd", "adam"]), task)
    lanes.prepare(prepare, entry.grounds())
    found = probe(lanes.state, lambda trial_steps: None)
    assert found.speeds is not None
    assert found.speeds.vectorized is not None, found.reason
