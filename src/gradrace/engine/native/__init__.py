"""Functions of tensors compiled to machine code for one trial at a time: see docs/decisions/0013-native-programs.md."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from gradrace.engine.native import rules
from gradrace.engine.native.program import Draft, OutOfRange, Program, Steps, Update, draft
from gradrace.engine.native.values import Unsupported
from gradrace.optim import _compiler

__all__ = [
    "Draft",
    "OutOfRange",
    "Program",
    "Steps",
    "Unsupported",
    "Update",
    "compiled",
    "draft",
    "known",
    "reason",
    "rules",
]


def folder() -> Path:
    """Where compiled programs are kept."""
    return _compiler.folder()


def known(made: Draft) -> Program | None:
    """The program, if it was compiled earlier on this machine."""
    library = _compiler.known(made.text, fused=True)
    return None if library is None else Program(made, library)


def compiled(made: Draft) -> Program:
    """The program, compiled now if need be; or by another process, which is waited for. Takes seconds.

    Raises:
        RuntimeError: it cannot be compiled; the message says why.
    """
    found = known(made)
    if found is not None:
        return found
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder() / "programs.lock"):
            library = _compiler.compiled(made.text, fused=True)
    except OSError as error:
        raise RuntimeError(f"the cache folder cannot be written to ({error.strerror or error})") from error
    if library is None:
        raise RuntimeError("the C compiler refused it")
    return Program(made, library)


def reason(error: Exception) -> str:
    """Why there is no compiled program, in words."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
