"""The job in Ray Tune: random search and asynchronous halving, two trials at once on a processor each.

``python -m peers.ray_job SHARE`` runs so many of the 25 studies (0: all) and prints their seconds as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any

from . import digits_job as job
from ._absent import load

PACKAGES = ("ray", "pyarrow")
CPUS = 2


def trainable(config: dict[str, Any]) -> None:
    """One trial."""
    job.one_thread()
    tune = load("ray.tune")
    sampled = {key: value for key, value in config.items() if key != "name"}
    for step, value in job.train(config["name"], sampled, 0):
        tune.report({"step": step, "accuracy": value})


def confirmed(name: str, sampled: dict[str, float], seed: int) -> float:
    """One fresh seed."""
    job.one_thread()
    return job.confirm(name, sampled, seed)


def study(name: str, number: int, folder: str) -> float:
    """Tune one optimizer and confirm its choice; the mean test accuracy."""
    ray, tune = load("ray"), load("ray.tune")
    scheduler = load("ray.tune.schedulers").ASHAScheduler(
        time_attr="step", grace_period=job.RUNGS[0], max_t=job.RUNGS[-1], reduction_factor=job.REDUCTION
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"name": name, **{key: tune.loguniform(*ends) for key, ends in job.SPACES[name].items()}},
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", num_samples=job.TRIALS, scheduler=scheduler, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=folder, name=f"{name}-{number}", verbose=0),
    )
    best = dict(tuner.fit().get_best_result().config)
    best.pop("name")
    seeds = range(100 * number + 1, 100 * number + 1 + job.SEEDS)
    scores = ray.get([ray.remote(confirmed).remote(name, best, seed) for seed in seeds])
    return sum(scores) / len(scores)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    done = []
    ray = load("ray")
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # short: sockets are in it
        ray.init(num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _temp_dir=folder)
        try:
            for name, number in job.share_of(int(sys.argv[1])):
                start = time.perf_counter()
                score = study(name, number, f"{folder}/results")
                done.append({"study": f"{name} {number}", "seconds": time.perf_counter() - start, "accuracy": score})
        finally:
            ray.shutdown()
    print(json.dumps([done]), file=replies, flush=True)


if __name__ == "__main__":
    from peers.ray_job import main as importable_main  # so that functions reach Ray's workers by name

    importable_main()
