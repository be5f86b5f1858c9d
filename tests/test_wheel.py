"""The package as it is published: built, installed into an empty environment, and raced from an empty folder.

``make wheel-test`` runs these, with what each environment holds and what the race says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST_BYTES = 3_000_000
TORCH = "torch==2.13.0"
"""The same in both sets: another version, or none named, would be a build of several gigabytes for other hardware."""


def run(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **env},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (made,) = folder.glob("*.whl")
    return made


def lowest() -> list[str]:
    """Of each dependency the first versions that the package says it works with."""
    bounds = [re.fullmatch(r"([\w-]+)>=([\d.]+)", wanted) for wanted in PROJECT["dependencies"]]
    assert all(bounds), "A dependency is declared otherwise than name>=version."
    return [f"{bound[1]}=={bound[2]}.*" for bound in bounds if bound and bound[1] != "torch"]


@pytest.mark.slow
def test_the_wheel_holds_what_it_should_and_nothing_else(wheel: Path) -> None:
    assert wheel.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        metadata = opened.read(next(name for name in names if name.endswith("METADATA"))).decode()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"gradrace", f"{wheel.name.split('-py3')[0]}.dist-info"}
    in_source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "gradrace").rglob("*.*")}
    in_source = {name for name in in_source if "__pycache__" not in name and (ROOT / "src" / name).is_file()}
    assert {name for name in names if name.startswith("gradrace/")} == in_source
    assert "gradrace/py.typed" in names
    assert set(re.findall(r"^Provides-Extra: ([\w-]+)$", metadata, flags=re.MULTILINE)) == set(
        PROJECT["optional-dependencies"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("versions", ["lowest", "newest"])
def test_it_races_in_an_empty_environment(versions: str, wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "-qq", wheel, TORCH, *(lowest() if versions == "lowest" else ()))
    print(f"\n{versions}: {run(python, '-m', 'pip', 'list', '--format=freeze').replace(chr(10), ' ')}")
    folder = tmp_path / "empty"
    folder.mkdir()
    command = python.parent / "gradrace"
    said = run(
        *(command, "race", "--budget", "quick", "--store", "races.db", "--json", "race.json"),
        cwd=folder,
        GRADRACE_CACHE=str(tmp_path / "cache"),
    )
    summary = json.loads((folder / "race.json").read_text(encoding="utf-8"))
    assert len(summary["standings"]) == 5
    assert summary["recommendation"]["code"].startswith("torch.optim.")
    assert summary["recommendation"]["code"] in said
    print(said.split("Standings")[0])
    assert "adagrad" in run(command, "table", cwd=folder)  # of the evidence that is shipped
    assert run(python, "-m", "gradrace", "--version").split() == ["gradrace", summary["gradrace"]]
    where = run(python, "-c", "import gradrace; print(gradrace.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(tmp_path)
