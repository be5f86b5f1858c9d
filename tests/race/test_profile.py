"""A profile's purposes add up to a session's wall time."""

from __future__ import annotations

import pytest

from gradrace.race.profile import PURPOSES, process_seconds, profile


def test_purposes_add_up() -> None:
    found = profile(1.5, 10.0, {"train": 12.0, "import": 2.0, "other": 1.0}, 2, 0.5)
    assert found == {"start": 1.5, "import": 1.0, "train": 6.0, "other": 0.5, "store": 0.5, "idle": 2.0}
    assert sum(found.values()) == pytest.approx(11.5)
    assert set(found) <= set(PURPOSES)


def test_to_write_costs_at_most_what_lanes_wait() -> None:
    found = profile(0.0, 10.0, {"train": 18.0}, 2, 3.0)
    assert (found["store"], found["idle"]) == (1.0, 0.0)
    assert sum(found.values()) == pytest.approx(10.0)


def test_a_lane_that_is_ahead_of_the_race_leaves_no_time_to_wait() -> None:
    # A lane's clock goes on for an instant after the race has stopped counting.
    found = profile(0.0, 10.0, {"train": 20.02}, 2, 0.5)
    assert (found["store"], found["idle"]) == (0.0, 0.0)
    assert sum(found.values()) == pytest.approx(10.0, abs=0.02)


def test_the_age_of_this_process_goes_on() -> None:
    first = process_seconds()
    assert 0 <= first <= process_seconds() < 24 * 3600
