"""Where the seconds of a session went, in a table that adds up to its wall time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

PURPOSES = {
    "start": "this process starts and imports; what lanes need is imported beside it",
    "import": "lanes are waited for, and import what is left",
    "data": "lanes receive the workload and its data",
    "try": "the workload is tried and each way of training it timed",
    "trace": "programs are recorded",
    "compile": "programs are compiled",
    "train": "training steps",
    "evaluate": "metrics on the validation and test splits",
    "save": "long blocks are saved",
    "costs": "a step of each drop-in optimizer is timed",
    "store": "lanes wait while outcomes are written",
    "idle": "lanes wait for each other",
    "other": "what else lanes do with a block",
    "end": "this process ends the lanes",
}


def process_seconds() -> float:
    """Seconds since this process began; 0 where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return 0.0


def profile(
    before: float, within: float, lane_seconds: Mapping[str, float], lanes: int, writing: float
) -> dict[str, float]:
    """Seconds by purpose, which add up to ``before + within``.

    Args:
        before: seconds before there were lanes.
        within: seconds with lanes.
        lane_seconds: what all lanes together spent, by purpose.
        lanes: how many there were.
        writing: seconds that were spent writing to the store. Lanes that train meanwhile do not wait for it.
    """
    spent = {name: lane_seconds.get(name, 0.0) / lanes for name in PURPOSES if name in lane_seconds}
    waiting = max(0.0, within - sum(spent.values()))
    store = min(writing, waiting)
    return {"start": before, **spent, "store": store, "idle": waiting - store}
