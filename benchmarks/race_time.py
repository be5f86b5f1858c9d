"""Seconds and peak memory of whole races, from process start to verdict: ``python benchmarks/race_time.py``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MEBIBYTE = 2**20


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        found += [int(child) for child in children.read_text().split()] if children.exists() else []
    return found


def memory(pid: int) -> int:
    """Bytes that a process and all below it hold, shared pages counted once (proportional set size)."""
    total = 0
    for process in descendants(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it ended in between
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def timed(words: list[str]) -> tuple[float, float, int, str]:
    """Seconds in all, seconds to the first line on standard error, peak bytes, and the JSON."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gradrace", *words, "--json", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak, first = [0], [0.0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], memory(process.pid))
            time.sleep(0.1)

    def listen() -> None:
        assert process.stderr is not None
        for _ in process.stderr:
            first[0] = first[0] or time.perf_counter() - start

    threads = [threading.Thread(target=watch), threading.Thread(target=listen)]
    for thread in threads:
        thread.start()
    assert process.stdout is not None
    printed = process.stdout.read()
    process.wait()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, first[0], peak[0], printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", default="digits")
    parser.add_argument("--budgets", default="quick,standard")
    arguments = parser.parse_args()
    print("| race | seconds | first line after | trial-steps/s | peak MiB | winner's test |\n|---|---|---|---|---|---|")
    for budget in arguments.budgets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            words = ["race", arguments.workload, "--budget", budget, "--store", f"{folder}/races.db"]
            seconds, first, peak, printed = timed(words)
        summary = json.loads(printed)
        best = summary["standings"][0]
        rate = summary["cost"]["trial_steps"] / seconds
        print(
            f"| {arguments.workload}, {budget} | {seconds:.1f} | {first:.1f} s | {rate:,.0f} | "
            f"{peak / MEBIBYTE:,.0f} | {best['label']} {best['test']['mean']:.4f} |"
        )


if __name__ == "__main__":
    main()
