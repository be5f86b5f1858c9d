"""docs/evidence.md is made of the shipped evidence, and every verdict in it comes out again by plain arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from gradrace.evidence import evidence


@pytest.fixture
def evidence_pages(part: Any) -> Any:
    """The script that makes the page."""
    return part("evidence_pages")


def test_the_page_is_made_of_the_shipped_evidence(evidence_pages: Any) -> None:
    assert evidence_pages.PAGE.read_text(encoding="utf-8") == evidence_pages.page()


def test_so_is_the_table_of_the_readme(evidence_pages: Any) -> None:
    text = evidence_pages.README.read_text(encoding="utf-8")
    assert evidence_pages.with_table(text) == text
    for claim in evidence()["claims"]["claims"]:
        assert f"“{claim['title']}”" in text


@pytest.mark.parametrize("name", evidence()["races"])
def test_every_verdict_comes_out_again_by_hand(name: str, evidence_pages: Any) -> None:
    race = evidence()["races"][name]
    pairs = evidence_pages.holm(race)
    usual = [pair for pair in race["pairs"] if pair["reason"] is None]
    assert usual
    for pair in usual:
        known = pairs[pair["a"], pair["b"]]
        # The evidence keeps six digits of each value; of a difference of nearly equal values fewer are left.
        assert known["mean"] == pytest.approx(pair["difference"], rel=1e-2, abs=1e-6)
        assert known["p"] == pytest.approx(pair["p"], rel=5e-2)
        assert known["p_adjusted"] == pytest.approx(pair["p_adjusted"], rel=5e-2)
        assert known["decided"] == (pair["decision"] != "no detectable difference")
        assert known["interval"] == pytest.approx(pair["interval"], rel=5e-2, abs=1e-5)
