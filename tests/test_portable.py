"""What other systems lack is not needed: no fork, no affinity, few signals, no compiler. A shell completes words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LACKING = """
import os, signal, sys
for name in ("fork", "forkpty", "sched_getaffinity", "posix_fadvise"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGBUS", "SIGUSR1"):
    if hasattr(signal, name):
        delattr(signal, name)
os.environ["PATH"] = ""  # no compiler
"""
RACE = """
import gradrace
from gradrace.engine.lanes import how_it_ended
result = gradrace.race("linear", ["sgd", "adam"], budget="quick", steps=40, lanes=1, store="races.db")
print(result.recommendation["code"])
print(how_it_ended(1), how_it_ended(-9), how_it_ended(-7))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="lanes are forked on Linux only")
def test_a_race_needs_nothing_that_other_systems_lack(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LACKING, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RACE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "GRADRACE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, ended = done.stdout.strip().splitlines()
    assert code.startswith("torch.optim.")
    assert ended.startswith("it exited with status 1 it was killed")


def test_a_shell_completes_commands() -> None:
    env = {**os.environ, "_GRADRACE_COMPLETE": "complete_bash", "COMP_WORDS": "gradrace ra", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['gradrace']; from gradrace.cli import main; main()"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["race", "races"], done.stderr
