"""How blocks are trained in a race: compiled, one after another, a few at a time; and what the summary says of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import gradrace
from gradrace.engine import native
from gradrace.engine.loop import LoopTrials
from gradrace.engine.native import Draft, Program
from gradrace.engine.vectorized import VectorizedTrials
from gradrace.optim import _compiler
from gradrace.outcomes import Outcome, notes_of
from gradrace.race import orchestrator, planning, probe
from gradrace.race.orchestrator import COMPILING, ENGINE
from gradrace.race.paths import SAVING, Speeds, compile_seconds
from gradrace.race.train import Compiled
from gradrace.store import open_store
from inline_lanes import InlineLanes

SMALL: dict[str, Any] = {"studies": 3, "trials": 16, "seeds": 4, "steps": 16}
TRIED_STEPS = 6
"""Of the training by which a workload is tried; a race's own trials are longer."""
MADE: dict[str, Program] = {}
"""All that these tests have compiled, by its text: a test's folder is empty, but nothing is compiled twice."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own: nothing is remembered."""
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that a test has compiled: none at first."""
    if _compiler.machine() is None:
        pytest.skip("there is no C compiler")
    original, known = native.compiled, list[str]()

    def compiled(made: Draft) -> Program:
        if made.text not in MADE:
            MADE[made.text] = original(made)
        known.append(made.text)
        return MADE[made.text]

    monkeypatch.setattr(native, "compiled", compiled)
    monkeypatch.setattr(native, "known", lambda made: MADE[made.text] if made.text in known else None)
    return known


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The engine of every block trained in this test, by id."""
    trained: dict[str, str] = {}
    original = orchestrator.train_block

    def train_block(state: dict[str, Any], progress: Any, block: Any, settled: Any = None) -> Any:
        trained[block.id] = settled.engine if settled else block.engine
        return original(state, progress, block, settled)

    monkeypatch.setattr(orchestrator, "train_block", train_block)
    return trained


def race(store: Path, **changes: Any) -> Any:
    return gradrace.race("linear", ["sgd", "adam"], store=store, **{**SMALL, **changes})


def notes(store: Path, race: str, what: str) -> dict[str, Any]:
    with open_store(store, must_exist=True) as opened:
        return dict(notes_of(opened.notes(race), what))


def ends(store: Path, race: str) -> dict[str, Any]:
    def end(outcome: Outcome) -> Any:
        values = [value and pytest.approx(value, rel=1e-4) for value in (outcome.validation, outcome.test)]
        return outcome.status, outcome.steps, *values

    with open_store(store, must_exist=True) as opened:
        return {outcome.trial: end(outcome) for outcome in opened.outcomes(race)}


def assert_same_standings(one: Any, other: Any) -> None:
    for a, b in zip(one.standings, other.standings, strict=True):
        assert (a["label"], a["place"], a["configuration"]) == (b["label"], b["place"], b["configuration"])
        assert a["test"]["mean"] == pytest.approx(b["test"]["mean"], rel=1e-4)


def by_stage(engines: dict[str, str]) -> tuple[set[str], set[str]]:
    """The engines of the tuning, and of what comes after it."""
    tuning = {engine for id, engine in engines.items() if id.startswith("tuning/")}
    return tuning, {engine for id, engine in engines.items() if not id.startswith("tuning/")}


def settled_note(store: Path, race: str) -> dict[str, Any]:
    with open_store(store, must_exist=True) as opened:
        return dict(opened.notes(race)[ENGINE])


# --- compiled blocks ---


