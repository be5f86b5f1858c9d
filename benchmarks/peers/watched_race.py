"""A race in this process, which then tells its seconds and the processor's seconds that it took itself.

``python -m peers.watched_race STORE JSON shown|quiet BUDGET``: lanes are other processes, so what this one takes is
what the race spends on everything but training: the plan, the store, the display and the verdict.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import gradrace


def main() -> None:
    store, path, kind, budget = sys.argv[1:]
    start = time.perf_counter()
    result = gradrace.race("digits", budget=budget, store=store, json=path, quiet=kind == "quiet")
    seconds = time.perf_counter() - start
    own = resource.getrusage(resource.RUSAGE_SELF)
    trials = result.to_json()["cost"]["trials"]
    print(json.dumps({"seconds": seconds, "processor": own.ru_utime + own.ru_stime, "trials": trials}))


if __name__ == "__main__":
    main()
