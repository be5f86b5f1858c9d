"""What is worth compiling, what the other lanes do meanwhile, and what is remembered."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradrace.engine import compiled
from gradrace.race import paths
from gradrace.race.paths import (
    COMPILE_SECONDS,
    NODE_SECONDS,
    SAVING,
    Memory,
    Speeds,
    compared,
    compile_seconds,
    forgo,
    trained_meanwhile,
    worth_compiling,
)
from gradrace.race.plan import (
    BLOCK_TRIALS,
    LEAST_CHUNK,
    MOST_SPARE,
    OWN,
    SHARED,
    SMALL,
    Block,
    Choice,
    Plan,
    chunk_of,
    confirmation_blocks,
    tuning_blocks,
)
from gradrace.race.spec import Contender, RaceSpec, make_contenders

NODES = {SHARED: 250, OWN: 500}
COSTS = COMPILE_SECONDS + 250 * NODE_SECONDS
SECONDS = 1e-3
"""Of a vectorized trial-step, of which compiling saves the share SAVING as far as is known."""
ENOUGH = math.ceil(COSTS / (SAVING * SECONDS))
"""So many such trial-steps repay what the smaller program costs."""
FIVE = make_contenders(["sgd", "momentum", "adagrad", "rmsprop", "adam"])


# --- what is worth compiling ---


def test_what_saves_more_than_it_costs_is_compiled() -> None:
    speeds = Speeds(1.0, SECONDS, nodes=NODES)
    assert worth_compiling(speeds, {SHARED: ENOUGH, OWN: ENOUGH}, {}) == (SHARED,)  # the other is a larger program
    assert worth_compiling(speeds, {SHARED: ENOUGH - 2, OWN: 2 * ENOUGH}, {}) == (OWN,)
    assert worth_compiling(speeds, {SHARED: 2 * ENOUGH, OWN: 2 * ENOUGH}, {}) == (SHARED, OWN)
    assert worth_compiling(speeds, {OWN: 2 * ENOUGH}, {}) == (OWN,)  # no block of the other kind is planned


def test_what_was_not_measured_is_not_compiled() -> None:
    plenty = {SHARED: 100 * ENOUGH, OWN: 100 * ENOUGH}
    assert worth_compiling(Speeds(1.0), plenty, {}) == ()
    assert worth_compiling(Speeds(1.0, SECONDS), plenty, {}) == ()
    assert worth_compiling(Speeds(1.0, SECONDS, nodes={SHARED: 250}), plenty, {}) == (SHARED,)


def test_what_was_measured_decides() -> None:
    many, few = {SHARED: 100 * ENOUGH}, {SHARED: 1}
    known = Speeds(1.0, SECONDS, 0.5 * SECONDS, {SHARED: 0})
    assert worth_compiling(known, few, {}) == (SHARED,)  # it is compiled already, and costs nothing
    slower = replace(known, compiled=1.1 * SECONDS)
    assert worth_compiling(slower, many, {}) == ()
    assert worth_compiling(slower, many, {SHARED: 1e9}) == ()
    # A program of one kind was measured, that of the other is missing: it is expected to save as much.
    mixed = replace(known, nodes={SHARED: 0, OWN: 250})
    half = math.ceil(COSTS / (0.5 * SECONDS))
    assert worth_compiling(mixed, {SHARED: 1, OWN: half + 1}, {}) == (SHARED, OWN)
    assert worth_compiling(mixed, {SHARED: 1, OWN: half - 2}, {}) == (SHARED,)


def test_what_several_races_forgo_adds_up() -> None:
    speeds = Speeds(1.0, SECONDS, nodes={SHARED: 250, OWN: 0})
    steps, forgone, races = {SHARED: ENOUGH // 3, OWN: 10}, {}, 0
    while not worth_compiling(speeds, {SHARED: steps[SHARED]}, forgone):
        forgone = forgo(speeds, steps, forgone)
        races += 1
        assert set(forgone) == {SHARED}  # the other kind is compiled
        assert forgone[SHARED] == pytest.approx(races * SAVING * SECONDS * steps[SHARED])
        assert races < 10
    assert races == 3
    assert forgo(speeds, {}, forgone) == forgone
    assert forgo(Speeds(1.0), steps, {OWN: 3.0}) == {OWN: 3.0}


def test_what_compiling_costs() -> None:
    assert compile_seconds(0) == 0
    assert COMPILE_SECONDS < compile_seconds(100) < compile_seconds(1000)


def test_speeds_are_compared_in_words() -> None:
    assert compared(3.0, 1.0) == "3.0 times as fast as"
    assert compared(1.0, 2.0) == "2.0 times slower than"


# --- blocks of a plan with compiled programs ---


def spec(**changes: Any) -> RaceSpec:
    return RaceSpec(**{"studies": 3, "trials": 8, "seeds": 3, "steps": 400, "batch_size": 32, **changes})


FORTY = spec(studies=4, seeds=2)
"""Ten trials are left of each study of the five contenders, and forty are confirmed: whole chunks."""


def plan(contenders: Sequence[Contender] = FIVE, **changes: Any) -> Plan:
    steps = {contender.label: 400 for contender in contenders}
    return replace(Plan("vectorized", "Measured.", False, steps, 100, chunk=10, compiled=(SHARED, OWN)), **changes)


def confirmation(numbers: RaceSpec, known: Plan) -> list[Block]:
    chosen = [Choice(c.label, study, 1, {"lr": 0.1}) for c in FIVE for study in range(numbers.studies)]
    return confirmation_blocks(numbers, FIVE, known, chosen)


def left(block: Block) -> int:
    return math.ceil(len(block.trials) / 4) if len(block.rungs) > 1 else len(block.trials)


def test_meanwhile_the_other_lanes_train_the_first_blocks() -> None:
    blocks = tuning_blocks(spec(), FIVE, plan())
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


def test_each_kind_of_block_has_the_engine_of_its_program() -> None:
    for kinds in ((), (SHARED,), (OWN,), (SHARED, OWN)):
        known = plan(compiled=kinds)
        for kind, blocks in (
            (SHARED, tuning_blocks(FORTY, FIVE, known)),
            (OWN, confirmation(FORTY, known)),
        ):
            assert {known.kind_of(block.trials) for block in blocks} == {kind}
            expected = ("compiled", known.chunk) if kind in kinds else ("vectorized", 0)
            assert {(block.engine, block.chunk) for block in blocks} == {expected}


def test_one_batch_for_all_is_of_one_kind() -> None:
    for block in confirmation(FORTY, plan(separate=False)):
        assert plan(separate=False).kind_of(block.trials) == SHARED
        assert block.engine == "compiled"


def test_blocks_are_in_whole_chunks_and_hold_every_trial() -> None:
    for numbers, known in ((spec(), plan()), (spec(trials=32), plan(chunk=13)), (spec(halving=False), plan(chunk=8))):
        for blocks in (tuning_blocks(numbers, FIVE, known), confirmation(numbers, known)):
            ids = [trial.id for block in blocks for trial in block.trials]
            alone = replace(known, compiled=())
            others = tuning_blocks(numbers, FIVE, alone) if "tuning" in blocks[0].id else confirmation(numbers, alone)
            assert sorted(ids) == sorted(trial.id for block in others for trial in block.trials)
            assert len({block.id for block in blocks}) == len(blocks)
            for block in blocks:
                spare = math.ceil(left(block) / known.chunk) * known.chunk
                assert (block.engine == "compiled") == (spare <= MOST_SPARE * left(block))
            size = max(1, round(BLOCK_TRIALS / known.chunk)) * known.chunk
            assert all(left(block) <= max(size, numbers.trials) for block in blocks)


def test_a_block_that_would_be_mostly_copies_is_not_compiled() -> None:
    two = make_contenders(["sgd", "adam"])
    numbers = spec(studies=1)
    (block,) = tuning_blocks(numbers, two, plan(two))
    assert (left(block), block.engine, block.chunk) == (4, "vectorized", 0)
    for chunk, engine in ((4, "compiled"), (5, "compiled"), (6, "vectorized")):  # 5 / 4 and 6 / 4
        (block,) = tuning_blocks(numbers, two, plan(two, chunk=chunk))
        assert block.engine == engine


def test_blocks_trained_meanwhile_are_the_same_ones_uncompiled() -> None:
    blocks = tuning_blocks(spec(), FIVE, plan())
    some = (blocks[0].id, blocks[2].id)
    assert {block.engine for block in blocks} == {"compiled"}
    for block, other in zip(blocks, tuning_blocks(spec(), FIVE, plan(meanwhile=some)), strict=True):
        if block.id in some:
            assert other == replace(block, engine="vectorized", chunk=0)
        else:
            assert other == block


def test_looped_blocks_have_no_chunks_nor_products_of_another_library() -> None:
    known = plan(objects=("sgd",), onednn=True)
    for block in (*tuning_blocks(spec(), FIVE, known), *confirmation(spec(), known)):
        looped = {trial.contender for trial in block.trials} == {"sgd"}
        assert (block.engine == "loop") == looped
        assert block.onednn != looped
        assert not (looped and block.chunk)


def test_little_memory_bounds_what_is_computed_at_a_time() -> None:
    for block in tuning_blocks(spec(), FIVE, plan(compiled=(), most=6)):
        assert block.chunk == 6
    for block in tuning_blocks(spec(), FIVE, plan(compiled=(), most=1000)):
        assert block.chunk == 0


@pytest.mark.parametrize("trials", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("contenders", [1, 2, 5, 20])
def test_chunks_are_equal_parts_of_what_is_left_of_a_study(trials: int, contenders: int) -> None:
    for parameters in (SMALL - 1, SMALL):
        chunk = chunk_of(spec(trials=trials), contenders, parameters)
        alive = max(LEAST_CHUNK, trials // 4 * contenders)
        parts = math.ceil(alive / chunk)
        assert LEAST_CHUNK <= chunk <= 36
        assert parts * chunk - alive < parts  # the last chunk is almost full
    assert chunk_of(spec(trials=64), 20, SMALL) <= chunk_of(spec(trials=64), 20, SMALL - 1)
    assert chunk_of(spec(trials=16, halving=False), 2, SMALL) == chunk_of(spec(trials=64), 2, SMALL)


def test_a_plan_is_known_by_its_json() -> None:
    known = plan(opened=(OWN,), meanwhile=("tuning/0000/0000",), onednn=True, most=7, separate=False, untrained=0.5)
    assert Plan.from_dict(json.loads(json.dumps(known.to_dict()))) == known
    # A plan that was stored before there were such programs has none.
    old = {"engine": "vectorized", "reason": "", "stochastic": False, "steps": {}, "parameters": 1}
    assert (Plan.from_dict(old).compiled, Plan.from_dict(old).chunk) == ((), 0)


# --- what is remembered ---


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    return tmp_path / "choices"


def test_choices_are_remembered_beside_those_before(folder: Path) -> None:
    memory = Memory("race 1")
    assert memory.recall() == {}
    assert not folder.exists()
    memory.keep(plan={"chunk": 3}, forgone={SHARED: 1.5})
    memory.keep(plan={"chunk": 4})
    assert Memory("race 1").recall() == {"plan": {"chunk": 4}, "forgone": {SHARED: 1.5}}
    assert Memory("race 2").recall() == {}
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"3", b"\xff\xfe\x00", b"{}"])
def test_a_damaged_memory_is_a_new_one(folder: Path, content: bytes) -> None:
    memory = Memory("race 1")
    memory.keep(plan=1)
    (file,) = folder.iterdir()
    file.write_bytes(content)
    assert memory.recall() == {}
    memory.keep(ways=2)
    assert memory.recall() == {"ways": 2}


def test_a_folder_that_cannot_be_written_to_costs_the_memory_alone(folder: Path) -> None:
    folder.write_text("a file where the folder would be")
    memory = Memory("race 1")
    memory.keep(plan=1)
    assert memory.recall() == {}


def test_another_machine_or_pytorch_remembers_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Memory("race 1").keep(plan=1)
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "machine", lambda: "another")
        assert Memory("race 1").recall() == {}
    monkeypatch.setattr(paths.torch, "__version__", "0.0")
    assert Memory("race 1").recall() == {}
    assert len(list(folder.iterdir())) == 1
