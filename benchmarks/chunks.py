"""Trial-steps per second of compiled blocks in chunks of several sizes, one core: ``python benchmarks/chunks.py``."""

from __future__ import annotations

import argparse
import time

import torch
from engine_ratio import setups

from gradrace.engine.products import onednn
from gradrace.engine.trial import Training, Trials
from gradrace.engine.vectorized import Vectorized
from gradrace.workloads import workload

TRIALS_EACH, CHUNKS, STEPS, SECONDS = 16, (10, 20, 40, 80), 10, 1.0


def rate(trials: Trials, count: int) -> float:
    """Trial-steps per second of ``count`` trials that have been trained for STEPS steps."""
    until, start = STEPS, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        until += STEPS
        trials.train(until)
    return count * (until - STEPS) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["digits", "clicks", "forecast", "language"])
    parser.add_argument("--onednn", action="store_true", help="have oneDNN compute matrix products")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print("| workload |", " | ".join(map(str, CHUNKS)), "|\n|---|", "---|" * len(CHUNKS), sep="")
    for name in arguments.workloads:
        work, given, found = workload(name), setups(TRIALS_EACH, 1), []
        for chunk in CHUNKS:
            trials = Vectorized(work, "always").start(given, Training(100_000, work.batch_size, chunk=chunk))
            with onednn(arguments.onednn):
                trials.train(STEPS)
                found.append(rate(trials, len(given)))
        print(f"| {name} |", " | ".join(f"{one:,.0f}" for one in found), "|")


if __name__ == "__main__":
    main()
