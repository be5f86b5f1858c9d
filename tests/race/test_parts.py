"""A block that is trained in parts, or goes on from where it was saved, comes out as the whole one, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradrace.engine.lanes import LaneDied, Result
from gradrace.engine.lanes import Task as LaneTask
from gradrace.outcomes import Outcome, Status
from gradrace.race import running, saving
from gradrace.race.plan import Block, Choice, Plan, confirmation_blocks, tuning_blocks
from gradrace.race.planning import Entry
from gradrace.race.rescue import Rescue
from gradrace.race.spec import Contender, RaceSpec, Task, find_task
from gradrace.race.train import Trained, prepare, train_block
from gradrace.space import LogUniform
from gradrace.workloads import Workload

CAUSE = LaneDied("The process that trained this died, twice.", -9)


def dropping() -> Workload:
    x = torch.randn(120, 4, generator=torch.Generator().manual_seed(1))
    return Workload(
        name="dropping",
        model=lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2)),
        train=(x, (x[:, 0] > 0).long()),
        validation=0.2,
        test=0.2,
        loss=functional.cross_entropy,
        metric="accuracy",
        batch_size=16,
        steps=40,
    )


def entered(task: Task, *names: str, **numbers: Any) -> Entry:
    contenders = [Contender(name, label=f"{place} {name}") for place, name in enumerate(names)]
    values = {"studies": 2, "trials": 8, "seeds": 2, "steps": 24, "batch_size": 16, **numbers}
    return Entry(RaceSpec(**values), tuple(contenders), task)


def blocks_of(entry: Entry, engine: str, stochastic: bool = False) -> list[Block]:
    labels = [contender.label for contender in entry.contenders]
    plan = Plan(engine, "", stochastic, dict.fromkeys(labels, entry.spec.steps), 10, evaluations=4)
    if engine == "compiled":
        plan = replace(plan, engine="vectorized", compiled=True)
    tuned = tuning_blocks(entry.spec, entry.contenders, plan)
    chosen = [
        Choice(trial.contender, trial.study, trial.point, trial.configuration)
        for block in tuned
        for trial in block.trials
        if trial.point == 3
    ]
    return [tuned[0], confirmation_blocks(entry.spec, entry.contenders, plan, chosen)[0]]


def lane_of(entry: Entry) -> dict[str, Any]:
    state: dict[str, Any] = {}
    prepare(state, print, entry.grounds())
    return state


def same(found: Sequence[Outcome], expected: Sequence[Outcome]) -> bool:
    return [repr(replace(o, seconds=0.0)) for o in found] == [repr(replace(o, seconds=0.0)) for o in expected]


class Killing:
    """Runs tasks in this process; some places of a block take their lane along, by a signal."""

    def __init__(self, state: dict[str, Any], places: Sequence[int] = (), code: int = -11, fits: int = 10**6) -> None:
        self.state, self.places, self.code, self.fits = state, places, code, fits
        self.parts: list[str] = []

    def __call__(self, tasks: Sequence[LaneTask]) -> Iterator[Result]:
        for task in reversed(tasks):  # in whatever order
            block, _, part, _ = task.arguments
            self.parts.append(part.name)
            rows = len(part.places) if part.alone else len(block.trials)
            if rows > self.fits or set(part.places) & set(self.places):
                code = -9 if rows > self.fits else self.code
                yield Result(task.key, error=LaneDied("It died.", code))
            else:
                yield Result(task.key, task.function(self.state, lambda steps: None, *task.arguments))


def rescued(entry: Entry, block: Block, lanes: Killing) -> Trained:
    return Rescue(block, entry.judge, None, lanes, CAUSE).train()


@pytest.mark.parametrize("engine", ["loop", "drop-in", "vectorized", "compiled"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("name", ["linear", "dropping"])
def test_parts_come_out_as_the_whole(engine: str, schedule: str, name: str) -> None:
    task = find_task(dropping() if name == "dropping" else name)
    entry = entered(task, "sgd", "adam", "adam", "lamb", schedule=schedule)
    state = lane_of(entry)
    for block in blocks_of(entry, engine, stochastic=name == "dropping"):
        whole = train_block(state, lambda steps: None, block)
        lanes = Killing(state)
        parts = rescued(entry, block, lanes)
        assert same(parts.outcomes, whole.outcomes)
        assert (whole.fallback, parts.fallback, parts.chunk) == ("", "", 0)
        assert len(block.rungs) < len(lanes.parts) <= 2 * len(block.rungs)


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_a_trial_that_ends_its_process_is_the_only_one_lost(engine: str) -> None:
    entry = entered(find_task("linear"), "sgd", "adam", halving=False)
    state = lane_of(entry)
    block = blocks_of(entry, engine)[0]
    whole = train_block(state, lambda steps: None, block).outcomes
    lanes = Killing(state, places=(5,))
    found = rescued(entry, block, lanes).outcomes
    assert found[5].status is Status.FAILED
    assert found[5].error == "It died."
    assert found[5].steps == 0
    assert same([*found[:5], *found[6:]], [*whole[:5], *whole[6:]])
    half = len(block.trials) // 2
    assert lanes.parts[:2] == [f"{half} to {2 * half - 1}, rung 0", f"0 to {half - 1}, rung 0"]
    theirs = range(half) if half > 5 else range(half, 2 * half)
    assert set(lanes.parts[2:]) == {f"{place}, rung 0" for place in theirs}


def test_halving_goes_on_without_the_trial_that_was_lost() -> None:
    entry = entered(find_task("linear"), "sgd", "adam")
    state = lane_of(entry)
    block = blocks_of(entry, "vectorized")[0]
    whole = train_block(state, lambda steps: None, block).outcomes
    last = next(place for place, outcome in enumerate(whole) if outcome.status is Status.FINISHED)
    found = rescued(entry, block, Killing(state, places=(last,))).outcomes
    assert found[last].status is Status.FAILED
    other = [o for o in found if (o.contender, o.study) == (whole[last].contender, whole[last].study)]
    assert sorted(o.steps for o in other if o.diverged_at is None and o.status is not Status.FAILED)[-1] == 24
    assert sum(o.status is Status.FINISHED for o in other) == 2  # another goes on in its place
    untouched = [place for place, o in enumerate(whole) if o.contender != whole[last].contender]
    assert same([found[place] for place in untouched], [whole[place] for place in untouched])


def test_where_memory_does_not_suffice_trials_are_trained_alone() -> None:
    entry = entered(find_task("linear"), "sgd", "adam")
    state = lane_of(entry)
    block = blocks_of(entry, "vectorized")[0]
    whole = train_block(state, lambda steps: None, block).outcomes
    lanes = Killing(state, fits=1)
    trained = rescued(entry, block, lanes)
    assert trained.chunk == 1  # which the report tells, as the last digits may differ
    for found, expected in zip(trained.outcomes, whole, strict=True):
        assert (found.status, found.steps) == (expected.status, expected.steps)
        assert found.validation == pytest.approx(expected.validation, rel=1e-4)
    assert all(name.endswith("alone") for name in lanes.parts[2:])


class Refusing(nn.Linear):
    """Raises for a trial whose weights are large."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        torch.ops.aten._assert_async(self.weight.abs().max() < 3)
        return super().forward(input)


