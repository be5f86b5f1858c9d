"""How blocks are trained in a race: compiled, one after another, a few at a time; and what the summary says of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, fx

import gradrace
from gradrace.engine import compiled
from gradrace.engine.vectorized import VectorizedTrials
from gradrace.outcomes import Outcome, notes_of
from gradrace.race import orchestrator, planning, probe
from gradrace.race.paths import Speeds
from gradrace.race.plan import OWN, SHARED
from gradrace.race.train import Compiled
from gradrace.store import open_store
from inline_lanes import InlineLanes

# Eight trials are left of a study and 24 are confirmed: chunks of eight, and blocks of both kinds.
SMALL: dict[str, Any] = {"studies": 3, "trials": 16, "seeds": 4, "steps": 16}
TRIED_STEPS = 6
"""Of the training by which a workload is tried; a race's own trials are longer."""
COMPILE = {kind: key for key, kind in orchestrator.COMPILING.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own: nothing is remembered."""
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A compiler that leaves programs as they are, and lists those it was given."""
    known: dict[Path, Callable[[list[Tensor]], list[Tensor]]] = {}

    def compile_it(graph: fx.GraphModule, arguments: Any, path: Path) -> Callable[[list[Tensor]], list[Tensor]]:
        known[path] = lambda tensors: graph(*tensors)
        made.append(path)
        return known[path]

    made: list[Path] = []
    monkeypatch.setattr(compiled, "machine", lambda: "some machine")
    monkeypatch.setattr(compiled, "loaded", known.get)
    monkeypatch.setattr(compiled, "compiled", compile_it)
    return made


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The engine of every block trained in this test, by id."""
    trained: dict[str, str] = {}
    original = orchestrator.train_block

    def train_block(state: dict[str, Any], progress: Any, block: Any, way: Any = None) -> Any:
        trained[block.id] = way.engine if way else block.engine
        return original(state, progress, block, way)

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


def by_stage(engines: dict[str, str]) -> dict[str, set[str]]:
    stages = {id.partition("/")[0] for id in engines}
    return {stage: {engine for id, engine in engines.items() if id.startswith(f"{stage}/")} for stage in stages}


# --- compiled blocks ---


def test_a_compiled_race_ends_as_a_vectorized_one(
    tmp_path: Path, programs: list[Path], engines: dict[str, str], inline_lanes: type[InlineLanes]
) -> None:
    store = tmp_path / "races.db"
    result = race(store, engine="compiled")
    assert len(set(programs)) == len(programs) == 2
    found = by_stage(engines)
    assert found["tuning"] == found["confirmation"] == {"compiled"}
    assert [key for key in inline_lanes.ran if key in COMPILE.values()] == [COMPILE[SHARED], COMPILE[OWN]]
    ways = notes(store, result.id, "way")
    assert {kind: way["engine"] for kind, way in ways.items()} == {SHARED: "compiled", OWN: "compiled"}
    plan = result.to_json()["plan"]
    assert plan["compiled"] == [SHARED, OWN]
    assert all(way["reason"] in plan["reason"] for way in ways.values())
    assert result.warnings == race(store, engine="vectorized").warnings
    assert_same_standings(result, race(store, engine="vectorized"))
    assert len(programs) == 2  # who asks for the vectorized engine has nothing compiled


@pytest.mark.usefixtures("inline_lanes")
def test_a_program_that_cannot_be_compiled_is_told_and_done_without(
    tmp_path: Path, programs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("the assembler is broken")

    monkeypatch.setattr(compiled, "compiled", refuse)
    store = tmp_path / "races.db"
    result = race(store, engine="compiled")
    assert programs == []
    reason = result.to_json()["plan"]["reason"]
    assert f"Blocks with {SHARED} were not compiled: the assembler is broken." in reason
    assert_same_standings(result, race(store, engine="vectorized"))
    monkeypatch.setattr(compiled, "machine", lambda: None)
    with pytest.raises(gradrace.SpecError, match="Nothing can be compiled for 'linear': no C compiler works"):
        race(store, engine="compiled", steps=20)


def measured(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Have the workload's try find this."""
    original = probe._findings

    def findings(state: dict[str, Any]) -> probe.Findings:
        return replace(original(state), **changes)

    monkeypatch.setattr(probe, "_findings", findings)


def with_speeds(monkeypatch: pytest.MonkeyPatch, slower: str) -> None:
    """Compiling seems to pay, and takes as long as one block; then programs of one kind turn out to be no faster."""
    speeds = Speeds(loop=2.0, vectorized=0.026, nodes={SHARED: 100, OWN: 100})
    monkeypatch.setattr(planning, "worth_compiling", lambda *measured: (SHARED, OWN))
    measured(monkeypatch, engine="vectorized", reason="Slow.", onednn=False, speeds=speeds)
    original = orchestrator.compile_program

    def compile_program(state: dict[str, Any], progress: Any, block: Any) -> Compiled:
        found = original(state, progress, block)
        kind = OWN if len({trial.seed for trial in block.trials}) > 1 else SHARED
        return replace(found, vectorized=1.0, compiled=2.0 if kind == slower else 0.5)

    monkeypatch.setattr(orchestrator, "compile_program", compile_program)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("slower", [SHARED, OWN])
def test_what_was_chosen_is_chosen_again_on_another_store(
    tmp_path: Path,
    engines: dict[str, str],
    inline_lanes: type[InlineLanes],
    monkeypatch: pytest.MonkeyPatch,
    slower: str,
) -> None:
    with monkeypatch.context() as patch:
        with_speeds(patch, slower)
        first = race(tmp_path / "one.db", lanes=2)
    assert {key for key in inline_lanes.ran if key in COMPILE.values()} == set(COMPILE.values())
    before = dict(engines)
    other = {"vectorized"} if slower == SHARED else {"compiled", "vectorized"}  # some are trained meanwhile
    assert by_stage(before)["tuning"] == other
    assert by_stage(before)["confirmation"] == {"compiled" if slower == SHARED else "vectorized"}
    faster = OWN if slower == SHARED else SHARED
    assert first.to_json()["plan"]["compiled"] == [faster]
    assert f"Blocks with {faster}: compiled 2.0 times as fast as not compiled." in first.to_json()["plan"]["reason"]

    # What is measured now would have every block trained one trial after another.
    measured(monkeypatch, engine="loop", reason="Fast.", speeds=None, chunk=5, onednn=True)
    engines.clear()
    inline_lanes.ran = []
    second = race(tmp_path / "two.db", lanes=2)
    assert second.id == first.id
    assert engines == before
    assert not set(inline_lanes.ran) & set(COMPILE.values())
    assert second.to_json()["plan"] == first.to_json()["plan"]
    assert_same_standings(second, first)


class Stopping(InlineLanes):
    """Is stopped after the first block that follows the compiling of a program."""

    ran: ClassVar[list[str]] = []

    def run(self, tasks: Any, progress: Any = lambda trial_steps: None) -> Any:
        for result in super().run(tasks, progress):
            yield result
            if "/" in result.key and set(COMPILE.values()) & set(Stopping.ran):
                raise KeyboardInterrupt


@pytest.mark.usefixtures("programs")
def test_a_race_that_goes_on_keeps_to_what_it_chose(
    tmp_path: Path, cache: Path, engines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lanes = tmp_path / "races.db", orchestrator.Lanes
    monkeypatch.setattr(orchestrator, "Lanes", Stopping)
    with monkeypatch.context() as patch:
        with_speeds(patch, SHARED)
        with pytest.raises(gradrace.Interrupted) as stopped:
            race(store)
    shutil.rmtree(cache)  # only the store remembers
    ways = notes(store, str(stopped.value).split()[-1], "way")
    assert ways[SHARED]["engine"] == "vectorized"

    # By now compiled programs would be the faster ones.
    with_speeds(monkeypatch, "none")
    InlineLanes.ran = []
    monkeypatch.setattr(orchestrator, "Lanes", InlineLanes)
    result = gradrace.resume(str(stopped.value).split()[-1], store=store)
    assert COMPILE[SHARED] not in InlineLanes.ran
    assert COMPILE[OWN] in InlineLanes.ran
    assert by_stage(engines)["tuning"] == {"vectorized"}
    assert by_stage(engines)["confirmation"] == {"compiled"}
    assert result.to_json()["plan"]["compiled"] == [OWN]
    monkeypatch.setattr(orchestrator, "Lanes", lanes)


# --- blocks that cannot be trained as planned ---


def raising(monkeypatch: pytest.MonkeyPatch, when: Callable[[VectorizedTrials], bool], error: Exception) -> None:
    """Have the vectorized engine raise in the second half of a race's own trials."""
    original = VectorizedTrials.train

    def train(self: VectorizedTrials, until: int) -> list[float]:
        if self.training.steps > TRIED_STEPS and until > self.training.steps // 2 and when(self):
            raise error
        return original(self, until)

    monkeypatch.setattr(VectorizedTrials, "train", train)


@pytest.mark.usefixtures("inline_lanes")
def test_where_memory_runs_out_fewer_trials_are_trained_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = race(tmp_path / "plain.db", engine="vectorized")
    seen: list[int] = []

    def too_many(trials: VectorizedTrials) -> bool:
        seen.append(trials._chunks[0].stop)
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
