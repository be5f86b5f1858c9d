"""What `gradrace.store.Store` promises, held against each implementation by one inherited suite."""

from __future__ import annotations

import dataclasses
import math
import random
import struct
import threading
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradrace.errors import StoreError
from gradrace.outcomes import Curve, Outcome
from gradrace.store import RaceRecord, SQLiteStore, Store

from . import samples
from .pulse_contract import PulseContract

EVERY_FLOAT = st.floats() | st.sampled_from([-0.0, 5e-324, -5e-324, 1.7976931348623157e308, 2.0**53, 1e18])
OPTIONAL = st.none() | EVERY_FLOAT

# The store is shared by the examples, and that is no harm: each enters a race of its own.
on_one_store = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
fresh = count()


def as_stored(value: Any) -> Any:
    """What the contract says comes back, with each float as its bits, so that -0.0 and 0.0 differ."""
    if isinstance(value, float):
        return struct.pack("<d", value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: as_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_stored(item) for item in value]
    return value


class StoreContract(PulseContract):
    """Inherit, name the class ``Test...`` and give `open`; what differs between implementations is not tested here."""

    @abstractmethod
    def open(self, folder: Path) -> Store:
        """A store that keeps its data in this folder; a second one opened there sees the same data."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with self.open(tmp_path) as store:
            store.create_race(**samples.race())
            yield store

    # Races

    def test_race_comes_back_as_it_was_entered(self, store: Store) -> None:
        record = store.race(samples.RACE)
        assert (record.spec, record.plan, record.machine) == (samples.SPEC, samples.PLAN, samples.MACHINE)
        assert (record.id, record.status, record.version) == (samples.RACE, "running", "0.1.0")
        created = datetime.fromisoformat(record.created)
        assert created.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)

    def test_record_is_frozen(self, store: Store) -> None:
        record: Any = store.race(samples.RACE)
        with pytest.raises(dataclasses.FrozenInstanceError):
            record.id = "other"

    def test_race_entered_again_stays_as_it_was(self, store: Store) -> None:
        before = store.race(samples.RACE)
        store.set_status(samples.RACE, "finished")
        again = store.create_race(samples.RACE, {"workload": "other"}, {}, {}, "9.9")
        assert again == replace(before, status="finished")
        assert store.races() == [again]

    def test_create_race_returns_what_race_reads(self, store: Store) -> None:
        record = store.create_race("aaaa", {"rungs": (1, 2)}, {}, {}, "1")
        assert record == store.race("aaaa")
        assert record.spec == {"rungs": [1, 2]}

    def test_races_come_newest_first(self, store: Store) -> None:
        ids = [f"{number:04}" for number in (7, 3, 9)]
        for id in ids:
            store.create_race(**samples.race(id))
        assert [record.id for record in store.races()] == [*reversed(ids), samples.RACE]

    @pytest.mark.parametrize("status", ["finished", "interrupted", "running"])
    def test_status_is_set(self, store: Store, status: Any) -> None:
        before = store.race(samples.RACE)
        store.set_status(samples.RACE, status)
        assert store.race(samples.RACE) == replace(before, status=status)

    def test_unknown_status_is_refused(self, store: Store) -> None:
        status: Any = "done"
        with pytest.raises(StoreError, match=r"status 'done'. Allowed: running, finished, interrupted."):
            store.set_status(samples.RACE, status)

    @pytest.mark.parametrize("prefix", [samples.RACE[:4], samples.RACE[:-1]])
    def test_race_is_found_by_the_beginning_of_its_id(self, store: Store, prefix: str) -> None:
        store.create_race(**samples.race("5f1d0000"))
        assert store.race(prefix).id == samples.RACE

    def test_id_that_begins_another_is_found(self, store: Store) -> None:
        store.create_race(**samples.race(samples.RACE + "00"))
        assert store.race(samples.RACE).id == samples.RACE

    def test_ambiguous_prefix_names_the_matches(self, store: Store) -> None:
        store.create_race(**samples.race("5f1c0000"))
        store.create_race(**samples.race("77777777"))
        with pytest.raises(StoreError, match=rf"'5f1c' names 2 races in .*: 5f1c0000, {samples.RACE}. Give more"):
            store.race("5f1c")

    def test_short_prefix_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match=r"'5f1' is too short .* first 4 characters. Known: 5f1c"):
            store.race("5f1")

    @pytest.mark.parametrize("id", ["5f1c%", "5f1c*", "5F1C", ""])
    def test_prefix_is_no_pattern(self, store: Store, id: str) -> None:
        with pytest.raises(StoreError):
            store.race(id)

    def test_unknown_race_is_told_with_the_nearest_and_the_known(self, store: Store) -> None:
        for number in range(9):
            store.create_race(**samples.race(f"{number}0000000"))
        message = (
            r"There is no race '5f1c0de5a3b9e7d5' in .*\. Did you mean '5f1c0de5a3b9e7d4'\? Known: 8.* and 5 more\."
        )
        with pytest.raises(StoreError, match=message):
            store.race("5f1c0de5a3b9e7d5")

    def test_unknown_race_in_an_empty_store(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as store, pytest.raises(StoreError, match=r"no race 'abcd' in .* holds no races yet"):
            store.race("abcd")

    def test_every_method_refuses_an_unknown_race_and_a_prefix(self, store: Store) -> None:
        for id in ("0" * 16, samples.RACE[:8]):
            for call in (
                lambda id=id: store.set_status(id, "finished"),
                lambda id=id: store.write_block(id, *samples.block(0)),
                lambda id=id: store.blocks(id),
                lambda id=id: store.outcomes(id),
                lambda id=id: store.write_note(id, "cost", {}),
                lambda id=id: store.notes(id),
                lambda id=id: store.beat(id, "session", {}),
                lambda id=id: store.ask_to_stop(id),
                lambda id=id: store.outcomes_after(id, 0),
            ):
                with pytest.raises(StoreError, match=rf"There is no race '{id}' .* Known: {samples.RACE}"):
                    call()

    @pytest.mark.parametrize("spec", [{"lr": math.inf}, {"lr": {1}}, ["lr"], {("a", "b"): 1}])
    def test_spec_that_is_no_json_object_is_refused(self, store: Store, spec: Any) -> None:
        with pytest.raises(StoreError, match=r"The spec of race 'aaaa' cannot be stored: .* plain JSON types"):
            store.create_race("aaaa", spec, {}, {}, "1")
        assert [record.id for record in store.races()] == [samples.RACE]

    def test_empty_id_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match="empty id"):
            store.create_race(**samples.race(""))

    # Blocks and outcomes

    def test_outcomes_come_back(self, store: Store) -> None:
        outcomes = samples.of_every_kind()
        assert store.write_block(samples.RACE, "block", outcomes) is True
        assert store.outcomes(samples.RACE) == sorted(outcomes, key=lambda outcome: outcome.trial)
        assert store.blocks(samples.RACE) == {"block"}

    def test_nothing_is_there_before_a_block_is(self, store: Store) -> None:
        assert (store.blocks(samples.RACE), store.outcomes(samples.RACE), store.notes(samples.RACE)) == (set(), [], {})

    def test_order_is_that_of_trial_ids_whatever_the_order_of_writing(self, tmp_path: Path) -> None:
        labels = ["Adam", "adam", "ADAM 2", "모멘텀", "🏁", "￿", "a/b"]
        outcomes = [samples.outcome(number, contender=label) for label in labels for number in range(15)]
        expected = sorted(outcomes, key=lambda outcome: outcome.trial)
        for attempt in range(3):
            random.Random(attempt).shuffle(outcomes)
            with self.open(tmp_path) as store:
                race = store.create_race(**samples.race(f"race-{attempt}")).id
                for start in range(0, len(outcomes), 10):
                    store.write_block(race, f"block-{start}", outcomes[start : start + 10])
                assert store.outcomes(race) == expected

    def test_block_written_again_changes_nothing(self, store: Store) -> None:
        id, outcomes = samples.block(0)
        assert store.write_block(samples.RACE, id, outcomes) is True
        other = [replace(outcome, validation=-1.0) for outcome in outcomes] + [samples.outcome(99)]
        assert store.write_block(samples.RACE, id, other) is False
        assert store.outcomes(samples.RACE) == outcomes

    def test_block_without_outcomes_counts_as_written(self, store: Store) -> None:
        assert store.write_block(samples.RACE, "empty", []) is True
        assert store.write_block(samples.RACE, "empty", []) is False
        assert store.blocks(samples.RACE) == {"empty"}

    def test_races_do_not_mix(self, store: Store) -> None:
        store.create_race(**samples.race("other"))
        id, outcomes = samples.block(0)
        assert store.write_block(samples.RACE, id, outcomes) is True
        assert (store.blocks("other"), store.outcomes("other")) == (set(), [])
        assert store.write_block("other", id, outcomes[:1]) is True
        assert (store.outcomes("other"), store.outcomes(samples.RACE)) == (outcomes[:1], outcomes)

    def test_trial_of_another_block_is_refused_and_the_block_whole(self, store: Store) -> None:
        id, outcomes = samples.block(0)
        store.write_block(samples.RACE, id, outcomes)
        repeated = outcomes[1]
        message = rf"Block 'late' .* not written: trial '{repeated.trial}' is there already, in block '{id}'"
        with pytest.raises(StoreError, match=message):
            store.write_block(samples.RACE, "late", [samples.outcome(50), repeated])
        assert store.blocks(samples.RACE) == {id}
        assert store.outcomes(samples.RACE) == outcomes
        assert store.write_block(samples.RACE, "late", [samples.outcome(50)]) is True

    def test_trial_twice_in_a_block_is_refused(self, store: Store) -> None:
        twice = samples.outcome(0)
        with pytest.raises(StoreError, match=rf"trial '{twice.trial}' is there already, in the same block"):
            store.write_block(samples.RACE, "block", [samples.outcome(1), twice, twice])
        assert (store.blocks(samples.RACE), store.outcomes(samples.RACE)) == (set(), [])

    @pytest.mark.parametrize(
        "changes",
        [{"steps": 2**70}, {"validation": "high"}, {"configuration": None}, {"trial": None}, {"contender": "\udc80"}],
        ids=str,
    )
    def test_outcome_that_cannot_be_kept_takes_nothing_with_it(self, store: Store, changes: dict[str, Any]) -> None:
        with pytest.raises(StoreError):
            store.write_block(samples.RACE, "block", [samples.outcome(0), samples.outcome(1, **changes)])
        assert (store.blocks(samples.RACE), store.outcomes(samples.RACE)) == (set(), [])

    @on_one_store
    @given(
        ends=st.tuples(OPTIONAL, OPTIONAL, OPTIONAL, OPTIONAL),
        seconds=EVERY_FLOAT,
        configuration=st.dictionaries(st.text(max_size=5), EVERY_FLOAT, max_size=3),
        curve=st.lists(st.tuples(st.integers(0, 10**6), OPTIONAL, OPTIONAL, OPTIONAL), max_size=5),
        others=st.dictionaries(st.text(max_size=5), EVERY_FLOAT, max_size=3),
    )
    def test_floats_come_back_bit_for_bit(
        self,
        store: Store,
        ends: tuple[Any, ...],
        seconds: float,
        configuration: dict[str, float],
        curve: list[Any],
        others: dict[str, float],
    ) -> None:
        step, *values = [[point[field] for point in curve] for field in range(4)]
        written = samples.outcome(
            0,
            **dict(zip(("validation", "validation_loss", "test", "test_loss"), ends, strict=True)),
            seconds=seconds,
            configuration=configuration,
            curve=Curve(step, *values),
            others=others,
        )
        race = store.create_race(**samples.race(f"floats-{next(fresh)}")).id
        store.write_block(race, "block", [written])
        (read,) = store.outcomes(race)
        expected = as_stored(written.to_dict())
        if expected["seconds"] is None:
            expected["seconds"] = as_stored(0.0)
        assert as_stored(read.to_dict()) == expected
        assert list(read.others) == [name for name, value in others.items() if math.isfinite(value)]

    @on_one_store
    @given(text=st.text(st.characters(codec="utf-8")))
    def test_text_comes_back(self, store: Store, text: str) -> None:
        race = store.create_race(f"text-{next(fresh)}", {text: text}, {}, {}, text).id
        written = samples.outcome(0, trial=text, contender=text, error=text)
        store.write_block(race, text, [written])
        store.write_note(race, text, {text: text})
        assert store.outcomes(race) == [written]
        assert store.blocks(race) == {text}
        assert store.notes(race) == {text: {text: text}}
        assert (store.race(race).spec, store.race(race).version) == ({text: text}, text)

    def test_numbers_of_numpy_come_back_as_plain_ones(self, store: Store) -> None:
        step: list[Any] = [np.int32(1)]
        loss: list[Any] = [np.float32(np.nan)]
        validation: list[Any] = [np.float32(0.1)]
        written = samples.outcome(
            0,
            steps=np.int64(3),
            validation=np.float32(0.1),
            test=np.float64(0.1),
            configuration={"lr": np.float64(0.1), "k": np.int64(3), "nesterov": True},
            curve=Curve(step, loss, validation, [None]),
            others={"auc": np.float32(0.1)},
        )
        store.write_block(samples.RACE, "block", [written])
        (read,) = store.outcomes(samples.RACE)
        assert read == replace(written, curve=replace(written.curve, train_loss=[None]))
        values = [read.steps, read.validation, read.test, *read.configuration.values(), *read.curve.validation]
        values += read.others.values()
        assert {type(value) for value in values} == {int, float, bool}

    def test_error_with_lone_surrogates_is_kept_as_escapes(self, store: Store) -> None:
        store.write_block(samples.RACE, "block", [samples.outcome(0, error="No file 'a\udc80b'.")])
        assert store.outcomes(samples.RACE)[0].error == r"No file 'a\udc80b'."

    # Notes

    def test_first_note_stays(self, store: Store) -> None:
        assert store.write_note(samples.RACE, "step seconds", {"adam": 1e-5}) is True
        assert store.write_note(samples.RACE, "step seconds", {"adam": 2.0}) is False
        assert store.write_note(samples.RACE, "machine", {"load": None}) is True
        assert store.notes(samples.RACE) == {"machine": {"load": None}, "step seconds": {"adam": 1e-5}}

    def test_note_that_is_no_json_object_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match=f"The note 'cost' of race '{samples.RACE}' cannot be stored"):
            store.write_note(samples.RACE, "cost", {"seconds": math.nan})
        assert store.notes(samples.RACE) == {}

    # Sharing and ending

    def test_second_opening_sees_and_adds(self, store: Store, tmp_path: Path) -> None:
        first, second = samples.block(0), samples.block(1)
        store.write_block(samples.RACE, *first)
        with self.open(tmp_path) as other:
            assert other.race(samples.RACE) == store.race(samples.RACE)
            assert other.outcomes(samples.RACE) == first[1]
            assert other.write_block(samples.RACE, *second) is True
            assert store.write_block(samples.RACE, *second) is False
        assert store.outcomes(samples.RACE) == first[1] + second[1]

    def test_everything_is_there_after_opening_again(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as store:
            record = store.create_race(**samples.race())
            store.write_block(samples.RACE, *samples.block(0))
            store.write_note(samples.RACE, "cost", {"seconds": 0.1})
            store.set_status(samples.RACE, "interrupted")
        with self.open(tmp_path) as store:
            assert store.race(samples.RACE) == replace(record, status="interrupted")
            assert store.outcomes(samples.RACE) == samples.block(0)[1]
            assert store.notes(samples.RACE) == {"cost": {"seconds": 0.1}}

    def test_readers_see_whole_blocks_while_threads_write_the_same_ones(self, tmp_path: Path) -> None:
        with self.open(tmp_path) as store:
            store.create_race(**samples.race())
            size, blocks = 5, 20
            written: list[str] = []
            torn: list[int] = []

            def write() -> None:
                with self.open(tmp_path) as own:
                    for number in range(blocks):
                        id, outcomes = samples.block(number, size)
                        if own.write_block(samples.RACE, id, outcomes):
                            written.append(id)

            writers = [threading.Thread(target=write) for _ in range(2)]
            for writer in writers:
                writer.start()
            while any(writer.is_alive() for writer in writers):
                torn += [len(store.outcomes(samples.RACE)) % size]
            for writer in writers:
                writer.join()
            assert set(torn) <= {0}
            assert sorted(written) == sorted(store.blocks(samples.RACE)) == [samples.block(n)[0] for n in range(blocks)]

    def test_threads_share_one_object(self, store: Store) -> None:
        results: list[bool] = []

        def write() -> None:
            results.extend(store.write_block(samples.RACE, *samples.block(number)) for number in range(10))

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (results.count(True), results.count(False)) == (10, 20)
        assert len(store.outcomes(samples.RACE)) == 30

    def test_closed_store_says_so(self, store: Store) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreError, match=r"could not read the races: it is closed. Open it again"):
            store.races()


class TestSQLiteStore(StoreContract):
    def open(self, folder: Path) -> Store:
        return SQLiteStore(folder / "races.db")


def test_record_has_the_fields_of_the_contract() -> None:
    fields = [field.name for field in dataclasses.fields(RaceRecord)]
    assert fields == ["id", "created", "status", "spec", "plan", "machine", "version"]


def test_suite_would_notice_a_field_it_does_not_compare() -> None:
    assert as_stored({"a": -0.0}) != as_stored({"a": 0.0})
    assert {field.name for field in dataclasses.fields(Outcome)} == set(samples.outcome(0).to_dict())
