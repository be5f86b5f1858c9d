"""What test_lanes.py has lanes do. Lanes import this module; it imports nothing that takes time."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError

Progress = Callable[[int], None]


def remember(state: dict[str, Any], progress: Progress, word: str) -> None:
    """What a lane is prepared with."""
    state["word"] = word
    state["done"] = 0


def describe(state: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The lane, and what it keeps from task to task."""
    import torch

    state["done"] += 1
    tiny = torch.tensor([1e-30], dtype=torch.float32)
    return {
        "pid": os.getpid(),
        "word": state["word"],
        "done": state["done"],
        "threads": (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]),
        "denormal": float(tiny * 1e-10),
    }


def family(state: dict[str, Any], progress: Progress, seconds: float) -> tuple[int, int]:
    """This lane's process and the one that it came from; it takes so long that every lane does one such task."""
    time.sleep(seconds)
    return os.getpid(), os.getppid()


def draw(state: dict[str, Any], progress: Progress, seconds: float) -> float:
    """A random number that nobody seeded."""
    import numpy

    time.sleep(seconds)
    return numpy.random.random()


def square(state: dict[str, Any], progress: Progress, number: int, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    return number * number


def wait_for(state: dict[str, Any], progress: Progress, marker: str) -> str:
    """Wait until another task has made the file."""
    limit = time.monotonic() + 30
    while not Path(marker).exists():
        if time.monotonic() > limit:
            raise TimeoutError(marker)
        time.sleep(0.01)
    return "seen"


def make(state: dict[str, Any], progress: Progress, marker: str) -> None:
    Path(marker).touch()


def report(state: dict[str, Any], progress: Progress, steps: list[int], seconds: float) -> int:
    for count in steps:
        progress(count)
        time.sleep(seconds)
    return sum(steps)


def fail(state: dict[str, Any], progress: Progress, number: int) -> None:
    raise ValueError(f"no such number: {number}")


def refuse(state: dict[str, Any], progress: Progress) -> None:
    raise SpecError("The number is 3, but must be even.")


def chatter(state: dict[str, Any], progress: Progress) -> str:
    print("between the messages")
    sys.stdout.flush()
    os.write(1, b"from a library in C\n")
    return "heard"


def die(state: dict[str, Any], progress: Progress) -> None:
    os._exit(3)


def end_by(state: dict[str, Any], progress: Progress, number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def hang(state: dict[str, Any], progress: Progress) -> None:
    time.sleep(600)


def work_on(state: dict[str, Any], progress: Progress, seconds: float) -> str:
    """Slow, but alive."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        progress(1)
    return "done"


def die_once(state: dict[str, Any], progress: Progress, marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return state["word"]


def look(state: dict[str, Any], progress: Progress, marker: str, told: list[str]) -> tuple[bool, list[str]]:
    """Whether there is a file already, and what this task was told."""
    return Path(marker).exists(), told


def environment(state: dict[str, Any], progress: Progress) -> dict[str, str]:
    return dict(os.environ)


def read_back(text: str) -> Any:
    raise RuntimeError(text)


class Unreadable:
    """Something that can be sent and not received."""

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return read_back, ("this cannot be read back",)


def main() -> None:
    """Be a race: print the process of a lane and that lane's parent while it is busy, and wait to be killed."""
    from gradrace.engine import server
    from gradrace.engine.lanes import Lanes, Task

    with server.ahead(["torch"]) if "forked" in sys.argv else contextlib.nullcontext(), Lanes(1) as lanes:
        (result,) = lanes.run([Task("who", family, (0.0,))])
        print(*result.value, flush=True)
        list(lanes.run([Task("long", square, (2, 60.0))]))


if __name__ == "__main__":
    main()
