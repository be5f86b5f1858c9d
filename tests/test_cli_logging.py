"""The log beside the store: what stands in it, that it changes nothing else, and that it never stops a race."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.cli import _logging
from gradrace.cli._logging import log_beside, log_path
from gradrace.errors import SpecError, StoreError
from gradrace.race import api

TINY = [
    "linear",
    "--optimizers",
    "sgd",
    "--studies",
    "3",
    "--trials",
    "4",
    "--seeds",
    "1",
    "--steps",
    "8",
    "--engine",
    "loop",
]
LOGGER = logging.getLogger("gradrace")


def race(store: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.app, ["race", *TINY, "--store", str(store), "-q", *words])


@pytest.mark.usefixtures("inline_lanes")
def test_a_race_is_told_in_a_file_beside_its_store(tmp_path: Path) -> None:
    store = tmp_path / "races.db"
    before = (LOGGER.level, LOGGER.propagate, list(LOGGER.handlers), list(logging.getLogger().handlers))
    assert race(store).exit_code == 0
    assert (LOGGER.level, LOGGER.propagate, LOGGER.handlers, logging.getLogger().handlers) == before
    lines = (tmp_path / "races.db.log").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["INFO", "INFO"]
    said = "\n".join(lines)
    for part in ("on linear: sgd; ", "tuning: 12 trials", "confirmation: 3 trials", "has ended after"):
        assert part in said
    assert "is stored" not in said  # that is for --log-level debug


@pytest.mark.usefixtures("inline_lanes")
def test_lines_of_json_and_levels(tmp_path: Path) -> None:
    store = tmp_path / "races.db"
    assert race(store, "--log-json", "--log-level", "debug").exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "races.db.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(set(line) == {"time", "level", "logger", "message"} for line in lines)
    assert {line["level"] for line in lines} >= {"debug", "info"}
    assert any("is stored" in line["message"] for line in lines)
    assert race(tmp_path / "quiet.db", "--log-level", "off").exit_code == 0
    assert not log_path(tmp_path / "quiet.db", as_json=False).exists()
    error = race(store, "--log-level", "loud").exception
    assert isinstance(error, SpecError)
    assert "There is no log level 'loud'" in str(error)


def test_a_race_that_cannot_start_leaves_no_log(tmp_path: Path) -> None:
    assert isinstance(race(tmp_path / "races.db", "--studies", "0").exception, SpecError)
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_logged_on_one_line(tmp_path: Path) -> None:
    store = tmp_path / "races.db"
    store.touch()
    with pytest.raises(StoreError), log_beside(store, "info", as_json=False):
        raise StoreError("first\n2026 INFO forged")
    (line,) = log_path(store, as_json=False).read_text(encoding="utf-8").splitlines()
    assert "ERROR   first\\n2026 INFO forged" in line
    with pytest.raises(ZeroDivisionError), log_beside(store, "info", as_json=True):
        _ = 1 / 0
    (line,) = log_path(store, as_json=True).read_text(encoding="utf-8").splitlines()
    assert "ZeroDivisionError" in json.loads(line)["traceback"]


def test_a_full_file_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logging, "MOST_BYTES", 2000)
    store = tmp_path / "races.db"
    store.touch()
    with log_beside(store, "info", as_json=False):
        for number in range(200):
            LOGGER.info("line %d of some length", number)
    files = sorted(path.name for path in tmp_path.glob("races.db.log*"))
    assert files == ["races.db.log", "races.db.log.1", "races.db.log.2", "races.db.log.3"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.glob("races.db.log*"))


@pytest.mark.usefixtures("inline_lanes")
def test_a_log_that_cannot_be_written_stops_no_race(tmp_path: Path) -> None:
    (tmp_path / "races.db.log").mkdir()
    done = race(tmp_path / "races.db")
    assert done.exit_code == 0, done.exception
    assert done.stderr.count("cannot be written") == 1
    assert "the race goes on" in done.stderr


@pytest.mark.usefixtures("inline_lanes")
def test_a_library_writes_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="gradrace"):
        api.race("linear", ["sgd"], studies=3, trials=4, seeds=1, steps=8, engine="loop", store=tmp_path / "races.db")
    assert any("tuning: 12 trials" in message for message in caplog.messages)  # whoever listens hears it
    assert not list(tmp_path.glob("*.log"))
    assert any(isinstance(handler, logging.NullHandler) for handler in LOGGER.handlers)
