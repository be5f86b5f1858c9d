"""The part of a store's contract that those need who follow a race from outside."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gradrace.errors import StoreError
from gradrace.store import Store

from . import samples


class PulseContract(ABC):
    """Inherited by ``StoreContract``."""

    @abstractmethod
    def open(self, folder: Path) -> Store:
        """See ``StoreContract``."""

    def test_pulse_is_the_last_one_and_counts_within_its_session(self, store: Store) -> None:
        assert store.pulses() == {}
        for said in ({"stage": "tuning"}, {"stage": "confirmation", "rate": 1.5}):
            assert store.beat(samples.RACE, "one", said) is False
        pulse = store.pulses()[samples.RACE]
        assert (pulse.session, pulse.number, pulse.stopping) == ("one", 2, False)
        assert pulse.said == {"stage": "confirmation", "rate": 1.5}
        assert abs(datetime.now(UTC) - datetime.fromisoformat(pulse.at)) < timedelta(minutes=1)
        store.beat(samples.RACE, "two", {})
        assert (store.pulses()[samples.RACE].session, store.pulses()[samples.RACE].number) == ("two", 1)

    def test_a_session_is_asked_to_stop_and_the_next_one_is_not(self, store: Store) -> None:
        assert store.ask_to_stop(samples.RACE) is False
        store.beat(samples.RACE, "one", {})
        assert store.ask_to_stop(samples.RACE) is True
        assert store.pulses()[samples.RACE].stopping
        assert store.beat(samples.RACE, "one", {}) is True
        assert store.beat(samples.RACE, "two", {}) is False
        assert not store.pulses()[samples.RACE].stopping

    def test_pulse_that_is_no_json_object_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match=r"The pulse of race '.*' cannot be stored: .* plain JSON types"):
            store.beat(samples.RACE, "one", {"rate": math.nan})

    def test_statuses_come_newest_first(self, store: Store) -> None:
        store.create_race(**samples.race("aaaa"))
        store.set_status(samples.RACE, "finished")
        assert list(store.statuses().items()) == [("aaaa", "running"), (samples.RACE, "finished")]

    def test_outcomes_after_a_mark_are_those_written_since(self, store: Store) -> None:
        assert store.outcomes_after(samples.RACE, 0) == ([], 0)
        store.write_block(samples.RACE, *samples.block(1))
        first, mark = store.outcomes_after(samples.RACE, 0)
        assert first == samples.block(1)[1]
        store.write_block(store.create_race(**samples.race("aaaa")).id, *samples.block(2))
        store.write_block(samples.RACE, *samples.block(0))
        second, last = store.outcomes_after(samples.RACE, mark)
        assert second == samples.block(0)[1]
        assert store.outcomes_after(samples.RACE, last) == ([], last)

    def test_changes_of_other_objects_are_noticed(self, store: Store, tmp_path: Path) -> None:
        before = store.changes()
        assert store.changes() == before
        with self.open(tmp_path) as other:
            other.beat(samples.RACE, "one", {})
            assert (again := store.changes()) != before
            other.write_block(samples.RACE, *samples.block(0))
            assert store.changes() != again
