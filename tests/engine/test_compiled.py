"""Compiled programs train as traced ones do, are kept for later, and are done without where they cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from agreement import assert_agree, setup
from gradrace.engine import compiled
from gradrace.engine.clock import Clock
from gradrace.engine.loop import Loop
from gradrace.engine.programs import NotCompiledYet
from gradrace.engine.trial import Training, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.optim import _compiler
from gradrace.workloads import workload

STEPS, CHUNK = 20, 3
WORK = workload("linear")
TRAINING = Training(2 * STEPS, WORK.batch_size, dtype=torch.float64, chunk=CHUNK)


def trials() -> list[TrialSetup]:
    """Five: a chunk, and one that is filled up."""
    rules = ("sgd", "sgd", "adam", "adam", "adam")
    return [setup(rule, {"lr": 0.02 * (n + 1)}, (0, 0, 1)) for n, rule in enumerate(rules)]


def start(engine: Loop | Vectorized) -> Any:
    return engine.start(trials(), TRAINING)


def assert_agrees_with_the_loop(engine: Vectorized) -> None:
    found, loop = start(engine), start(Loop(WORK))
    for until in (1, 8):
        assert_agree(found, loop, until)
    for one in (found, loop):
        one.keep([1, 2, 4])
    assert_agree(found, loop, STEPS)


def refuse(*arguments: object) -> None:
    raise ValueError("this machine's assembler is broken\nand more that nobody reads")


def needs_a_compiler() -> None:
    if compiled.machine() is None:
        pytest.skip("there is no C compiler")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, in which nothing can be compiled."""
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled, "_compile", refuse)
    return tmp_path


def test_a_program_is_compiled_once_and_trains_as_the_loop_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_a_compiler()
    monkeypatch.setenv("GRADRACE_CACHE", str(tmp_path))
    clock = Clock()
    first = Vectorized(WORK, "always", clock)
    assert_agrees_with_the_loop(first)
    assert first.programs.obstacle is None
    assert clock.taken()["compile"] > 0
    (library,) = (tmp_path / "programs").glob("*.so")
    assert library.stat().st_size > 0
    # A rung later chunks are as large as before: there is one program, whatever else lies in the folder.
    assert {path.suffix for path in (tmp_path / "programs").iterdir()} <= {".so", ".lock"}

    # Who comes later takes it as it is.
    monkeypatch.setattr(compiled, "_compile", refuse)
    later = Vectorized(WORK, "if cached", clock)
    assert_agrees_with_the_loop(later)
    assert "compile" not in clock.taken()
    assert later.programs.obstacle is None
    assert start(later).train(STEPS) == start(first).train(STEPS)

    # Another machine, another PyTorch, another number of trials: each would be another file.
    with pytest.raises(NotCompiledYet):
        Vectorized(WORK, "if cached").start(trials(), Training(STEPS, 16, dtype=torch.float64, chunk=CHUNK)).train(1)
    monkeypatch.setattr(compiled, "machine", lambda: "another")
    with pytest.raises(NotCompiledYet):
        start(Vectorized(WORK, "if cached")).train(1)

    # A file that was cut short is refused: to load it may end the process.
    content, cut = library.read_bytes(), tmp_path / "cut.so"
    for share in (0.5, 0.1, 0.999):
        cut.write_bytes(content[: int(share * len(content))])
        assert compiled.loaded(cut) is None
    cut.write_bytes(content)
    assert compiled.loaded(cut) is not None


@pytest.mark.usefixtures("empty")
def test_what_is_not_there_has_a_size() -> None:
    needs_a_compiler()
    engine = Vectorized(WORK, "if cached")
    with pytest.raises(NotCompiledYet) as missing:
        start(engine).train(1)
    assert missing.value.nodes > 10
    assert engine.programs.obstacle is None
    engine.programs.compiling = "never"  # and it is not taken for known after that
    assert_agrees_with_the_loop(engine)


def test_without_a_compiler_blocks_run_as_they_were_traced(monkeypatch: pytest.MonkeyPatch, empty: Path) -> None:
    monkeypatch.setattr(_compiler, "_compiler", lambda: None)
    for compiling in ("always", "if cached"):
        engine = Vectorized(WORK, compiling)
        assert_agrees_with_the_loop(engine)
        assert engine.programs.obstacle == "no C compiler works on this machine"
    assert not (empty / "programs").exists()


def test_a_program_that_cannot_be_compiled_runs_as_it_was_traced(empty: Path) -> None:
    needs_a_compiler()
    engine, plain = Vectorized(WORK, "always"), Vectorized(WORK)
    assert_agrees_with_the_loop(engine)
    assert engine.programs.obstacle == "this machine's assembler is broken"
    assert not list((empty / "programs").glob("*.so"))
    assert start(engine).train(STEPS) == start(plain).train(STEPS)


def test_a_folder_that_cannot_be_written_to_is_an_obstacle(empty: Path) -> None:
    needs_a_compiler()
    (empty / "programs").write_text("a file where the folder would be")
    engine = Vectorized(WORK, "always")
    assert_agrees_with_the_loop(engine)
    assert engine.programs.obstacle


# --- programs by hand, and a stand-in for what compiles them ---


def program(factor: Tensor) -> fx.GraphModule:
    def flat(x: Tensor) -> list[Tensor]:
        return [factor * x]

    return make_fx(flat)(torch.ones(3))


def test_a_name_follows_from_all_that_determines_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_a_compiler()
    two = program(torch.full((3,), 2.0))
    x = torch.ones(3)
    known = compiled.path_of(two, [x])
    assert known == compiled.path_of(program(torch.full((3,), 2.0)), [torch.zeros(3)])  # no values but its own
    others = [
        compiled.path_of(program(torch.full((3,), 3.0)), [x]),
        compiled.path_of(two, [x.double()]),
        compiled.path_of(two, [torch.ones(4)]),
        compiled.path_of(make_fx(lambda x: [x + 1])(x), [x]),
    ]
    for name, value in (("LAYOUT", -1), ("OPTIONS", {}), ("machine", lambda: "another")):
        with monkeypatch.context() as patch:
            patch.setattr(compiled, name, value)
            others.append(compiled.path_of(two, [x]))
    assert len({known, *others}) == 8
    assert None not in others


@pytest.mark.parametrize("content", [b"", b"half a file", b"\x7fELF" + bytes(100)])
def test_a_damaged_library_is_compiled_anew(content: bytes, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_a_compiler()
    work = program(torch.full((3,), 2.0))
    path = compiled.path_of(work, [torch.ones(3)])
    assert path is not None
    path.parent.mkdir()
    path.write_bytes(content)
    assert compiled.loaded(path) is None
    with pytest.raises(RuntimeError, match=r"^this machine's assembler is broken$"):
        compiled.compiled(work, [torch.ones(3)], path)
    assert path.read_bytes() == content

    made: list[Path] = []
    monkeypatch.setattr(compiled, "_compile", lambda graph, arguments, path: made.append(path))
    with pytest.raises(RuntimeError, match="the compiled program cannot be loaded"):
        compiled.compiled(work, [torch.ones(3)], path)
    assert made == [path]
    assert compiled.loaded(empty / "absent.so") is None


def test_whoever_waited_for_a_program_takes_it(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = empty / "programs" / "some.so", [torch.ones(1)]
    monkeypatch.setattr(compiled, "loaded", lambda path: lambda tensors: found)
    run = compiled.compiled(program(torch.ones(3)), [], path)  # ``_compile`` would raise
    assert run([]) is found
    shutil.rmtree(path.parent)
