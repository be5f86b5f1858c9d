"""Compiled programs train as the loop engine does, are kept, and are done without where they cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from agreement import assert_agree, assert_close, setup, training
from gradrace.engine import fused, native, programs
from gradrace.engine.clock import Clock
from gradrace.engine.loop import Loop
from gradrace.engine.native import lowering
from gradrace.engine.programs import NotCompiledYet
from gradrace.engine.trial import Training, TrialSetup
from gradrace.engine.vectorized import Vectorized, VectorizedTrials
from gradrace.optim import _compiler
from gradrace.workloads import Workload, workload

STEPS = 20
WORK = workload("linear")
TRAINING = Training(2 * STEPS, WORK.batch_size, "cosine", dtype=torch.float64)


@pytest.fixture(autouse=True)
def _needs_a_compiler() -> None:
    if _compiler.machine() is None:
        pytest.skip("there is no C compiler")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, in which nothing can be compiled but updates."""
    original = _compiler.compiled
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    monkeypatch.setattr(_compiler, "compiled", lambda source, fused=False: None if fused else original(source, fused))
    return tmp_path


def libraries(folder: Path) -> set[Path]:
    return set((folder / "steps").glob("*.so"))


def trials(streams: int = 1) -> list[TrialSetup]:
    """Five, of two update rules."""
    rules = ("sgd", "sgd", "adam", "adam", "adam")
    return [setup(rule, {"lr": 0.02 * (n + 1)}, (0, 0, 1 + n % streams)) for n, rule in enumerate(rules)]


def start(engine: Loop | Vectorized, streams: int = 1) -> Any:
    return engine.start(trials(streams), TRAINING)


def assert_agrees_with_the_loop(engine: Vectorized, streams: int = 1) -> None:
    found, loop = start(engine, streams), start(Loop(WORK), streams)
    for until in (1, 8):
        assert_agree(found, loop, until)
    for one in (found, loop):
        one.keep([1, 2, 4])
    assert_agree(found, loop, STEPS)


def everything(trials: VectorizedTrials) -> list[Tensor]:
    """All that a block is made of."""
    states = [tensor for group in trials._groups for tensor in group.state[""]]
    return [trials._at.flat, *trials._own[0].values(), *states]


def assert_same(one: VectorizedTrials, other: VectorizedTrials) -> None:
    for a, b in zip(everything(one), everything(other), strict=True):
        assert torch.equal(a, b)
    assert one.evaluate("validation") == other.evaluate("validation")


# --- what is compiled, and kept ---


def test_a_program_is_compiled_once_and_trains_as_the_loop_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = (Training(STEPS, 16, dtype=torch.float64), Training(STEPS, WORK.batch_size, dtype=torch.float32))
    for conditions in (TRAINING, *others):  # compiles the updates, elsewhere
        Vectorized(WORK).start(trials(), conditions)
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    clock = Clock()
    first = Vectorized(WORK, "always", clock)
    assert_agrees_with_the_loop(first)
    assert_agrees_with_the_loop(first, streams=2)
    assert first.programs.obstacle is None
    assert clock.taken()["compile"] > 0
    # One program trains, whatever the trials and streams, and one scores each split.
    assert len(libraries(tmp_path)) == 4
    assert {path.suffix for path in (tmp_path / "steps").iterdir()} <= {".so", ".lock"}

    # Who comes later takes them as they are.
    monkeypatch.setattr(_compiler, "_run", lambda *arguments: pytest.fail("it was compiled again"))
    later = Vectorized(WORK, "if cached", clock)
    assert_agrees_with_the_loop(later)
    assert "compile" not in clock.taken()
    assert later.programs.obstacle is None
    assert start(later).train(STEPS) == start(first).train(STEPS)

    # A batch of another size, another dtype, another machine: each would be another file.
    for other in others:
        with pytest.raises(NotCompiledYet):
            Vectorized(WORK, "if cached").start(trials(), other).train(1)
    known = _compiler._compiler()
    assert known is not None
    monkeypatch.setattr(_compiler, "_compiler", lambda: (known[0], f"{known[1]}\n#define ANOTHER"))
    with pytest.raises(NotCompiledYet):
        start(Vectorized(WORK, "if cached")).train(1)


