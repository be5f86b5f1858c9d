"""The machine's C compiler, if it has one, and the folder that keeps what was compiled."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

# -ffp-contract=off keeps every operation rounded by itself, as PyTorch's are; the two after it only give up error flags
# that nobody reads, without which square roots are not vectorized.
_FLAGS = ["-O3", "-std=gnu11", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
_FUSED = "-ffp-contract=fast"
_MACHINE = [["-march=native", "-fopenmp"], ["-mcpu=native", "-fopenmp"], ["-march=native"], ["-mcpu=native"], []]
_SECONDS = 60


def folder() -> Path:
    """Where compiled steps are kept: ``GRADRACE_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("GRADRACE_CACHE") or user_cache_path("gradrace")) / "steps"


def compiled(source: str, fused: bool = False) -> ctypes.CDLL | None:
    """The library compiled from ``source``, now or earlier; None where that is not possible.

    ``fused``: a product and a sum may be one operation, rounded once.
    """
    compiler = _compiler()
    if compiler is None:
        return None
    path = _path(source, compiler, fused)
    if (library := known(source, fused)) is not None:
        return library
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder()) as scratch:
            fresh = Path(scratch) / "step.so"
            flags = [_FUSED] if fused else []
            if not _run([*compiler[0], *flags, "-o", str(fresh), "-x", "c", "-", "-lm"], source):
                return None
            # Renamed into place, so that of several processes none sees half a file.
            return _load(fresh.replace(path))
    except OSError:  # a folder that cannot be written to
        return None


def known(source: str, fused: bool = False) -> ctypes.CDLL | None:
    """The library, if it was compiled earlier."""
    compiler = _compiler()
    path = None if compiler is None else _path(source, compiler, fused)
    return _load(path) if path is not None and path.exists() else None


def machine() -> str | None:
    """What the compiler says of itself and of this machine's instruction sets; None where no compiler works."""
    compiler = _compiler()
    return None if compiler is None else compiler[1]


def _path(source: str, compiler: tuple[list[str], str], fused: bool) -> Path:
    words = [source, *compiler[0], compiler[1], *([_FUSED] if fused else [])]
    return folder() / f"{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:32]}.so"


def is_whole(path: Path) -> bool:
    """Whether a library reaches to the table at its end. One that was cut short ends the process that loads it."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[:5] != b"\x7fELF\x02":  # of another kind, or damaged so that no loader takes it
        return True
    if len(head) < 64:
        return False
    (start,), (size, count) = struct.unpack_from("=Q", head, 40), struct.unpack_from("=2H", head, 58)
    return start + size * count <= path.stat().st_size


def _load(path: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path)) if is_whole(path) else None
    except OSError:  # for another machine, or damaged
        return None


@cache
def _compiler() -> tuple[list[str], str] | None:
    """The command, and what it says of itself and of this machine: version, instruction sets, OpenMP."""
    for command in filter(None, [os.environ.get("CC"), "cc", "gcc", "clang"]):
        words = shlex.split(command)
        if not words or shutil.which(words[0]) is None:
            continue
        for machine in _MACHINE:
            line = [*words, *_FLAGS, *machine]
            with tempfile.TemporaryDirectory() as scratch:
                if _run(
                    [*line, "-o", str(Path(scratch) / "try.so"), "-x", "c", "-", "-lm"], "int one(void) { return 1; }"
                ):
                    about = _output([*line, "-dM", "-E", "-x", "c", "-"])
                    if about is not None:
                        return line, about
    return None


def _run(command: list[str], text: str) -> bool:
    return _output(command, text) is not None


def _output(command: list[str], text: str = "") -> str | None:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
