"""Two objects of one store in one process. Where a process closes a file, POSIX takes all its locks on it away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gradrace.store import open_store

from . import samples

WRITE = """
import sys
from gradrace.store import open_store
with open_store(sys.argv[1]) as store:
    store.beat(sys.argv[2], "one", {})
"""


def test_an_object_sees_what_is_written_after_another_of_its_process_has_come_and_gone(tmp_path: Path) -> None:
    path = tmp_path / "races.db"
    with open_store(path) as store:
        store.create_race(**samples.race())
        open_store(path).close()
        # The other process closes as the last one would, unless this one's locks say that it is not.
        subprocess.run([sys.executable, "-c", WRITE, str(path), samples.RACE], check=True, timeout=60)
        assert path.with_name("races.db-wal").exists()
        assert set(store.pulses()) == {samples.RACE}
        open_store(path).close()
        subprocess.run([sys.executable, "-c", WRITE, str(path), samples.RACE], check=True, timeout=60)
        assert store.pulses()[samples.RACE].number == 2
    assert [file.name for file in tmp_path.iterdir()] == ["races.db"]


def test_a_file_that_is_open_here_is_known_by_more_than_its_name(tmp_path: Path) -> None:
    path, link = tmp_path / "races.db", tmp_path / "link.db"
    with open_store(path) as store:
        store.create_race(**samples.race())
        link.symlink_to(path)
        open_store(link).close()
        subprocess.run([sys.executable, "-c", WRITE, str(path), samples.RACE], check=True, timeout=60)
        assert path.with_name("races.db-wal").exists()
        assert set(store.pulses()) == {samples.RACE}
