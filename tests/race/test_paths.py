"""What is worth compiling, what the other lanes do meanwhile, and what is remembered."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradrace.errors import SpecError
from gradrace.optim import _compiler
from gradrace.race import paths
from gradrace.race.paths import (
    COMPILE_SECONDS,
    EVALUATION_SHARE,
    FEW_SECONDS,
    SAVING,
    STATEMENT_SECONDS,
    Memory,
    Speeds,
    affordable,
    compared,
    compile_seconds,
    trained_meanwhile,
    worth_compiling,
)
from gradrace.race.plan import (
    BLOCK_TRIALS,
    COMPILED_TRIALS,
    LOOP_TRIALS,
    Block,
    Choice,
    Plan,
    confirmation_blocks,
    tuning_blocks,
)
from gradrace.race.spec import Contender, RaceSpec, make_contenders

SIZE = 250
COSTS = COMPILE_SECONDS + SIZE * STATEMENT_SECONDS
SECONDS = 1e-3
"""Of a vectorized trial-step, of which compiling saves the share SAVING as far as is known."""
ENOUGH = math.ceil(COSTS / (SAVING * SECONDS))
"""So many such trial-steps repay what the program costs."""
FIVE = make_contenders(["sgd", "momentum", "adagrad", "rmsprop", "adam"])


# --- what is worth compiling ---


def test_what_saves_more_than_it_costs_is_compiled() -> None:
    speeds = Speeds(1.0, SECONDS, size=SIZE)
    assert worth_compiling(speeds, ENOUGH + 1, 0.0)
    assert not worth_compiling(speeds, ENOUGH - 2, 0.0)
    assert not worth_compiling(replace(speeds, size=2 * SIZE), ENOUGH + 1, 0.0)
    # Where the loop is the faster way without a compiler, a saving is measured by that.
    assert not worth_compiling(replace(speeds, loop=SECONDS / 10), ENOUGH + 1, 0.0)
    assert worth_compiling(replace(speeds, loop=SECONDS / 10), 10 * ENOUGH + 10, 0.0)


def test_programs_that_lanes_would_record_count_too() -> None:
    speeds = Speeds(1.0, SECONDS, size=SIZE, tracing=COSTS / 4)
    assert worth_compiling(speeds, 1, 0.0, recorded=4)
    assert not worth_compiling(speeds, 1, 0.0, recorded=3)
    # Training one by one records nothing.
    assert not worth_compiling(replace(speeds, loop=SECONDS / 10), 1, 0.0, recorded=100)


def test_what_cannot_be_compiled_is_not_worth_it() -> None:
    assert not worth_compiling(Speeds(1.0), 100 * ENOUGH, 1e9)
    assert not worth_compiling(Speeds(1.0, SECONDS, obstacle="no C compiler works"), 100 * ENOUGH, 1e9)


def test_what_was_measured_decides() -> None:
    known = Speeds(1.0, SECONDS, 0.5 * SECONDS, size=0)
    assert worth_compiling(known, 1, 0.0)  # it is compiled already, and costs nothing
    slower = replace(known, compiled=1.1 * SECONDS)
    assert not worth_compiling(slower, 100 * ENOUGH, 0.0)
    assert not worth_compiling(slower, 100 * ENOUGH, 1e9)


def test_what_several_races_forgo_adds_up() -> None:
    speeds, forgone, races = Speeds(1.0, SECONDS, size=SIZE), 0.0, 0
    steps = math.ceil(ENOUGH / 3)
    while not worth_compiling(speeds, steps, forgone):
        forgone += speeds.saved * steps
        races += 1
        assert forgone == pytest.approx(races * SAVING * SECONDS * steps)
        assert races < 10
    assert races == 2  # and the third compiles


def test_what_compiling_costs() -> None:
    assert compile_seconds(0) == 0
    assert COMPILE_SECONDS < compile_seconds(100) < compile_seconds(1000)
    assert compile_seconds(SIZE) == pytest.approx(COSTS)


def test_speeds_are_compared_in_words() -> None:
    assert compared(3.0, 1.0) == "3.0 times as fast as"
    assert compared(1.0, 2.0) == "2.0 times slower than"


def test_a_race_affords_fewer_points_where_they_cost_much() -> None:
    speeds = Speeds(1.0, SECONDS, evaluation=0.01)
    few = math.floor(FEW_SECONDS / (0.01 * 20))
    assert affordable(20, 100, few, speeds) == 20  # a few seconds in all are no matter
    steps = math.ceil(10.5 * 0.01 / (EVALUATION_SHARE * SECONDS))  # ten evaluations are within the share
    assert affordable(20, steps, 1000 * few, speeds) == 10
    assert affordable(8, steps, 1000 * few, speeds) == 8  # no more than are wanted
    assert affordable(20, 1, 1000 * few, speeds) == 1
    # Trained faster, it affords fewer.
    assert affordable(20, steps, 1000 * few, replace(speeds, compiled=SECONDS / 2)) == 5


# --- blocks of a plan with compiled programs ---


def spec(**changes: Any) -> RaceSpec:
    return RaceSpec(**{"studies": 3, "trials": 8, "seeds": 3, "steps": 400, "batch_size": 32, **changes})


def plan(contenders: Sequence[Contender] = FIVE, **changes: Any) -> Plan:
    steps = {contender.label: 400 for contender in contenders}
    return replace(Plan("vectorized", "Measured.", False, steps, 100, compiled=True), **changes)


def confirmation(numbers: RaceSpec, known: Plan) -> list[Block]:
    chosen = [Choice(c.label, study, 1, {"lr": 0.1}) for c in FIVE for study in range(numbers.studies)]
    return confirmation_blocks(numbers, FIVE, known, chosen)


def test_meanwhile_the_other_lanes_train_the_first_blocks() -> None:
    blocks = tuning_blocks(spec(studies=9), FIVE, plan())
    speeds = Speeds(1.0, SECONDS)
    each = [block.trial_steps(constant=True) * SECONDS for block in blocks]
    assert len(blocks) >= 3
    two = each[0] + each[1]
    ids = tuple(block.id for block in blocks)
    assert trained_meanwhile(blocks, two + 1e-6, speeds, 2) == ids[:2]
    assert trained_meanwhile(blocks, two - 1e-6, speeds, 2) == ids[:1]
    assert trained_meanwhile(blocks, two / 2 + 1e-6, speeds, 3) == ids[:2]
    assert trained_meanwhile(blocks, 1e9, speeds, 1) == ()  # the one lane compiles
    assert trained_meanwhile(blocks, 1e9, speeds, 2) == ids


def test_compiled_blocks_are_larger_where_there_would_be_many() -> None:
    few, many = (tuning_blocks(spec(studies=studies), FIVE, plan()) for studies in (3, 100))
    assert {len(block.trials) for block in few} == {16, 24}
    assert {len(block.trials) for block in many} == {40}  # one for each study


@pytest.mark.parametrize("engine", ["vectorized", "loop", "drop-in"])
def test_the_same_trials_are_compiled_whatever_trains_them_otherwise(engine: str) -> None:
    for numbers in (spec(), spec(trials=32), spec(halving=False)):
        for known in (tuning_blocks(numbers, FIVE, plan(engine=engine)), confirmation(numbers, plan(engine=engine))):
            assert {block.engine for block in known} == {"compiled"}
            assert {block.chunk for block in known} == {0}
        without = tuning_blocks(numbers, FIVE, plan(engine=engine, compiled=False))
        assert {block.engine for block in without} == {engine}
        compiled = tuning_blocks(numbers, FIVE, plan(engine=engine))
        ids = [sorted(trial.id for block in blocks for trial in block.trials) for blocks in (compiled, without)]
        assert ids[0] == ids[1]
        # Trained one by one, they are small, so that no lane waits for the last; a study's trials stay together.
        alive = COMPILED_TRIALS * (2 if numbers.halving else 1)
        assert max(len(block.trials) for block in compiled) <= max(2 * alive, numbers.trials)
        alone = LOOP_TRIALS * (2 if numbers.halving else 1)
        if engine == "vectorized":
            assert len(compiled) > len(without)
        else:
            assert max(len(block.trials) for block in without) <= max(2 * alone, numbers.trials)
            assert len(compiled) <= len(without)


def test_blocks_hold_every_trial_once_and_are_no_larger_than_they_should_be() -> None:
    for numbers in (spec(studies=9), spec(trials=32), spec(halving=False)):
        blocks = tuning_blocks(numbers, FIVE, plan())
        ids = [trial.id for block in blocks for trial in block.trials]
        assert len(set(ids)) == len(ids) == numbers.studies * numbers.trials * len(FIVE)
        most = (2 if numbers.halving else 1) * BLOCK_TRIALS
        assert all(len(block.trials) <= max(1.5 * most, numbers.trials) for block in blocks)


def test_blocks_trained_meanwhile_are_the_same_ones_uncompiled() -> None:
    blocks = tuning_blocks(spec(studies=9), FIVE, plan())
    some = (blocks[0].id, blocks[2].id)
    assert {block.engine for block in blocks} == {"compiled"}
    for block, other in zip(blocks, tuning_blocks(spec(studies=9), FIVE, plan(meanwhile=some)), strict=True):
        if block.id in some:
            assert other == replace(block, engine="vectorized")
        else:
            assert other == block


def test_optimizers_that_are_no_rules_train_one_by_one_without_onednn() -> None:
    known = plan(objects=("sgd",), onednn=True)
    for block in (*tuning_blocks(spec(), FIVE, known), *confirmation(spec(), known)):
        looped = {trial.contender for trial in block.trials} == {"sgd"}
        assert block.engine == ("loop" if looped else "compiled")
        assert block.onednn != looped


def test_little_memory_bounds_what_is_computed_at_a_time() -> None:
    for block in tuning_blocks(spec(), FIVE, plan(compiled=False, most=6)):
        assert block.chunk == 6
    for block in tuning_blocks(spec(), FIVE, plan(compiled=False, most=1000)):
        assert block.chunk == 0


def test_a_plan_is_known_by_its_json() -> None:
    known = plan(opened=True, meanwhile=("tuning/0000/0000",), onednn=True, most=7, untrained=0.5)
    assert Plan.from_dict(json.loads(json.dumps(known.to_dict()))) == known
    # A plan that was stored before there were such programs has none.
    old = {"engine": "vectorized", "reason": "", "stochastic": False, "steps": {}, "parameters": 1}
    assert not Plan.from_dict(old).compiled
    assert not Plan.from_dict({**old, "compiled": []}).compiled
    with pytest.raises(SpecError, match="planned by an earlier version of gradrace"):
        Plan.from_dict({**old, "compiled": ["shared batches"]})
    assert not Plan.from_dict(old).opened


# --- what is remembered ---


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    return tmp_path / "choices"


def test_choices_are_remembered_beside_those_before(folder: Path) -> None:
    memory = Memory("race 1")
    assert memory.recall() == {}
    assert not folder.exists()
    memory.keep(plan={"engine": "loop"}, forgone=1.5)
    memory.keep(plan={"engine": "vectorized"})
    assert Memory("race 1").recall() == {"plan": {"engine": "vectorized"}, "forgone": 1.5}
    assert Memory("race 2").recall() == {}
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"3", b"\xff\xfe\x00", b"{}"])
def test_a_damaged_memory_is_a_new_one(folder: Path, content: bytes) -> None:
    memory = Memory("race 1")
    memory.keep(plan=1)
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert memory.recall() == {}
    memory.keep(engine=2)
    assert memory.recall() == {"engine": 2}


def test_a_folder_that_cannot_be_written_to_costs_the_memory_alone(folder: Path) -> None:
    folder.write_text("a file where the folder would be")
    memory = Memory("race 1")
    memory.keep(plan=1)
    assert memory.recall() == {}


def test_another_machine_or_pytorch_remembers_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Memory("race 1").keep(plan=1)
    with monkeypatch.context() as patch:
        patch.setattr(_compiler, "machine", lambda: "another")
        assert Memory("race 1").recall() == {}
    monkeypatch.setattr(paths.torch, "__version__", "0.0")
    assert Memory("race 1").recall() == {}
    assert len(list(folder.iterdir())) == 1
