"""The audit of locked versions: findings fail, outages do not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def script(part: Any) -> Any:
    """The script that audits."""
    return part("audit")


def test_findings_fail_and_outages_do_not(script: Any) -> None:
    def stand_in(code: str) -> tuple[int, str]:
        return script.audit((sys.executable, "-c", code), seconds=5)

    found = stand_in("import sys; print('torch 1.0 X-1'); sys.exit('Found 1 known vulnerability in 1 package')")
    assert found == (1, "Found 1 known vulnerability in 1 package\ntorch 1.0 X-1")
    assert stand_in("pass") == (0, "No known vulnerabilities.")
    code, said = stand_in("raise ConnectionError('no route')")
    assert (code, said) == (
        0,
        "Not audited: the database of vulnerabilities could not be asked (ConnectionError: no route).",
    )
    code, said = script.audit((sys.executable, "-c", "import time; time.sleep(60)"), seconds=0.5)
    assert (code, said) == (0, "Not audited: the database of vulnerabilities had not answered after 0.5 seconds.")


def test_pip_audit_is_asked_as_it_wants_to_be(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert script.LOCK.is_file()
    lock = tmp_path / "one.lock"
    lock.write_text("numpy==2.3.0\n")
    ask, nowhere = script.COMMAND, ("--osv-url", "http://127.0.0.1:9/v1/query")
    monkeypatch.setattr(script, "OPTIONS", (*script.OPTIONS, *nowhere))
    code, said = script.audit(lock=lock)
    assert code == 0
    assert said.startswith("Not audited: the database of vulnerabilities could not be asked (")
    assert "Connection" in said
    assert script.audit((*ask, "--no-such-option"), lock)[0] == 1  # a mistake of ours is no outage
