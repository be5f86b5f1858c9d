"""The whole default race, from process start to verdict, against the same job in Optuna and Ray Tune."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables import Target, ratios, spread, table

from ._common import Options, in_turns, say

SHARES = {"optuna": 6, "ray": 2}
"""Studies of the 25 that are run: three in each of Optuna's processes, and two one after another in Ray Tune."""
AT_ONCE = {"optuna": 2, "ray": 1}
"""Studies under way at the same time."""
BUDGET = "standard"
TITLE = "Race: seconds from process start to verdict"
ABOUT = (
    "`gradrace race digits`: 5 contenders, 5 studies of 16 trials of 600 steps with halving, 4 fresh seeds for "
    "each choice; cold with an empty cache folder, warm with the one that this left. The same job in Optuna "
    "(TPE, successive halving) in two single-threaded processes, and in Ray Tune (random search, ASHA, one "
    "processor a trial): the same model, data, ranges, steps and rungs, the fastest mode of `torch.optim`, "
    "scored at the rungs alone, and no report at the end."
)


def gradrace_seconds(cache: str) -> float:
    """One default race on an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "gradrace", "race", "digits", "--budget", BUDGET, "--quiet", "--json", "-"]
        start = time.perf_counter()
        subprocess.run(
            [*words, "--store", f"{folder}/races.db"],
            env={**os.environ, "GRADRACE_CACHE": cache},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - start


def job_seconds(peer: str, share: int, notes: list[Any]) -> float:
    """Seconds of the whole job in a peer, from those of a share of its studies; its start counts once."""
    from peers._workers import HERE, ONE_THREAD
    from peers.digits_job import whole

    path = os.pathsep.join([str(HERE), *(place for place in sys.path if place)])
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"peers.{peer}_job", str(share)],
        env={**os.environ, **ONE_THREAD, **quiet, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    parts = json.loads(done.stdout)
    notes.append({"seconds": seconds, "studies": parts})
    if share == 0:
        return seconds
    busy = max(sum(study["seconds"] for study in part) for part in parts)
    return whole(seconds - busy, [study["seconds"] for part in parts for study in part], AT_ONCE[peer])


def measure(options: Options, absent: list[str]) -> dict[str, Any]:
    """Seconds, round by round."""
    from peers import optuna_job, ray_job
    from peers._absent import missing, versions

    with tempfile.TemporaryDirectory() as folder:
        caches: list[str] = []

        def cold() -> float:
            caches.append(str(Path(folder) / str(len(caches))))
            return gradrace_seconds(caches[-1])

        # A round may begin with the warm race: there is always a cache that an earlier race left.
        cold()
        ways: dict[str, Callable[[], float]] = {
            "gradrace, cold": cold,
            "gradrace, warm": lambda: gradrace_seconds(caches[-1]),
        }
        shares, notes = {}, {}
        for peer, module in (("optuna", optuna_job), ("ray", ray_job)):
            lacking = missing(*module.PACKAGES)
            if lacking:
                absent.append(f"{peer} was left out: {lacking} is not installed.")
                continue
            shares[peer], notes[peer] = 0 if options.full else SHARES[peer], []
            ways[peer] = lambda peer=peer: job_seconds(peer, shares[peer], notes[peer])
        seconds = in_turns(options.rounds, ways)
    say("race: " + ", ".join(f"{way} {spread(values)} s" for way, values in seconds.items()))
    return {"seconds": seconds, "shares": shares, "runs": notes, "versions": versions("optuna", "ray")}


def lines(found: dict[str, Any]) -> list[str]:
    """The table."""
    from_warm = found["seconds"]["gradrace, warm"]
    rows = []
    for way, seconds in found["seconds"].items():
        share = found["shares"].get(way)
        how = "whole" if not share else f"from {share} of the 25 studies, and the start once"
        rows.append([way, spread(seconds), how, spread(ratios(seconds, from_warm))])
    return [*table(["", "seconds", "measured", "to gradrace, warm"], rows), "", f"{found['versions']}."]


def targets(found: dict[str, Any] | None) -> list[Target]:
    """What was reached."""

    def over(way: str) -> float | None:
        if not found or "optuna" not in found["seconds"]:
            return None
        return statistics.median(ratios(found["seconds"]["optuna"], found["seconds"][way]))

    return [
        Target("default race over the same job in Optuna, warm", 10, over("gradrace, warm")),
        Target("the same, on the first run ever", 5, over("gradrace, cold")),
    ]
