"""Processes that are killed, or come all at once: nothing that was told as written is lost, and nothing is torn."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

from gradrace.store import open_store

from . import samples, writer


def kill_after(process: subprocess.Popen[str], lines: int, seconds: float) -> list[str]:
    """The lines that the process wrote until it was killed with SIGKILL, some time after this many of them."""
    assert process.stdin is not None
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(lines)]
    time.sleep(seconds)
    process.kill()
    rest = process.stdout.read()
    assert process.wait() < 0, "it was to be killed, and ended by itself"
    process.stdin.close()
    process.stdout.close()
    # A last line without its end was told too: the block was written before the first letter of it.
    return told + rest.splitlines()


def test_killed_at_any_moment_nothing_told_is_lost_and_no_block_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "races.db"
    moments = random.Random(20240607)
    told: list[str] = []
    for _ in range(5):
        process = writer.start("write_blocks", path, str(len(told) + 1000))
        told += kill_after(process, moments.randint(1, 40), moments.uniform(0, 0.01))

        with open_store(path, must_exist=True) as store:
            blocks = store.blocks(samples.RACE)
            outcomes = store.outcomes(samples.RACE)
        assert set(told) <= blocks
        numbers = [int(id.removeprefix("block-")) for id in blocks]
        expected = [outcome for number in numbers for outcome in samples.block(number, writer.BLOCK_SIZE)[1]]
        assert outcomes == sorted(expected, key=lambda outcome: outcome.trial)


def test_killed_while_creating_leaves_a_store_or_none(tmp_path: Path) -> None:
    moments = random.Random(7)
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = writer.start("create_stores", folder)
        told = kill_after(process, moments.randint(1, 5), moments.uniform(0, 0.01))

        paths = {file.name: file for file in folder.iterdir() if file.suffix == ".db"}
        assert set(told) <= set(paths)
        for path in paths.values():
            with open_store(path) as store:
                store.create_race(**samples.race())
        assert sorted(file.name for file in folder.iterdir()) == sorted(paths), "something stayed beside the stores"


def test_processes_that_create_one_store_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "new" / "races.db"
    ids = [f"race-{number}" for number in range(4)]
    processes = [writer.start("enter_race", path, id) for id in ids]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate()[0].strip() for process in processes]
    assert told == ids
    with open_store(path, must_exist=True) as store:
        assert {record.id for record in store.races()} == set(ids)
