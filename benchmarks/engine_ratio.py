"""Trial-steps per second of both engines and of a plain torch loop, on one core, taking turns.

``python benchmarks/engine_ratio.py [WORKLOAD …]``. The plain loop is what people write: ``zero_grad``, ``backward``,
``step`` with the fastest mode of ``torch.optim`` for that model (fused where it exists, else foreach or neither).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from gradrace.engine.batches import Feed
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, Trials, TrialSetup, fresh_model
from gradrace.engine.vectorized import Vectorized
from gradrace.optimizers import optimizer
from gradrace.workloads import Workload, workload

CONTENDERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
STEPS, ROUNDS = 60, 5


def setups(trials_each: int, streams: int) -> list[TrialSetup]:
    """Trials of all contenders; with several streams every trial of a contender has its own."""
    return [
        TrialSetup(rule, rule.configure({"lr": 0.01}), rule.with_options({}), (0, 0, trial % streams))
        for rule in (optimizer(name) for name in CONTENDERS)
        for trial in range(trials_each)
    ]


def plain_loop(work: Workload, name: str, mode: dict[str, bool], steps: int) -> float:
    """Seconds of a plain loop."""
    training = Training(steps, work.batch_size)
    model = fresh_model(work, (0, 0, 0), training)
    made = getattr(
        torch.optim, {"sgd": "SGD", "momentum": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam"}[name]
    )
    more = {"momentum": 0.9} if name == "momentum" else {}
    optimizer = made(model.parameters(), lr=0.01, **more, **mode)
    batches = Feed(work, training).batches((0, 0, 0))
    start = time.perf_counter()
    for step in range(1, steps + 1):
        batch = batches.batch(step)
        optimizer.zero_grad()
        work.loss_of(model, batch).backward()
        optimizer.step()
    return time.perf_counter() - start


def best_modes(work: Workload) -> dict[str, dict[str, bool]]:
    """The fastest mode of ``torch.optim`` for each contender on this model."""
    best = {}
    for name in CONTENDERS:
        seconds = {}
        for mode in ({"fused": True}, {"foreach": True}, {"foreach": False}):
            try:
                plain_loop(work, name, mode, 5)
                seconds[next(iter(mode)), next(iter(mode.values()))] = plain_loop(work, name, mode, 40)
            except (RuntimeError, TypeError):
                continue  # this class has no fused mode
        key, value = min(seconds, key=lambda kind: seconds[kind])
        best[name] = {key: value}
    return best


def engine_rate(trials: Trials, count: int, turn: int) -> float:
    """Trial-steps per second of the next STEPS steps."""
    start = time.perf_counter()
    trials.train(STEPS * (turn + 2))
    return count * STEPS / (time.perf_counter() - start)


def rates(work: Workload) -> dict[str, float]:
    """Median trial-steps per second of each way."""
    training = Training(STEPS * (ROUNDS + 1), work.batch_size)
    modes = best_modes(work)
    blocks = {
        "vectorized, 80 trials": (Vectorized(work), setups(16, 1)),
        "vectorized, 20 trials": (Vectorized(work), setups(4, 1)),
        "vectorized, 20 trials of 4 seeds": (Vectorized(work), setups(4, 4)),
        "loop engine": (Loop(work), setups(1, 1)),
    }
    ways: dict[str, Callable[[int], float]] = {}
    for name, (engine, given) in blocks.items():
        trials = engine.start(given, training)
        trials.train(STEPS)
        ways[name] = partial(engine_rate, trials, len(given))
    ways["plain torch loop"] = lambda turn: (
        len(CONTENDERS) * STEPS / sum(plain_loop(work, name, modes[name], STEPS) for name in CONTENDERS)
    )
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, way in ways.items():
            measured[name].append(way(turn))
    return {name: statistics.median(values) for name, values in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["digits", "linear"])
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(
        "| workload | way | trial-steps/s, one core | to the plain loop | to the loop engine |\n|---|---|---|---|---|"
    )
    for name in parser.parse_args().workloads:
        found = rates(workload(name))
        for way, rate in found.items():
            plain, loop = found["plain torch loop"], found["loop engine"]
            print(f"| {name} | {way} | {rate:,.0f} | {rate / plain:.1f} | {rate / loop:.1f} |")


if __name__ == "__main__":
    main()
