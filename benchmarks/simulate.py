"""Simulated races: ``python benchmarks/simulate.py --races 100000``, about ten minutes on two quiet cores.

The orchestrator in the made-up worlds of ``tests/race/simulation``: lanes crash, hang, delay and repeat themselves, and
the race is killed and goes on with other lanes. Each race must end as it does undisturbed, and invariants are
checked at each step. A race that does not names its seed: ``--first SEED --races 1`` repeats it.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

WORLDS, SHARE = 200, 500
"""Races that there are, and how many fates are tried at a time."""


def some(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """What befell so many races, and what went wrong."""
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
    import torch

    world = importlib.import_module("race.simulation.made_world")
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    seen, wrong = Counter[str](), list[str]()
    with world.worlds():
        for seed in range(first, first + count):
            try:
                seen += world.simulate(seed, WORLDS)
            except world.Broken as broken:
                wrong.append(str(broken))
    return seen, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    began, seen, wrong = time.perf_counter(), Counter[str](), list[str]()
    firsts = range(asked.first, asked.first + asked.races, SHARE)
    counts = [min(SHARE, asked.first + asked.races - first) for first in firsts]
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        for found, broken in pool.map(some, firsts, counts):
            seen += found
            wrong += broken
    print(
        f"{asked.races:,} races in {time.perf_counter() - began:.0f} s; {len(wrong)} ended otherwise than undisturbed."
    )
    print("\n".join(f"- {what}: {count:,} times" for what, count in seen.most_common()))
    print("\n".join(wrong[:20]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
