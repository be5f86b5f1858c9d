"""What a race spends beside training, and how much of the processor its training reaches."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from typing import Any

from tables import Target, spread, table

from ._common import Options, in_turns, say

TITLE = "Overheads, and FLOP/s"
ABOUT = (
    "Default races on `digits`, in turns quiet and with the display on a terminal and a JSON file. The "
    "display's share is the processor time that the race's own process takes more with it, over the race's "
    "seconds; the store's is the time to write as many outcomes at the measured rate. FLOPs of a training step "
    "are those of matrix products and convolutions, forward and backward, as torch counts them; the machine's "
    "are those of a 2048 × 2048 product in float32, one thread on each of two cores."
)
MOST = 0.03
BUDGET = "standard"


def watched(shown: bool) -> dict[str, float]:
    """A default race in a process of its own, perhaps on a terminal."""
    from peers._workers import HERE

    path = os.pathsep.join([str(HERE), *(place for place in sys.path if place)])
    words = [sys.executable, "-m", "peers.watched_race"]
    ours, theirs = os.openpty()

    def drain() -> None:
        with contextlib.suppress(OSError):  # the terminal is gone with its last user
            while os.read(ours, 65536):
                pass

    reader = threading.Thread(target=drain)
    reader.start()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*words, f"{folder}/races.db", f"{folder}/race.json", "shown" if shown else "quiet", BUDGET],
            env={**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            check=True,
        )
    os.close(theirs)
    reader.join()
    os.close(ours)
    return json.loads(done.stdout)


def step_flops(name: str) -> int:
    """FLOPs of a training step of one model on one batch."""
    from peers._plain import batches
    from torch.utils.flop_counter import FlopCounterMode

    from gradrace.workloads import workload

    work = workload(name)
    assert work.model is not None
    model = work.model()
    batch = next(batches(work, model))
    with FlopCounterMode(display=False) as counter:
        work.loss_of(model, batch).backward()
    return counter.get_total_flops()


def measure(options: Options, absent: list[str], rates: dict[str, list[float]] | None = None) -> dict[str, Any]:
    """``rates`` are the trial-steps per second of the section on the engine; without them they are measured here."""
    from peers._workers import Workers
    from peers.gradrace_lanes import gradrace_rate
    from store_throughput import throughput

    races: dict[str, list[dict[str, float]]] = {"quiet": [], "shown": []}

    def race(kind: str) -> float:
        races[kind].append(watched(kind == "shown"))
        return races[kind][-1]["seconds"]

    in_turns(options.rounds, {kind: lambda kind=kind: race(kind) for kind in races})
    stored = [throughput() for _ in range(options.rounds)]
    product = Workers("matmul", [])
    try:
        machine = [product.rate(1.0) for _ in range(options.rounds)]
    finally:
        product.close()
    rates = rates or {name: [gradrace_rate(name, options.seconds)[0]] for name in options.workloads}
    flops = {name: {"step": step_flops(name), "rates": found} for name, found in rates.items()}
    found = {
        "races": races,
        "store": {"written": [s.written for s in stored], "read": [s.read for s in stored]},
        "machine_gflops": machine,
        "flops": flops,
    }
    say(f"overheads: {100 * share(found):.1f} % of a race")
    return found


def parts(found: dict[str, Any]) -> dict[str, float]:
    """Shares of a race's seconds."""
    quiet, shown = found["races"]["quiet"], found["races"]["shown"]
    seconds = statistics.median(race["seconds"] for race in quiet)
    more = statistics.median(race["processor"] for race in shown) - statistics.median(r["processor"] for r in quiet)
    writing = quiet[0]["trials"] / statistics.median(found["store"]["written"])
    return {"store": writing / seconds, "display and JSON": max(0.0, more) / seconds}


def share(found: dict[str, Any]) -> float:
    """All of them."""
    return sum(parts(found).values())


def lines(found: dict[str, Any]) -> list[str]:
    """The tables."""
    seconds = {kind: [race["seconds"] for race in races] for kind, races in found["races"].items()}
    store = found["store"]
    first = [
        *([name, f"{100 * value:.2f} %"] for name, value in parts(found).items()),
        ["store, outcomes written per second", spread(store["written"])],
        ["store, outcomes read per second", spread(store["read"])],
        ["race, quiet: seconds", spread(seconds["quiet"])],
        ["race, with display: seconds", spread(seconds["shown"])],
    ]
    machine = statistics.median(found["machine_gflops"])
    second = [["matrix product", "–", "–", spread(found["machine_gflops"]), "100 %"]]
    for name, row in found["flops"].items():
        gflops = [row["step"] * rate / 1e9 for rate in row["rates"]]
        reached = f"{100 * statistics.median(gflops) / machine:.1f} %"
        second.append([name, f"{row['step'] / 1e6:,.3f}", spread(row["rates"]), spread(gflops), reached])
    header = ["workload", "MFLOP a step", "trial-steps/s", "GFLOP/s", "of the product's"]
    return [*table(["", ""], first), "", *table(header, second)]


def targets(found: dict[str, Any] | None) -> list[Target]:
    """What was reached."""
    value = 100 * share(found) if found else None
    return [Target("store and progress, share of a race", 100 * MOST, value, at_most=True, unit=" %")]
