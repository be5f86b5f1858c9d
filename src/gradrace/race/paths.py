"""Which way each block is trained: measured, decided before it is used, and remembered so that a race chooses alike.

Nothing here looks at a clock while blocks train. What was decided is part of the stored plan, or of a note that is
stored before the first block that follows it, and in the user's cache folder for the same race on another store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradrace.optim import _compiler
from gradrace.race.plan import Block

SAVING = 0.4
"""Share of the time of the fastest other way that compiling saves, where it has not been measured yet."""
EVALUATION_SHARE, FEW_SECONDS, POINTS = 0.06, 2.0, (20, 15, 10, 8, 6, 5, 4, 3, 2, 1)
"""Learning curves have so many points that they cost at most this share of the training, where they would cost more
than a few seconds in all. The rungs, and the test split in the end, are scored in any case."""
COMPILE_SECONDS, STATEMENT_SECONDS = 0.5, 0.016
"""What compiling a program costs, and each statement of it."""


@dataclass(frozen=True)
class Speeds:
    """Seconds per trial-step of each way, None where it was not or cannot be measured.

    Attributes:
        loop, vectorized, compiled: the ways; ``loop`` is the faster one of those that train one by one.
        size: statements of the program that could be compiled; 0 if it is already, None if there can be none.
        obstacle: why nothing can be compiled, if so.
        evaluation: seconds of one evaluation of one trial, the way that was chosen.
        tracing: seconds in which the vectorized way's program was recorded, as it is for blocks of each size.
    """

    loop: float
    vectorized: float | None = None
    compiled: float | None = None
    size: int | None = None
    obstacle: str = ""
    evaluation: float = 0.0
    tracing: float = 0.0

    @property
    def uncompiled(self) -> float:
        """Of the faster way without a compiler."""
        return self.loop if self.vectorized is None else min(self.loop, self.vectorized)

    @property
    def recording(self) -> float:
        """Seconds in which a program is recorded for blocks of one more size, if they are not compiled."""
        return self.tracing if self.vectorized is not None and self.vectorized <= self.loop else 0.0

    @property
    def saved(self) -> float:
        """What a compiled program saves of a trial-step, as far as is known."""
        return SAVING * self.uncompiled if self.compiled is None else self.uncompiled - self.compiled


def affordable(points: int, steps: int, trials: float, speeds: Speeds) -> int:
    """How many points of a learning curve a race affords, of those that the workload wants.

    Args:
        points: those wanted.
        steps: of a whole trial.
        trials: whole trials that the race amounts to.
        speeds: what was measured.
    """
    step = min(speeds.uncompiled, speeds.compiled or speeds.uncompiled)
    if speeds.evaluation * points * trials <= FEW_SECONDS:
        return points
    fewer = int(EVALUATION_SHARE * steps * step / speeds.evaluation)
    return next((point for point in POINTS if point <= min(fewer, points)), 1)


def compile_seconds(size: int) -> float:
    """About how long a program of so many statements takes to compile."""
    return COMPILE_SECONDS + STATEMENT_SECONDS * size if size else 0.0


def worth_compiling(speeds: Speeds, trial_steps: int, forgone: float, recorded: int = 0) -> bool:
    """Whether compiling saves more than it costs, in this race or with those before it.

    Args:
        speeds: what was measured.
        trial_steps: to be trained.
        forgone: seconds that compiling would have saved in earlier races of this workload on this machine.
        recorded: programs that the lanes would record otherwise, one for each size of blocks.
    """
    if speeds.size is None or speeds.saved <= 0:
        return False
    return speeds.saved * trial_steps + speeds.recording * recorded + forgone >= compile_seconds(speeds.size)


def trained_meanwhile(blocks: Sequence[Block], seconds: float, speeds: Speeds, lanes: int) -> tuple[str, ...]:
    """Blocks for the other lanes while one of them compiles for so many seconds, the first ones of the plan."""
    chosen: list[str] = []
    room = seconds * (lanes - 1)
    for block in blocks:
        room -= block.trial_steps(constant=True) * speeds.uncompiled
        if room < 0:
            break
        chosen.append(block.id)
    return tuple(chosen)


def compared(loop: float, other: float) -> str:
    """How fast another way is beside the loop engine."""
    ratio = loop / other
    return f"{ratio:.1f} times as fast as" if ratio >= 1 else f"{1 / ratio:.1f} times slower than"


class Memory:
    """What was chosen on this machine before: one small file for each race, and for each workload."""

    def __init__(self, what: str) -> None:
        known = f"{what} {torch.__version__} {torch.backends.cpu.get_cpu_capability()} {_compiler.machine()}"
        self._file = _compiler.folder().parent / "choices" / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.json"

    def recall(self) -> dict[str, Any]:
        """What was chosen, by name; empty for what is new here."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def keep(self, **choices: Any) -> None:
        """Remember choices beside those made before. A folder that cannot be written to only costs the memory."""
        new = {**self.recall(), **choices}
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(new), encoding="utf-8")
            fresh.replace(self._file)
