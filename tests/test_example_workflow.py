"""The example of a workflow: it is read, and its commands are run as they stand, in a repository of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gradrace.store import open_store

FOLDER = Path(__file__).parents[1] / "examples" / "ci"
WORKFLOW: dict[Any, Any] = yaml.safe_load((FOLDER / "github-actions.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["race"]["steps"]


def test_actions_are_pinned_by_major_and_nothing_may_write() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert len(used) == 4
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)
    assert WORKFLOW["permissions"] == {"contents": "read"}
    # A request from a stranger must put no text into a command: shell variables alone, nothing of the event.
    assert not any("${{" in step.get("run", "") for step in STEPS)


def test_what_it_keeps_is_where_the_commands_put_it() -> None:
    kept = next(step["with"]["path"] for step in STEPS if step.get("uses", "").startswith("actions/cache"))
    for name in ("GRADRACE_CACHE", "GRADRACE_STORE"):
        assert Path(WORKFLOW["env"][name]).parts[0] == kept


@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True])
def test_its_commands_run(tmp_path: Path, changed: bool) -> None:
    origin, work, tools = tmp_path / "origin", tmp_path / "work", tmp_path / "tools"
    repository(origin)
    git(tmp_path, "clone", "-q", str(origin), str(work))
    if changed:  # steps a million times too short
        text = (work / "my_optimizer.py").read_text(encoding="utf-8")
        ruined = text.replace("alpha=-group", "alpha=-1e-6 * group")
        assert ruined != text
        (work / "my_optimizer.py").write_text(ruined, encoding="utf-8")
    tools.mkdir()
    (tools / "pip").write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/installed"\n', encoding="utf-8")
    (tools / "pip").chmod(0o755)
    env = {
        **os.environ,
        **WORKFLOW["env"],
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    codes, last = {}, ""
    for step in (step for step in STEPS if "run" in step):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            cwd=work,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        codes[step["name"]] = done.returncode
        last = done.stdout + done.stderr
        assert done.returncode == 0 or step["name"].startswith("It is not worse"), last
    assert (tools / "installed").read_text(encoding="utf-8") == "install gradrace[plots] pytest\n"
    assert codes["It is not worse"] == int(changed), last
    if changed:
        assert "new is worse than old on digits by more than" in last
    assert "| place | contender |" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert (work / "race.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with open_store(work / WORKFLOW["env"]["GRADRACE_STORE"], must_exist=True) as opened:
        assert len(opened.races()) == 1


def repository(folder: Path) -> None:
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name in ("my_optimizer.py", "test_my_optimizer.py"):
        shutil.copy(FOLDER / name, folder)
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "An optimizer")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
