"""The orchestrator in made-up worlds whose lanes crash, hang, delay and repeat, and whose race is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gradrace.engine.lanes import Task
from gradrace.race import rescue
from gradrace.race.parts import Part, Reached
from gradrace.race.plan import Block
from gradrace.race.train import Settled
from race.simulation import made_up
from race.simulation.fake_lanes import FakeLanes
from race.simulation.fake_store import Broken, FakeStore
from race.simulation.made_up import Made
from race.simulation.made_world import simulate, undisturbed, worlds

RACES, SEEDS = 12, 200


@pytest.fixture(autouse=True)
def in_made_up_worlds() -> Iterator[None]:
    with worlds():
        yield


def test_races_end_as_if_nothing_had_happened() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += simulate(seed, RACES)
    # All of it happened, or the test would show nothing.
    assert set(seen) == {
        "killed",
        "interrupted",
        "a lane died",
        "an idle lane died",
        "a trial hung",
        "a trial took its lane along",
        "repeated or late",
    }
    failed = [one for number in range(RACES) for one in undisturbed(number).outcomes if one.error]
    assert {error.split()[0] for error in (one.error or "" for one in failed)} >= {"It", "The"}


def found(sentence: str) -> bool:
    """Whether some fate brings a fault to light."""
    for seed in range(SEEDS):
        try:
            simulate(seed, RACES)
        except Broken as broken:
            return sentence in str(broken)
    return False


def test_training_again_what_is_stored_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeStore, "blocks", lambda store, race: set())
    assert found("was trained though it is stored")


def test_parts_that_come_out_otherwise_than_their_block_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = made_up.train_part

    def otherwise(race: Made, block: Block, settled: Settled | None, part: Part, by_loop: bool) -> Reached:
        reached = original(race, block, settled, part, by_loop)
        return Reached({place: replace(one, validation=(0.5, 0.5)) for place, one in reached.findings.items()})

    for place in (rescue, made_up):  # the second tells which of a part's trials misbehave
        monkeypatch.setattr(place, "train_part", otherwise)
    undisturbed.cache_clear()
    assert found("ended otherwise than undisturbed")
    undisturbed.cache_clear()


def test_a_task_that_is_lost_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = FakeLanes._feed

    def forgetful(lanes: FakeLanes, waiting: list[Task], ended: set[str | None]) -> None:
        if lanes.world.kills == 2 and len(waiting) > 1:
            waiting.pop()
        original(lanes, waiting, ended)

    monkeypatch.setattr(FakeLanes, "_feed", forgetful)
    assert found("Nobody is at work, and the race waits.")
