"""What open pages cost a race, and how soon they show a block: ``python benchmarks/live_pages.py``.

The same race with readers and without, in turns, beside one server. Each reader does what a page does: it listens to
the race's stream and fetches the document whenever there is a newer one. Two figures tell the cost: the ratio of the
races' seconds, which a busy machine blurs, and the processor seconds of the server as a share of all there were, which
it does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from typing import Any

from gradrace.store import open_store

TICKS = os.sysconf("SC_CLK_TCK")


class Reader:
    """One page: its stream, and its document as often as there is a new one."""

    def __init__(self, port: int, race: str) -> None:
        self.port, self.race = port, race
        self.events = self.documents = 0
        self.heard: list[tuple[float, int, int]] = []
        """Of each message when it came, how many trials it counts, and the document that there is."""

    async def read(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request(self.port, f"/api/races/{self.race}/events"))
        version = 0
        with closing(writer):
            while line := await reader.readline():
                if line.startswith(b"event: bye"):
                    return
                if not line.startswith(b"data: ") or b'"pulse"' not in line:
                    continue
                said = json.loads(line[6:])
                self.events += 1
                trials = sum(row["trials"] for row in said["so_far"] or [])
                self.heard.append((time.monotonic(), trials, said["version"]))
                if said["version"] > version:
                    version = said["version"]
                    await self.fetch()

    async def fetch(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with closing(writer):
            writer.write(request(self.port, f"/api/races/{self.race}/document", "Connection: close\r\n"))
            while await reader.read(1 << 16):
                pass
        self.documents += 1


def request(port: int, path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n{more}\r\n".encode()


class Pages:
    """Readers in a thread of this process, as long as the context lasts."""

    def __init__(self, port: int, race: str, count: int) -> None:
        self.readers = [Reader(port, race) for _ in range(count)]
        self._loop = asyncio.new_event_loop()
        self._all = self._loop.create_task(self._read())
        self._thread = threading.Thread(target=self._run, daemon=True)

    async def _read(self) -> None:
        await asyncio.gather(*(reader.read() for reader in self.readers), return_exceptions=True)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._all)
        self._loop.close()

    def __enter__(self) -> Pages:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # every stream has ended, and the loop with them
            self._loop.call_soon_threadsafe(self._all.cancel)
        self._thread.join()


def processor_seconds(process: int) -> float:
    """What a process has used of processors, all threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start_server(store: Path) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "gradrace", "serve", str(store), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert server.stderr is not None
    line = server.stderr.readline()
    if "http" not in line:
        raise SystemExit(line)
    time.sleep(8)  # the optimizers' cards are asked for once
    return server, int(line.strip().rstrip("/").rpartition(":")[2])


def race(store: Path, options: list[str], port: int, pages: int) -> dict[str, float]:
    """The seconds of one race on a new store, with so many pages open on it."""
    for file in store.parent.glob(f"{store.name}*"):
        file.unlink()
    command = [sys.executable, "-m", "gradrace", "race", *options, "--quiet", "--store", str(store), "--json", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not store.exists() and process.poll() is None:
        time.sleep(0.02)
    entered: list[str] = []
    while not entered and process.poll() is None:
        with open_store(store) as opened:
            entered = list(opened.statuses())
        time.sleep(0.02)
    counts = {"events": 0, "documents": 0}
    if pages:
        with Pages(port, entered[0], pages) as open_pages:
            out, _ = process.communicate()
        counts = {name: sum(getattr(reader, name) for reader in open_pages.readers) for name in counts}
    else:
        out, _ = process.communicate()
    return {"seconds": json.loads(out)["cost"]["seconds"], **counts}


def cost(rounds: int, pages: int, options: list[str]) -> dict[str, Any]:
    """Races with pages and without, in turns."""
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "races.db"
        server, port = start_server(store)
        found: dict[int, list[dict[str, float]]] = {0: [], pages: []}
        try:
            race(store, options, port, 0)  # what is compiled once is compiled
            for turn in range(rounds):
                for count in (0, pages) if turn % 2 else (pages, 0):
                    before = processor_seconds(server.pid)
                    one = race(store, options, port, count)
                    one["server"] = processor_seconds(server.pid) - before
                    found[count].append(one)
                    print(count, "pages:", {name: round(value, 3) for name, value in one.items()}, flush=True)
        finally:
            server.terminate()
            server.wait()
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(found[pages], found[0], strict=True)]
    shares = [one["server"] / (cores * one["seconds"]) for one in found[pages]]
    return {
        "pages": pages,
        "rounds": rounds,
        "race_seconds": median(one["seconds"] for one in found[0]),
        "ratio": median(ratios),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "server_share_of_processors": median(shares),
        "documents_per_page": median(one["documents"] / pages for one in found[pages]),
        "events_per_page": median(one["events"] / pages for one in found[pages]),
    }


def delay(blocks: int) -> dict[str, Any]:
    """From a block that is written to the message that counts it, and to the document that is made then."""
    random_number = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        source, store = Path(folder) / "source.db", Path(folder) / "races.db"
        command = [sys.executable, "-m", "gradrace", "race", "linear", "--optimizers", "sgd,adam", "--budget", "quick"]
        subprocess.run([*command, "--quiet", "--store", str(source)], check=True, stdout=subprocess.DEVNULL)
        with open_store(source) as opened:
            (record,) = opened.races()
            outcomes = opened.outcomes(record.id)
        server, port = start_server(store)
        try:
            with open_store(store) as opened:
                opened.create_race(record.id, record.spec, record.plan, record.machine, record.version)
                written: list[float] = []
                size = max(1, len(outcomes) // blocks)
                with Pages(port, record.id, 1) as open_pages:
                    time.sleep(2)
                    for number in range(min(blocks, len(outcomes) // size)):
                        opened.write_block(record.id, f"block {number}", outcomes[number * size : (number + 1) * size])
                        written.append(time.monotonic())
                        for _ in range(4):  # a pulse, as a race has it
                            opened.beat(record.id, "one", {"trials_done": number})
                            time.sleep(random_number.uniform(0.2, 0.5))
                    time.sleep(3)
        finally:
            server.terminate()
            server.wait()
    (reader,) = open_pages.readers
    counted, drawn = [], []
    for number, moment in enumerate(written):
        trials = (number + 1) * size
        first = next((when, version) for when, seen, version in reader.heard if seen >= trials)
        counted.append(first[0] - moment)
        drawn.append(next((when for when, _, version in reader.heard if version > first[1]), first[0]) - moment)
    return {
        "blocks": len(written),
        "counted_median": median(counted),
        "counted_most": max(counted),
        "document_median": median(drawn),
        "document_most": max(drawn),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("race", nargs="*", default=["digits"], help="what to race; options after --")
    asked = parser.parse_args()
    print(json.dumps({"delay": delay(asked.blocks)}, indent=1), flush=True)
    print(json.dumps({"cost": cost(asked.rounds, asked.pages, asked.race)}, indent=1))


if __name__ == "__main__":
    main()
