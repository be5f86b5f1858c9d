"""How many outcomes a second the store writes and reads: ``python benchmarks/store_throughput.py``."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.store import open_store

BLOCKS = 100
TRIALS = 100
CURVE_POINTS = 25


def outcomes_of_block(number: int, random_number: random.Random) -> list[Outcome]:
    """A block as a race writes it: all digits of every float in use."""

    def floats() -> list[float | None]:
        return [random_number.random() for _ in range(CURVE_POINTS)]

    return [
        Outcome(
            trial=f"tuning/Adam/{number}/0/{point}",
            stage=Stage.TUNING,
            contender="Adam",
            study=number,
            seed=0,
            point=point,
            configuration={"lr": random_number.random(), "beta1": random_number.random()},
            status=Status.FINISHED,
            steps=1000,
            validation=random_number.random(),
            validation_loss=random_number.random(),
            seconds=random_number.random(),
            curve=Curve([40 * (place + 1) for place in range(CURVE_POINTS)], floats(), floats(), floats()),
        )
        for point in range(TRIALS)
    ]


class Throughput(NamedTuple):
    """Outcomes per second written and read, and the seconds of each block written."""

    written: float
    read: float
    blocks: list[float]


def throughput() -> Throughput:
    """Write the blocks, each in its transaction, and read all outcomes back."""
    random_number = random.Random(0)
    blocks = [outcomes_of_block(number, random_number) for number in range(BLOCKS)]
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "races.db") as store:
        race = store.create_race("benchmark", {}, {}, {}, "0").id
        seconds: list[float] = []
        for number, outcomes in enumerate(blocks):
            start = perf_counter()
            store.write_block(race, f"block-{number}", outcomes)
            seconds.append(perf_counter() - start)
        start = perf_counter()
        read = len(store.outcomes(race))
        reading = perf_counter() - start
    return Throughput(read / sum(seconds), read / reading, seconds)


def main() -> None:
    """Print it."""
    found = throughput()
    print(
        f"write: {found.written:,.0f} outcomes/s "
        f"({TRIALS} a block, {CURVE_POINTS} points a curve: {1000 * median(found.blocks):.1f} ms a block in the "
        f"median, {1000 * max(found.blocks):.1f} ms at most)"
    )
    print(f"read: {found.read:,.0f} outcomes/s")


if __name__ == "__main__":
    main()
