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

from gradrace.engine import compiled
from gradrace.race.plan import OWN, SHARED, Block

SAVING = 0.4
"""Share of the vectorized engine's time that compiling saves, where it has not been measured yet: 0.23 to 0.9 on the
built-in workloads."""
EVALUATION_SHARE, FEW_SECONDS, POINTS = 0.06, 2.0, (20, 15, 10, 8, 6, 5, 4, 3, 2, 1)
"""Learning curves have so many points that they cost at most this share of the training, where they would cost more
than a few seconds in all. The rungs, and the test split in the end, are scored in any case."""
COMPILE_SECONDS, NODE_SECONDS = 7.0, 0.004
"""What compiling a program costs: most of it does not depend on the program's size in operations."""


@dataclass(frozen=True)
class Speeds:
    """Seconds per trial-step of each way, None where it was not or cannot be measured.

    Attributes:
        loop, vectorized, compiled: the ways; ``loop`` is the faster one of those that train one by one.
        nodes: operations of the program of each kind of blocks that could be compiled, by kind; 0 if it is already.
        obstacle: why nothing can be compiled, if so.
        evaluation: seconds of one evaluation of one trial, the way that was chosen.
    """

    loop: float
    vectorized: float | None = None
    compiled: float | None = None
    nodes: dict[str, int] | None = None
    obstacle: str = ""
    evaluation: float = 0.0


def affordable(points: int, steps: int, trials: float, engine: str, speeds: Speeds) -> int:
    """How many points of a learning curve a race affords, of those that the workload wants.

    Args:
        points: those wanted.
        steps: of a whole trial.
        trials: whole trials that the race amounts to.
        engine: that trains.
        speeds: what was measured.
    """
    step = speeds.loop if engine != "vectorized" or speeds.vectorized is None else speeds.vectorized
    step = min(step, speeds.compiled or step)
    if speeds.evaluation * points * trials <= FEW_SECONDS:
        return points
    fewer = int(EVALUATION_SHARE * steps * step / speeds.evaluation)
    return next((point for point in POINTS if point <= min(fewer, points)), 1)


def compile_seconds(nodes: int) -> float:
    """About how long a program of so many operations takes to compile."""
    return COMPILE_SECONDS + NODE_SECONDS * nodes if nodes else 0.0


def worth_compiling(speeds: Speeds, trial_steps: dict[str, int], forgone: dict[str, float]) -> tuple[str, ...]:
    """The kinds of blocks to compile: where that saves more than it costs, in this race or with those before it.

    Args:
        speeds: what was measured.
        trial_steps: to be trained in blocks of each kind.
        forgone: seconds that compiling each kind would have saved in earlier races of this workload on this machine.
    """
    if speeds.vectorized is None or speeds.nodes is None:
        return ()
    saved = SAVING * speeds.vectorized
    if speeds.compiled is not None:
        saved = speeds.vectorized - speeds.compiled
    kinds = [kind for kind in (SHARED, OWN) if kind in speeds.nodes and kind in trial_steps]
    return tuple(
        kind
        for kind in kinds
        if saved > 0 and saved * trial_steps[kind] + forgone.get(kind, 0.0) >= compile_seconds(speeds.nodes[kind])
    )


def forgo(speeds: Speeds, trial_steps: dict[str, int], forgone: dict[str, float]) -> dict[str, float]:
    """What compiling each kind that is not compiled yet would have saved, with this race: see ``worth_compiling``."""
    saved = SAVING * (speeds.vectorized or 0.0)
    missing = [kind for kind, nodes in (speeds.nodes or {}).items() if nodes and kind in trial_steps]
    return {**forgone, **{kind: forgone.get(kind, 0.0) + saved * trial_steps[kind] for kind in missing}}


def trained_meanwhile(blocks: Sequence[Block], seconds: float, speeds: Speeds, lanes: int) -> tuple[str, ...]:
    """Blocks for the other lanes while one of them compiles for so many seconds, the first ones of the plan."""
    assert speeds.vectorized is not None
    chosen: list[str] = []
    room = seconds * (lanes - 1)
    for block in blocks:
        room -= block.trial_steps(constant=True) * speeds.vectorized
        if room < 0:
            break
        chosen.append(block.id)
    return tuple(chosen)


def compared(loop: float, other: float) -> str:
    """How fast another way is beside the loop engine."""
    ratio = loop / other
    return f"{ratio:.1f} times as fast as" if ratio >= 1 else f"{1 / ratio:.1f} times slower than"


@dataclass
class Way:
    """The engine of the blocks of one kind, which is known for good once their program has been compiled.

    ``onednn``: of compiled blocks; see ``Plan``.
    """

    engine: str
    onednn: bool = False


class Memory:
    """What was chosen on this machine before: one small file for each race, and for each workload."""

    def __init__(self, what: str) -> None:
        known = f"{what} {torch.__version__} {torch.backends.cpu.get_cpu_capability()} {compiled.machine()}"
        self._file = compiled.folder().parent / "choices" / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.json"

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
