"""The README's Python runs as it stands; its commands, and those of the tour, exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")


def test_the_readmes_example_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    # As someone would paste it: a script without a main guard.
    script = tmp_path / "example.py"
    script.write_text(block.replace('budget="quick")', f'budget="quick", store={str(tmp_path / "r.db")!r})'))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    sentence, code = done.stdout.strip().splitlines()
    assert "on mine (test accuracy" in sentence
    assert code.startswith("torch.optim.")


@pytest.mark.parametrize("option", sorted(set(re.findall(r"--[a-z][a-z-]+", README + TOUR)) - {"--help"}))
def test_every_option_that_they_name_exists(option: str) -> None:
    from gradrace.cli._evidence import claims
    from gradrace.cli._exporting import export, plot
    from gradrace.cli._importing import import_
    from gradrace.cli._landscapes import landscapes
    from gradrace.cli._racing import race
    from gradrace.cli._reporting import report

    name = option.removeprefix("--").replace("-", "_")
    commands = (race, claims, report, plot, export, import_, landscapes)
    assert name in {known for command in commands for known in command.__annotations__}