def test_a_compiled_race_ends_as_a_vectorized_one(
    tmp_path: Path, programs: list[str], engines: dict[str, str], inline_lanes: type[InlineLanes]
) -> None:
    store = tmp_path / "races.db"
    result = race(store, engine="compiled")
    assert len(set(programs)) == len(programs) == 3  # one that trains, and one for each split that is scored
    assert by_stage(engines) == ({"compiled"}, {"compiled"})
    assert inline_lanes.ran.count(COMPILING) == 1
    known = settled_note(store, result.id)
    plan = result.to_json()["plan"]
    assert plan["compiled"] is True
    assert plan["reason"].endswith(known["reason"])
    assert "times as fast as not compiled." in known["reason"]
    plain = race(store, engine="vectorized")
    assert result.warnings == plain.warnings
    assert_same_standings(result, plain)
    assert len(programs) == 3  # who asks for the vectorized engine has nothing compiled
    assert plain.to_json()["plan"]["compiled"] is False

    # The next race of this kind finds its programs, and compiles nothing.
    again = race(store, engine="compiled", steps=20)
    assert len(programs) == 3
    assert inline_lanes.ran.count(COMPILING) == 1
    assert again.to_json()["plan"]["compiled"] is True


@pytest.mark.usefixtures("inline_lanes")
def test_a_program_that_cannot_be_compiled_is_told_and_done_without(
    tmp_path: Path, programs: list[str], engines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(made: Draft) -> Program:
        raise RuntimeError("the C compiler refused it")

    store = tmp_path / "races.db"
    with monkeypatch.context() as patch:
        patch.setattr(native, "compiled", refuse)
        result = race(store, engine="compiled")
    assert programs == []
    assert "Blocks were not compiled: the C compiler refused it." in result.to_json()["plan"]["reason"]
    assert set(engines.values()) == {"compiled"}  # whose programs run as they were traced
    assert_same_standings(result, race(store, engine="vectorized"))


@pytest.mark.usefixtures("inline_lanes")
def test_without_a_compiler_a_race_says_so_and_trains_without(
    tmp_path: Path, engines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_compiler, "_compiler", lambda: None)
    store = tmp_path / "races.db"
    result = race(store)
    assert "compiled" not in engines.values()
    assert "it was not compiled: no C compiler works on this machine." in result.to_json()["plan"]["reason"]
    assert result.to_json()["plan"]["compiled"] is False
    with pytest.raises(gradrace.SpecError, match="Nothing can be compiled for 'linear': no C compiler works"):
        race(store, engine="compiled")


@pytest.mark.usefixtures("inline_lanes")
def test_an_operation_that_is_not_known_is_named(tmp_path: Path, engines: dict[str, str]) -> None:
    task = gradrace.Workload(
        "running sums",
        lambda: torch.nn.Linear(4, 1),
        lambda output, target: (output.cumsum(0) - target).square().mean(),
        train=(torch.randn(60, 4), torch.randn(60, 1)),
        validation=0.2,
        test=0.2,
        metric="mae",
        batch_size=8,
    )
    result = gradrace.race(task, ["sgd", "adam"], store=tmp_path / "races.db", **SMALL)
    assert "it was not compiled: aten.cumsum.default." in result.to_json()["plan"]["reason"]
    assert "compiled" not in engines.values()
    with pytest.raises(
        gradrace.SpecError, match=r"Nothing can be compiled for 'running sums': aten\.cumsum\.default\."
    ):
        gradrace.race(task, ["sgd", "adam"], store=tmp_path / "races.db", engine="compiled", **SMALL)


def test_the_try_evaluates_few_trials(
    tmp_path: Path, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    for kind in (LoopTrials, VectorizedTrials):
        original = kind.evaluate

        def evaluate(self: Any, split: str, original: Any = original) -> Any:
            found = original(self, split)
            counts.append(len(found.metric))
            return found

        monkeypatch.setattr(kind, "evaluate", evaluate)
    tries: list[list[int]] = []
    findings = probe._findings
    monkeypatch.setattr(probe, "_findings", lambda state: (findings(state), tries.append(list(counts)))[0])
    race(tmp_path / "races.db")
    # The untrained model and one contender by the loop engine; each other way twice, the first of which may trace.
    assert tries == [[1, 1, *[probe.TRIALS_EACH] * (len(tries[0]) - 2)]]
    assert len(tries[0]) in (4, 6)


def measured(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Have the workload's try find this."""
    original = probe._findings

    def findings(state: dict[str, Any]) -> probe.Findings:
        return replace(original(state), **changes)

    monkeypatch.setattr(probe, "_findings", findings)


def with_speeds(monkeypatch: pytest.MonkeyPatch, compiled: float) -> None:
    """Compiling seems to pay, and takes as long as one block; then a step takes so much of the time without."""
    speeds = Speeds(loop=2.0, vectorized=0.0045, size=100)
    monkeypatch.setattr(planning, "worth_compiling", lambda *measured: True)
    measured(monkeypatch, engine="vectorized", reason="Slow.", onednn=False, speeds=speeds)
    original = orchestrator.compile_program

    def compile_program(state: dict[str, Any], progress: Any, block: Any, engine: str) -> Compiled:
        return replace(original(state, progress, block, engine), without=1.0, compiled=compiled)

    monkeypatch.setattr(orchestrator, "compile_program", compile_program)


def as_settled(compiled: float) -> tuple[set[str], set[str]]:
    """The engines of each stage, if a compiled step takes so much of the time: some blocks are trained meanwhile."""
    if compiled > 1:
        return {"vectorized"}, {"vectorized"}
    return {"compiled", "vectorized"}, {"compiled"}


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("compiled", [0.5, 2.0], ids=["faster", "slower"])
def test_what_was_chosen_is_chosen_again_on_another_store(
    tmp_path: Path,
    engines: dict[str, str],
    inline_lanes: type[InlineLanes],
    monkeypatch: pytest.MonkeyPatch,
    compiled: float,
) -> None:
    with monkeypatch.context() as patch:
        with_speeds(patch, compiled)
        first = race(tmp_path / "one.db", lanes=2)
    assert inline_lanes.ran.count(COMPILING) == 1
    before = dict(engines)
    assert by_stage(before) == as_settled(compiled)
    assert first.to_json()["plan"]["compiled"] is (compiled < 1)
    words = "2.0 times as fast as" if compiled < 1 else "0.5 times as fast as"
    assert f"Compiled, blocks train {words} not compiled." in first.to_json()["plan"]["reason"]

    # What is measured now would have every block trained one trial after another.
    measured(monkeypatch, engine="loop", reason="Fast.", speeds=None, onednn=True)
    engines.clear()
    inline_lanes.ran = []
    second = race(tmp_path / "two.db", lanes=2)
    assert second.id == first.id
    assert engines == before
    assert COMPILING not in inline_lanes.ran
    assert second.to_json()["plan"] == first.to_json()["plan"]
    assert_same_standings(second, first)


@pytest.mark.usefixtures("programs", "inline_lanes")
def test_who_insists_on_compiled_blocks_has_them_though_they_are_slower(
    tmp_path: Path, engines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_speeds(monkeypatch, 2.0)
    result = race(tmp_path / "races.db", lanes=2, engine="compiled")
    assert by_stage(engines) == ({"compiled"}, {"compiled"})  # nor is any trained meanwhile
    assert "Compiled, blocks train 0.5 times as fast as not compiled." in result.to_json()["plan"]["reason"]


class Stopping(InlineLanes):
    """Is stopped after the first block that follows the compiling of the program."""

    ran: ClassVar[list[str]] = []

    def run(self, tasks: Any, *others: Any, **named: Any) -> Any:
        for result in super().run(tasks, *others, **named):
            yield result
            if "/" in result.key and COMPILING in Stopping.ran:
                raise KeyboardInterrupt


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("compiled", [0.5, 2.0], ids=["faster", "slower"])
def test_a_race_that_goes_on_keeps_to_what_it_chose(
    tmp_path: Path, cache: Path, engines: dict[str, str], monkeypatch: pytest.MonkeyPatch, compiled: float
) -> None:
    store = tmp_path / "races.db"
    Stopping.ran = []
    monkeypatch.setattr(orchestrator, "Lanes", Stopping)
    with monkeypatch.context() as patch:
        with_speeds(patch, compiled)
        with pytest.raises(gradrace.Interrupted) as stopped:
            race(store, lanes=2)
    name = str(stopped.value).split()[-1]
    shutil.rmtree(cache)  # only the store remembers
    assert settled_note(store, name)["engine"] == ("compiled" if compiled < 1 else "vectorized")

    # By now it would be the other way round.
    with_speeds(monkeypatch, 1 / compiled)
    InlineLanes.ran = []
    monkeypatch.setattr(orchestrator, "Lanes", InlineLanes)
    result = gradrace.resume(name, store=store)
    assert COMPILING not in InlineLanes.ran
    assert by_stage(engines) == as_settled(compiled)
    assert result.to_json()["plan"]["compiled"] is (compiled < 1)


@pytest.mark.usefixtures("programs")
def test_what_several_races_forgo_is_remembered(
    tmp_path: Path, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiles(seed: int, step: float) -> tuple[bool, int]:
        inline_lanes.ran = []
        with monkeypatch.context() as patch:
            measured(patch, engine="vectorized", reason="Slow.", speeds=Speeds(loop=2.0, vectorized=step, size=100))
            result = race(tmp_path / "races.db", seed=seed, studies=1, trials=4, seeds=1)
        return COMPILING in inline_lanes.ran, result.to_json()["cost"]["trial_steps"]

    found, steps = compiles(0, 1e-12)
    assert not found
    # Each race would save most of what compiling costs: the second of them compiles, and then there is nothing left.
    step = 0.8 * compile_seconds(100) / (SAVING * steps)
    assert [compiles(seed, step)[0] for seed in (1, 2, 3)] == [False, True, False]


# --- blocks that cannot be trained as planned ---


def raising(monkeypatch: pytest.MonkeyPatch, when: Callable[[VectorizedTrials], bool], error: Exception) -> None:
    """Have the vectorized engine raise in the second half of a race's own trials."""
    original = VectorizedTrials.advance

    def advance(self: VectorizedTrials, until: int) -> None:
        if self.training.steps > TRIED_STEPS and until > self.training.steps // 2 and when(self):
            raise error
        original(self, until)

    monkeypatch.setattr(VectorizedTrials, "advance", advance)


@pytest.mark.usefixtures("inline_lanes")
def test_where_memory_runs_out_fewer_trials_are_trained_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = race(tmp_path / "plain.db", engine="vectorized")
    seen: list[int] = []

    def too_many(trials: VectorizedTrials) -> bool:
        seen.append(trials._at.slices[0].stop)
        return seen[-1] > 3

    raising(monkeypatch, too_many, torch.OutOfMemoryError("the memory is full"))
    result = race(tmp_path / "small.db", engine="vectorized")
    assert max(seen) >= 8
    assert min(seen) in (2, 3)
    assert ends(tmp_path / "small.db", result.id) == ends(tmp_path / "plain.db", plain.id)
    smaller = notes(tmp_path / "small.db", result.id, "memory")
    fewest = {note["chunk"] for note in smaller.values()}
    assert fewest <= {2, 3}
    (said,) = [warning for warning in result.warnings if "Memory" in warning]
    assert said.startswith(f"Memory ran out in {len(smaller)} blocks: trained again from the start with fewer trials")
    assert f"down to {min(fewest)}. No trial was lost." in said
    assert [warning for warning in result.warnings if warning != said] == plain.warnings
    assert_same_standings(result, plain)


@pytest.mark.usefixtures("inline_lanes")
def test_a_block_that_raises_is_trained_by_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = race(tmp_path / "plain.db", engine="vectorized")
    raising(monkeypatch, lambda trials: len(trials._groups) > 1, RuntimeError("a look at\nvalues is not allowed"))
    result = race(tmp_path / "other.db", engine="vectorized")
    found, expected = (ends(tmp_path / name, plain.id) for name in ("other.db", "plain.db"))
    assert found == expected
    fallbacks = notes(tmp_path / "other.db", result.id, "fallback")
    assert len(fallbacks) == 4  # three studies, and the confirmation
    assert any(
        warning.startswith(f"{len(fallbacks)} blocks were trained by the loop engine, because the vectorized one")
        and warning.endswith("values is not allowed")
        for warning in result.warnings
    )
    assert_same_standings(result, plain)
