"""The blocks of pages run as they stand, in order, in an empty folder, and print what the pages show.

In an output shown, `...` stands for anything. A page that is not here, or a command that is not run, is in `NOT_RUN`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = ("docs/own-model.md", "docs/ko/index.md", "docs/import.md")
"""Pages whose every block runs; a block of Python is saved as `my_model.py`, which the text of the first two says."""
NOT_RUN = {
    "CONTRIBUTING.md": "its Python is run by tests of check and claims; make sets up an environment",
    "README.md": "its Python is run by test_readme; its commands race for longer or need a race's id",
    "docs/config.md": "races at standard length; tests of the configuration read the file it shows",
    "docs/index.md": "make sets up an environment",
    "docs/landscapes.md": "opens a browser; tests of landscapes run the same",
    "docs/tour.md": "its commands need a race's id; tests of those commands run the same",
    "docs/live.md": "serves until Ctrl-C; tests of serve run the same",
    "docs/testing.md": "its Python is a test, which test_testing runs",
    "docs/trackers.md": "its commands need a race's id; tests of trackers run the same",
}
BLOCK = re.compile(r"^```(python|console|bash)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each block of a page that could be run."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def test_every_page_with_blocks_is_run_or_says_why_not() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = {path.relative_to(ROOT).as_posix() for path in pages}
    assert {page for page in found if blocks(page)} == {*RUN, *NOT_RUN}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    results = str(tmp_path / "races.db")
    shutil.copy(ROOT / "examples" / "runs.csv", tmp_path)
    for language, text in blocks(page):
        if language == "python":
            (tmp_path / "my_model.py").write_text(text, encoding="utf-8")
            continue
        for command, shown in re.findall(r"^\$ gradrace (.*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE):
            store = ["--store", results] if command.startswith(("race ", "recommend ", "import ")) else []
            done = subprocess.run(
                [sys.executable, "-m", "gradrace", *command.split(), *store],
                cwd=tmp_path,
                env={**os.environ, "COLUMNS": "200"},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            wanted = ".*".join(re.escape(part) for part in shown.strip().split("..."))
            assert re.fullmatch(wanted, done.stdout.strip(), flags=re.DOTALL), f"{command} printed:\n{done.stdout}"