@pytest.mark.parametrize("content", [b"", b"half a file", b"\x7fELF" + bytes(100), None])
def test_a_damaged_library_is_compiled_anew(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    compiler, (_, form) = _compiler._compiler(), tree_flatten((0,))
    assert compiler is not None
    one, other = (native.draft(lambda x, n=n: n * x, [torch.ones(3)], form) for n in (2, 3))
    assert native.known(one) is None
    native.compiled(other)
    (library,) = libraries(tmp_path)
    whole = library.read_bytes()
    damaged = _compiler._path(one.text, compiler, True)
    damaged.write_bytes(whole[: len(whole) // 2] if content is None else content)  # to load half may end the process
    assert native.known(one) is None
    assert native.compiled(one).run([torch.ones(1, 3)], [True], 1)[0].tolist() == [[2, 2, 2]]
    assert len(damaged.read_bytes()) > len(whole) // 2
    assert native.known(one) is not None


@pytest.mark.usefixtures("empty")
def test_what_is_not_there_has_a_size() -> None:
    engine = Vectorized(WORK, "if cached")
    with pytest.raises(NotCompiledYet) as missing:
        start(engine).train(1)
    assert 3 <= missing.value.size < 50
    assert engine.programs.obstacle is None
    engine.programs.compiling = "never"  # and it is not taken for known after that
    assert_agrees_with_the_loop(engine)


def test_a_draft_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    original = native.draft
    monkeypatch.setattr(native, "draft", lambda *given: written.append(given) or original(*given))
    monkeypatch.setattr(native, "known", lambda made: None)
    engine = Vectorized(WORK, "if cached")
    for _ in range(3):
        with pytest.raises(NotCompiledYet):
            start(engine).train(1)
    assert len(written) == 1


@pytest.mark.parametrize("most", [0, programs.MOST_OPERATIONS])
def test_large_programs_that_evaluate_run_as_they_were_traced(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_OPERATIONS", most)
    engine = Vectorized(WORK, "always")
    assert_agrees_with_the_loop(engine)
    kinds = {key[0]: found is not None for (key, *_), found in engine.programs._compiled.items()}
    assert kinds == {"gradients": True, "judged": most > 0}
    assert engine.programs.obstacle is None


@pytest.mark.parametrize("most", [0, programs.MOST_TRACED])
def test_large_programs_that_evaluate_are_not_traced(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_TRACED", most)
    engine = Vectorized(WORK)
    assert_agrees_with_the_loop(engine)
    assert {key[0][0] for key in engine.programs._traced} == {"gradients"} | ({"judged", "score"} if most else set())
    assert engine.programs.tracing > 0


# --- where there are none ---


def test_a_fault_of_the_compiler_is_an_obstacle_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise KeyError("a rule that forgot something")

    monkeypatch.setitem(lowering.RULES, "sum", broken)
    engine, plain = Vectorized(WORK, "always"), Vectorized(WORK)
    assert start(engine).train(STEPS) == start(plain).train(STEPS)
    assert engine.programs.obstacle == "the compiler failed with KeyError: 'a rule that forgot something'"


@pytest.mark.parametrize("compiling", ["always", "if cached"])
def test_without_a_compiler_blocks_run_as_they_were_traced(compiling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compiler, "_compiler", lambda: None)
    engine = Vectorized(WORK, compiling)
    assert_agrees_with_the_loop(engine)
    assert engine.programs.obstacle == "no C compiler works on this machine"


def test_a_program_that_cannot_be_compiled_runs_as_it_was_traced(empty: Path) -> None:
    start(Vectorized(WORK)).train(1)
    before = libraries(empty)
    engine, plain = Vectorized(WORK, "always"), Vectorized(WORK)
    assert_agrees_with_the_loop(engine)
    assert engine.programs.obstacle == "the C compiler refused it"
    assert libraries(empty) == before
    assert start(engine).train(STEPS) == start(plain).train(STEPS)


def test_a_folder_that_cannot_be_written_to_is_an_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps").write_text("a file where the folder would be")
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    engine = Vectorized(WORK, "always")
    assert_agrees_with_the_loop(engine)
    assert engine.programs.obstacle is not None
    assert engine.programs.obstacle.startswith("the cache folder cannot be written to (")


def linear_on(loss: Any, **changes: Any) -> Workload:
    generator = torch.Generator().manual_seed(5)
    data = {"train": tuple(torch.randn(60, n, generator=generator) for n in (4, 1)), "validation": 0.2, "test": 0.2}
    return Workload("mine", lambda: nn.Linear(4, 1), loss, **{"metric": "mae", "batch_size": 8, **data, **changes})


def test_an_operation_that_is_not_known_is_named_and_trained_without() -> None:
    task = linear_on(lambda output, target: (output.cumsum(0) - target).square().mean())
    engine, loop = Vectorized(task, "always"), Loop(task)
    given = [setup("sgd", {"lr": 0.01}, (0, 0, 1))]
    assert_agree(engine.start(given, training(task)), loop.start(given, training(task)), 5)
    assert engine.programs.obstacle == "aten.cumsum.default"


# --- one trial after another, many steps at once ---


@pytest.fixture(scope="module")
def engine() -> Vectorized:
    return Vectorized(WORK, "always")


@pytest.mark.parametrize("streams", [1, 2])
def test_a_trial_is_the_same_alone_to_the_last_bit(engine: Vectorized, streams: int) -> None:
    many = start(engine, streams)
    losses = many.train(STEPS)
    for row, one in enumerate(trials(streams)):
        alone = engine.start([one], TRAINING)
        assert_close(alone.train(STEPS), [losses[row]], 1e-14)  # PyTorch adds up a column in another order
        assert torch.equal(alone._at.flat[0], many._at.flat[row])


@pytest.mark.parametrize("streams", [1, 2])
def test_steps_at_once_are_steps_one_by_one_to_the_last_bit(
    engine: Vectorized, streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, pieces, single, apart = (start(engine, streams) for _ in range(4))
    once.train(STEPS)
    for until in (1, 2, 9, STEPS):
        pieces.train(until)
    assert_same(once, pieces)
    with monkeypatch.context() as patch:
        patch.setattr(fused, "MOST_STEPS", 1)
        single.train(STEPS)
    assert_same(once, single)
    # Gradients of all, then updates of all, as where something happens between the two.
    with monkeypatch.context() as patch:
        patch.setattr(VectorizedTrials, "_whole_steps", lambda self: False)
        patch.setattr(fused, "advance", lambda *given: pytest.fail("whole steps were taken"))
        apart.train(STEPS)
    assert_same(once, apart)


def test_steps_at_once_are_bounded_by_memory_and_by_what_is_left() -> None:
    batch = (torch.zeros(1 << 16),)
    assert fused.steps_at_once([batch], 1000) == fused.AT_ONCE // (4 << 16) == 4
    assert fused.steps_at_once([batch, batch], 1000) == 2
    assert fused.steps_at_once([batch], 3) == 3
    assert fused.steps_at_once([(torch.zeros(1 << 22),)], 5) == 1
    assert fused.steps_at_once([(torch.zeros(1),)], 1000) == fused.MOST_STEPS


def test_an_index_out_of_range_is_an_error_of_the_block() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(5, 1))

        def forward(self, words: Tensor) -> Tensor:
            return self.table[words].mean(1)

    words = torch.arange(60).remainder(5).reshape(30, 2)
    task = Workload(
        "mine", Table, nn.functional.mse_loss, metric="mae", batch_size=4,
        train=(words, torch.zeros(30, 1)), validation=(words, torch.zeros(30, 1)), test=(words, torch.zeros(30, 1)),
    )  # fmt: skip
    engine = Vectorized(task, "always")
    given = [setup("sgd", {"lr": 0.01}, (0, 0, 1))]
    assert_agree(engine.start(given, training(task)), Loop(task).start(given, training(task)), 3)
    words[17, 1] = 5
    with pytest.raises(native.OutOfRange, match="out of range"):
        engine.start(given, training(task)).train(10)
    with pytest.raises(native.OutOfRange):
        engine.start(given, training(task)).evaluate("validation")