def test_a_part_that_raises_has_the_loop_engine_train_the_block() -> None:
    task = find_task(replace(dropping(), model=lambda: nn.Sequential(Refusing(4, 2))))
    entry = Entry(
        RaceSpec(studies=1, trials=8, seeds=2, steps=24, batch_size=16),
        (Contender("sgd", space={"lr": LogUniform(1e-3, 1e4)}),),
        task,
    )
    state = lane_of(entry)
    block = blocks_of(entry, "vectorized")[0]
    whole = train_block(state, lambda steps: None, block)
    assert whole.fallback
    parts = rescued(entry, block, Killing(state))
    assert parts.fallback == whole.fallback
    assert same(parts.outcomes, whole.outcomes)
    assert {o.status for o in parts.outcomes} >= {Status.FAILED}


# --- saved blocks ---


class Stopped(BaseException):
    """A lane is killed here: no error that anything would answer."""


def interrupted(monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], block: Block, after: int) -> None:
    """Train a block, saving it at every step, and stop after so many savings."""
    original, count = saving.Saving.write, 0
    saving.forget_race(state["grounds"].race)

    def write(self: saving.Saving, standing: Any) -> None:
        nonlocal count
        original(self, standing)
        count += 1
        if count == after:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(saving.Saving, "write", write)
        patch.setattr(saving.Saving, "due", lambda self: True)
        patch.setattr(running, "AT_A_TIME", 0.0)
        with pytest.raises(Stopped):
            train_block(state, lambda steps: None, block)


@pytest.fixture
def saved_entry() -> Callable[..., Entry]:
    def make(schedule: str) -> Entry:
        return entered(find_task("linear"), "sgd", "adam", "lamb", schedule=schedule)

    return make


@pytest.mark.parametrize("engine", ["loop", "drop-in", "vectorized", "compiled"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_saved_block_goes_on_bit_for_bit(
    engine: str, schedule: str, saved_entry: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = saved_entry(schedule)
    state = lane_of(entry)
    for block in blocks_of(entry, engine):
        whole = train_block(state, lambda steps: None, block)
        assert whole.resumed == 0
        for after in (1, 4, 9, 14):
            interrupted(monkeypatch, state, block, after)
            assert saving.file_of(entry.id, block.id).exists()
            resumed = train_block(state, lambda steps: None, block)
            assert same(resumed.outcomes, whole.outcomes)
            assert resumed.resumed > 0
            assert resumed.ignored == ""
        saving.forget(entry.id, block.id)
        assert not saving.file_of(entry.id, block.id).exists()
    saving.forget_race(entry.id)


def test_a_saved_block_that_is_torn_or_foreign_is_not_used(
    saved_entry: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = saved_entry("constant")
    state = lane_of(entry)
    block = blocks_of(entry, "loop")[0]
    whole = train_block(state, lambda steps: None, block)
    file = saving.file_of(entry.id, block.id)

    def spoilt(change: Callable[[Path], object], sentence: str) -> None:
        interrupted(monkeypatch, state, block, 5)
        change(file)
        found = train_block(state, lambda steps: None, block)
        assert sentence in found.ignored
        assert str(file) in found.ignored
        assert found.resumed == 0
        assert same(found.outcomes, whole.outcomes)

    def rewritten(**changes: Any) -> Callable[[Path], object]:
        return lambda path: torch.save({**torch.load(path, weights_only=True), **changes}, path)

    spoilt(lambda path: path.write_bytes(path.read_bytes()[:-300]), "cannot be read")
    spoilt(lambda path: path.write_bytes(b""), "cannot be read")
    spoilt(lambda path: torch.save(Secret(), path), "cannot be read")
    spoilt(rewritten(of={"race": "another"}), "is of another race, engine or version")
    spoilt(rewritten(trials={"trials": []}), "cannot be read")
    spoilt(rewritten(where=[0, 0, 3]), "cannot be read")
    assert not Secret.made
    saving.forget_race(entry.id)


class Secret:
    """A class whose pickle would run code."""

    made = False

    def __reduce__(self) -> Any:
        return _make, ()


def _make() -> Secret:
    Secret.made = True
    return Secret()
