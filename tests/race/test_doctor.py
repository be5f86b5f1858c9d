"""The look over a machine: what is missing is told with what to do, and nothing makes it faint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gradrace import cli
from gradrace.optim import _compiler
from gradrace.race import doctor
from gradrace.race.doctor import Examined, examine
from gradrace.store import open_store


def by_name(found: list[Examined]) -> dict[str, Examined]:
    return {known.what: known for known in found}


def test_all_that_is_not_ok_has_advice(tmp_path: Path) -> None:
    found = examine(tmp_path / "races.db")
    assert {"Python", "torch", "cores", "memory", "compiler", "CUDA", "store", "cache folder", "data"} <= set(
        by_name(found)
    )
    assert all(bool(known.advice) == (known.state != "ok") for known in found)
    assert by_name(found)["store"].state == "ok"
    assert list(tmp_path.iterdir()) == []  # looked at, not made


def test_a_store_that_is_none_is_a_fault_and_the_exit_code_says_so(tmp_path: Path) -> None:
    store = tmp_path / "races.db"
    store.write_text("no database " * 20)
    done = CliRunner().invoke(cli.app, ["doctor", "--store", str(store)])
    assert done.exit_code == 1
    said = " ".join(done.stdout.split())  # long lines are broken
    assert "is no SQLite database" in said
    assert "Faults: 1, hints: " in said
    store.unlink()
    open_store(store).close()
    assert "holds 0 races" in by_name(examine(store))["store"].found
    assert CliRunner().invoke(cli.app, ["doctor", "--store", str(store)]).exit_code == 0


def test_what_is_missing_is_told_with_the_way_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compiler, "machine", lambda: None)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "free_memory", lambda: 10**8)
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "empty"))
    found = by_name(examine(tmp_path / "races.db"))
    assert "apt install gcc" in found["compiler"].advice
    assert "gradrace[plots]" in found["extra plots"].advice
    assert "ensurepip" in found["pip"].advice
    assert "--lanes 1" in found["memory"].advice
    assert "gradrace data fetch" in found["data"].advice
    assert all(found[name].state == "hint" for name in ("compiler", "extra plots", "pip", "memory", "data"))


def test_a_folder_that_cannot_be_written_to_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuses)
    found = by_name(examine(tmp_path / "races.db"))["store"]
    assert found.state == "fault"
    assert "cannot be written to (Permission denied)" in found.found
    assert "GRADRACE_STORE" in found.advice


def test_what_cannot_be_examined_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faints() -> Iterator[Examined]:
        raise RuntimeError("dizzy")
        yield

    monkeypatch.setattr(doctor, "_memory", faints)
    found = by_name(examine(tmp_path / "races.db"))
    assert found["memory"].found == "it could not be examined: RuntimeError: dizzy"
    assert "store" in found  # it went on


def test_without_torch_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('broken on purpose')\n")
    places = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "gradrace", "doctor"],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONPATH": places},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "it cannot be imported (broken on purpose)" in done.stdout
    assert "--force-reinstall torch" in done.stdout
    assert done.stderr == ""
