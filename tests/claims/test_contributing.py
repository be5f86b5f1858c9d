"""The claim that CONTRIBUTING.md shows is settled as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from gradrace.claims import Claim, _settle, settle

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def shown() -> Claim:
    """The claim of the page."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (source,) = [block for block in blocks if "claim = Claim(" in block]
    module = ModuleType("shown")
    exec(source, module.__dict__)
    return module.claim


def test_the_claim_of_the_page_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shown()
    monkeypatch.setattr(_settle, "claim", {made.name: made}.__getitem__)
    found = settle([made.name], quick=True, store=tmp_path / "races.db", lanes=1)
    (settled,) = found.settled
    assert len(settled.checks) == 1
    assert settled.checks[0].part == "momentum is better than sgd on linear"
    assert settled.decision in ("holds", "does not hold", "undecided")
    assert list(settled.races) == ["linear"]
