"""docs/calibration.md is made of docs/calibration.json, and nowhere in it is the test in use detectably too liberal."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def calibration_page(part: Any) -> Any:
    """The script that makes the page."""
    return part("calibration_page")


def test_the_page_is_made_of_the_numbers(calibration_page: Any) -> None:
    assert calibration_page.PAGE.read_text(encoding="utf-8") == calibration_page.page()


def test_equal_entries_are_told_apart_no_more_often_than_allowed(calibration_page: Any) -> None:
    found = json.loads(calibration_page.DATA.read_text(encoding="utf-8"))["calibrations"]
    equal = [known for known in found if known["kind"] == "equal"]
    assert len({known["workload"]["name"] for known in equal}) >= 4
    for known in equal:
        rates = calibration_page.chosen(known)["false_verdicts"]
        assert {(cell["studies"], cell["contenders"]) for cell in rates} == {(k, c) for k in (3, 5, 8) for c in (2, 5)}
        assert all(cell["interval"][0] <= 0.05 for cell in rates)
