"""CONTRIBUTING.md, followed to the letter: each file that it shows is saved, checked, raced and moved as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import gradrace

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (Add .*?)\n(.*?)(?=^## )", PAGE, flags=re.DOTALL | re.MULTILINE))
TEN_MINUTES = 600


@dataclass(frozen=True)
class Walk:
    """What a section tells a newcomer to do: save a file, run commands, move it into a folder, run others."""

    file: str
    text: str
    before: tuple[str, ...]
    folder: str
    after: tuple[str, ...]

    @classmethod
    def of(cls, section: str) -> Walk:
        (text,) = re.findall(r"^```python\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)
        (file,) = re.findall(r"Save it as `(\w+\.py)`", section)
        (folder,) = re.findall(r"Move it to `(src/gradrace/\w+)/`", section)
        before, after = section.split("Move it to")
        return cls(file, text, commands(before), folder, commands(after))


def commands(text: str) -> tuple[str, ...]:
    """What stands after the prompts."""
    return tuple(re.findall(r"^\s*\$ gradrace (.*)$", text, flags=re.MULTILINE))


def followed(walk: Walk, folder: Path) -> dict[str, str]:
    """What each command printed, in a folder that holds nothing but the file, and then in a package that has it."""
    source = folder / "src"
    shutil.copytree(Path(gradrace.__file__).parent, source / "gradrace", ignore=shutil.ignore_patterns("__pycache__"))
    work = folder / "work"
    work.mkdir()
    env = {**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200", "GRADRACE_STORE": str(folder / "races.db")}

    def run(command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gradrace", *command.split()],
            cwd=work,
            env=env,
            capture_output=True,
            text=True,
            timeout=TEN_MINUTES,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    (work / walk.file).write_text(walk.text, encoding="utf-8")
    printed = {command: run(command) for command in walk.before}
    (work / walk.file).rename(folder / walk.folder / walk.file)
    return {**printed, **{command: run(command) for command in walk.after}}


def test_each_kind_of_file_has_its_section() -> None:
    assert list(SECTIONS) == ["Add an optimizer in ten minutes", "Add a workload", "Add a claim"]
    folders = [Walk.of(section).folder for section in SECTIONS.values()]
    assert folders == ["src/gradrace/optimizers", "src/gradrace/workloads", "src/gradrace/claims"]


@pytest.mark.slow
@pytest.mark.parametrize("title", SECTIONS)
def test_a_newcomer_gets_through_it(title: str, tmp_path: Path) -> None:
    walk = Walk.of(SECTIONS[title])
    started = time.perf_counter()
    printed = followed(walk, tmp_path)
    seconds = time.perf_counter() - started
    print(f"{title}: {seconds:.0f} seconds of commands")
    assert seconds < TEN_MINUTES
    assert re.search(rf"{walk.file}: all \d+ checks passed\.", printed[f"check {walk.file}"])
    name = re.findall(r'^    name="([\w-]+)",', walk.text, flags=re.MULTILINE)[0]
    for command in walk.after:
        assert name in printed[command], command
    for command in walk.before[1:]:
        assert "Verdict" in printed[command] or "claim" in printed[command], command
