"""What a process does to a store while a test kills or crowds it: ``python -m store.writer TASK PATH [ARGUMENT]``.

Each line it prints tells something that has returned, so that it must be there afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import gradrace.errors
from gradrace.store import open_store

from . import samples

BLOCK_SIZE = 20


def start(task: str, path: Path, argument: str = "") -> subprocess.Popen[str]:
    """A process that does the task; its lines come through ``stdout``."""
    source = Path(gradrace.errors.__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "store.writer", task, str(path), argument],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def write_blocks(path: Path, first: str) -> None:
    """Write block after block, from the number `first`, until killed."""
    with open_store(path) as store:
        race = store.create_race(**samples.race()).id
        for number in count(int(first)):
            id, outcomes = samples.block(number, BLOCK_SIZE)
            store.write_block(race, id, outcomes)
            print(id, flush=True)


def create_stores(folder: Path, _: str) -> None:
    """Create store after store in the folder until killed."""
    for number in count():
        path = folder / f"{number}.db"
        open_store(path).close()
        print(path.name, flush=True)


def enter_race(path: Path, id: str) -> None:
    """Open the store when told to, together with others, and enter a race."""
    print("ready", flush=True)
    sys.stdin.readline()
    with open_store(path) as store:
        print(store.create_race(**samples.race(id)).id, flush=True)


TASKS = {task.__name__: task for task in (write_blocks, create_stores, enter_race)}


def main(arguments: Sequence[str]) -> None:
    """Do the task that the arguments name."""
    task, path, argument = arguments
    TASKS[task](Path(path), argument)


if __name__ == "__main__":
    main(sys.argv[1:])
