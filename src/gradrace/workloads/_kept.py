"""What was made of a wheel, kept beside it: making it again takes seconds, in every lane of every race."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gradrace.data import Wheel, cache_folder


@dataclass(frozen=True)
class Kept:
    """A workload's data function, whose tensors are kept in the cache folder.

    They are known by the source of the function's module and by the wheels, so a change of either makes them anew, and
    the old ones go. A file that cannot be read is made anew as well; where nothing can be written, nothing is kept.

    Args:
        load: makes the splits out of the wheels: tuples and dicts of tensors.
        wheels: what it reads.
    """

    load: Callable[[], tuple[Any, ...]]
    wheels: Sequence[Wheel]

    def path(self) -> Path:
        """Where the splits are kept."""
        source = Path(inspect.getfile(self.load)).read_bytes()
        known = hashlib.sha256(source + "".join(wheel.sha256 for wheel in self.wheels).encode()).hexdigest()
        return cache_folder() / "made" / f"{Path(inspect.getfile(self.load)).stem}-{known[:16]}.pt"

    def __call__(self) -> tuple[Any, ...]:
        """The splits."""
        path = self.path()
        with contextlib.suppress(Exception):  # not there, or not whole: whatever it is, making it anew mends it
            return torch.load(path, weights_only=True)
        splits = self.load()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, new = tempfile.mkstemp(dir=path.parent)
            os.close(handle)
            torch.save(splits, new)
            os.replace(new, path)
            for old in path.parent.glob(f"{path.stem.rpartition('-')[0]}-*{path.suffix}"):
                if old != path:
                    old.unlink(missing_ok=True)
        return splits
