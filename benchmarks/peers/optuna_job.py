"""The job in Optuna: TPE and successive halving, a study at a time in each of two single-threaded processes.

``python -m peers.optuna_job SHARE`` runs so many of the 25 studies (0: all) and prints their seconds as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from ._absent import load

PACKAGES = ("optuna",)
PROCESSES = 2


def study(name: str, number: int) -> float:
    """Tune one optimizer and confirm its choice; the mean test accuracy."""
    from . import digits_job as job

    optuna = load("optuna")

    def objective(trial: Any) -> float:
        sampled = {key: trial.suggest_float(key, low, high, log=True) for key, (low, high) in job.SPACES[name].items()}
        value = 0.0
        for step, value in job.train(name, sampled, 0):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=job.RUNGS[0], reduction_factor=job.REDUCTION)
    tuned = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=number), pruner=pruner)
    tuned.optimize(objective, n_trials=job.TRIALS)
    scores = [job.confirm(name, tuned.best_params, 100 * number + seed) for seed in range(1, job.SEEDS + 1)]
    return sum(scores) / len(scores)


def work(part: int, share: int) -> list[dict[str, Any]]:
    """One process's studies."""
    from . import digits_job as job

    job.one_thread()
    load("optuna").logging.set_verbosity(load("optuna").logging.WARNING)
    done = []
    for name, number in job.share_of(share)[part::PROCESSES]:
        start = time.perf_counter()
        score = study(name, number)
        done.append({"study": f"{name} {number}", "seconds": time.perf_counter() - start, "accuracy": score})
    return done


def main() -> None:
    share = int(sys.argv[1])
    if len(sys.argv) > 2:
        print(json.dumps(work(int(sys.argv[2]), share)))
        return
    words = [sys.executable, "-m", "peers.optuna_job", str(share)]
    children = [subprocess.Popen([*words, str(part)], stdout=subprocess.PIPE, text=True) for part in range(PROCESSES)]
    print(json.dumps([json.loads(child.communicate()[0]) for child in children]))


if __name__ == "__main__":
    main()
