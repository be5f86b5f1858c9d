"""Known vulnerabilities of the locked versions, by pip-audit, as ``make audit`` asks for them.

Exit code 1: there are some. Where the database cannot be asked, or does not answer in time, that is said in one line
and the code is 0: an outage is no finding.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements-dev.lock"
SECONDS = 20
NOT_OURS: dict[str, str] = {}
"""Findings that do not touch this project, with the reason."""

# OSV is a database of vulnerabilities; the other service would ask the package registry about every package by name.
OPTIONS = (
    "--vulnerability-service",
    "osv",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--timeout",
    "5",
)
COMMAND = (sys.executable, "-m", "pip_audit")


def audit(command: tuple[str, ...] = COMMAND, lock: Path = LOCK, seconds: float = SECONDS) -> tuple[int, str]:
    """The exit code, and what to print."""
    ignored = [word for known in NOT_OURS for word in ("--ignore-vuln", known)]
    words = [*command, "--requirement", str(lock), *OPTIONS, *ignored]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return 0, f"Not audited: the database of vulnerabilities had not answered after {seconds:g} seconds."
    if done.returncode == 2 or re.search(r"^Found \d+ known vulnerabilit", done.stderr, re.MULTILINE):
        return 1, f"{done.stderr}{done.stdout}".strip()
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return 0, f"Not audited: the database of vulnerabilities could not be asked ({said[:150]})."
    return 0, "No known vulnerabilities."


if __name__ == "__main__":
    code, said = audit()
    print(said)
    sys.exit(code)
