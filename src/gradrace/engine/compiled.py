"""Traced programs compiled to machine code, and the folder that keeps them.

PyTorch's inductor, ahead of time: one library for each program, which every lane and every later race loads in a
millisecond. See docs/decisions/0012-compiled-blocks.md.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, fx

from gradrace.optim import _compiler

LAYOUT = 1
"""Goes up when programs that were compiled earlier must not be used any more."""
OPTIONS: dict[str, Any] = {
    "layout_optimization": False,
    "cpp.threads": 1,  # one lane for each core
    "compile_threads": 1,
    "fallback_random": True,  # masks from PyTorch's generator, as everywhere else
}

Flat = Callable[[list[Tensor]], list[Tensor]]


def folder() -> Path:
    """Where compiled programs are kept."""
    return _compiler.folder().parent / "programs"


def machine() -> str | None:
    """What code is compiled for; None where no C compiler works."""
    return _compiler.machine()


def path_of(graph: fx.GraphModule, arguments: Sequence[Tensor]) -> Path | None:
    """Where the library of a program is, or would be: named by all that determines it. None without a C compiler."""
    about = machine()
    if about is None:
        return None
    known = hashlib.sha256("\0".join([str(LAYOUT), torch.__version__, about, repr(OPTIONS), graph.code]).encode())
    for tensor in [*arguments, *_constants(graph)]:
        known.update(f"{tuple(tensor.shape)} {tensor.dtype} {tensor.device}\n".encode())
    for tensor in _constants(graph):
        known.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return folder() / f"{known.hexdigest()[:32]}.so"


def _constants(graph: fx.GraphModule) -> list[Tensor]:
    """Tensors that the program holds itself."""
    names = dict.fromkeys(str(node.target) for node in graph.graph.nodes if node.op == "get_attr")
    found = [getattr(graph, name) for name in names]
    return [value for value in found if isinstance(value, Tensor)]


def loaded(path: Path) -> Flat | None:
    """A program that was compiled, or None where there is none that can be used."""
    if not path.exists() or not _compiler.is_whole(path):
        return None
    try:
        from torch._C._aoti import AOTIModelContainerRunnerCpu

        return AOTIModelContainerRunnerCpu(str(path), 1).run
    except (ImportError, RuntimeError):  # damaged, or of another machine
        return None


def compiled(graph: fx.GraphModule, arguments: Sequence[Tensor], path: Path) -> Flat:
    """Compile a program, or wait for the process that does. Takes seconds.

    Args:
        graph: takes tensors and returns a list of tensors.
        arguments: such tensors; contiguous.
        path: of ``path_of``.

    Raises:
        RuntimeError: it cannot be compiled; the message says why.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            known = loaded(path)
            if known is None:
                _compile(graph, arguments, path)
                known = loaded(path)
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        raise RuntimeError(reason.splitlines()[0][:200]) from error
    if known is None:
        raise RuntimeError("the compiled program cannot be loaded")
    return known


def _compile(graph: fx.GraphModule, arguments: Sequence[Tensor], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inductor's own remarks on what it compiles
        from torch._inductor.compile_fx import compile_fx_aot

        level = logging.getLogger("torch").level
        logging.getLogger("torch").setLevel(logging.ERROR)
        try:
            options = {**OPTIONS, "aot_inductor.output_path": str(Path(scratch) / "program.so")}
            made = compile_fx_aot(graph, list(arguments), config_patches=options)
        finally:
            logging.getLogger("torch").setLevel(level)
        fresh = Path(scratch) / path.name
        shutil.copyfile(str(made), fresh)
        # Renamed into place, so that of several processes none sees half a file.
        fresh.replace(path)
