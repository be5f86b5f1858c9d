"""Long blocks are saved now and then, so that a race that is killed trains no more than two minutes of them again.

A file for each block under way lies in the user's cache folder. It is read as data alone, and only if this race wrote
it for this block and this way of training; what it says is never trusted further than that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from gradrace._version import __version__
from gradrace.optim import _compiler
from gradrace.outcomes import Curve, Outcome
from gradrace.race.plan import Block

SHARE, MOST_SECONDS = 0.01, 110.0
"""Saving takes at most this share of the time, unless a block would then be saved less often than every so many
seconds."""


@dataclass(frozen=True)
class Standing:
    """Where a block stands between two points of its curves.

    Attributes:
        rung: number of the rung that it is on its way to.
        point: step of the last point of the curves.
        step: step that every live trial was trained to.
        live: places of the trials that are still trained.
        curves: of those.
        ended: outcomes of the others.
        trials: what the engine's trials gave as their state.
    """

    rung: int
    point: int
    step: int
    live: list[int]
    curves: dict[int, Curve]
    ended: dict[int, Outcome]
    trials: dict[str, Any]


class Saving:
    """The file of one block under way.

    Args:
        race: id of the race. block: the block. engine: what trains it. every: seconds between two savings, at least.
        device: where its tensors lie.
    """

    def __init__(self, race: str, block: Block, engine: str, every: float, device: str) -> None:
        self._file, self._every, self._device = file_of(race, block.id), every, device
        self._of = {
            "race": race,
            "block": block.id,
            "engine": engine,
            "chunk": block.chunk,
            "trials": [trial.id for trial in block.trials],
            "version": __version__,
            "torch": str(torch.__version__),
            "machine": f"{torch.backends.cpu.get_cpu_capability()} {_compiler.machine()}",
        }
        self._next = time.monotonic() + every
        self.resumed = 0
        """The step that training went on from."""
        self.ignored = ""
        """Why a file that was there was not used, in a sentence."""

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() >= self._next

    def write(self, standing: Standing | None) -> None:
        """Save, or learn that this cannot be had. A folder that cannot be written to only costs the saving."""
        if standing is None:
            self._next = float("inf")
            return
        began = time.monotonic()
        body = {
            "of": self._of,
            "where": [standing.rung, standing.point, standing.step, standing.live],
            "curves": json.dumps([asdict(standing.curves[place]) for place in standing.live]),
            "ended": json.dumps({place: outcome.to_dict() for place, outcome in standing.ended.items()}),
            "trials": standing.trials,
        }
        fresh = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError, RuntimeError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                torch.save(body, fresh)
                fresh.replace(self._file)
            finally:
                fresh.unlink(missing_ok=True)
        now = time.monotonic()
        self._next = now + max(self._every, min((now - began) / SHARE, MOST_SECONDS))

    def read(self) -> Standing | None:
        """Where the block stood when it was saved, or None."""
        if not self._file.exists():
            return None
        try:
            body = torch.load(self._file, map_location=self._device, weights_only=True)
            if body["of"] != self._of:
                self.ignored = f"The saved block {self._file} is of another race, engine or version; it was not used."
                return None
            (rung, point, step, live), trials = body["where"], body["trials"]
            curves = [Curve(**known) for known in json.loads(body["curves"])]
            ended = {int(place): Outcome.from_dict(known) for place, known in json.loads(body["ended"]).items()}
            standing = Standing(rung, point, step, live, dict(zip(live, curves, strict=True)), ended, trials)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            self.refuse(error)
            return None
        self.resumed = step
        return standing

    def refuse(self, error: Exception) -> None:
        """What was read cannot be used."""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):
            reason = "it holds something else than data"  # PyTorch's own words recommend to trust it
        self.ignored, self.resumed = f"The saved block {self._file} cannot be read ({reason}); it was not used.", 0


def file_of(race: str, block: str) -> Path:
    """Where a block is saved."""
    return _folder(race) / f"{hashlib.sha256(block.encode()).hexdigest()[:16]}.pt"


def forget(race: str, block: str) -> None:
    """A block is in the store: what was saved of it goes."""
    with contextlib.suppress(OSError):
        file_of(race, block).unlink(missing_ok=True)


def forget_race(race: str) -> None:
    """A race has ended: nothing of it stays."""
    shutil.rmtree(_folder(race), ignore_errors=True)


def _folder(race: str) -> Path:
    return _compiler.folder().parent / "blocks" / race
