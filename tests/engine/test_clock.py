"""Seconds by purpose add up to the time that was spent, on a clock that the tests move by hand."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from gradrace.engine import clock as module
from gradrace.engine.clock import Clock


class Hand:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    moved = Hand()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=moved.perf_counter))
    return moved


def test_a_purpose_within_another_takes_its_seconds_from_it(hand: Hand) -> None:
    clock = Clock()
    hand.now += 100  # nobody spends these
    with clock.spending("other"):
        hand.now += 1
        with clock.spending("train"):
            hand.now += 2
            with clock.spending("trace"):
                hand.now += 4
            hand.now += 8
            with clock.spending("trace"):
                hand.now += 16
        hand.now += 32
    hand.now += 100
    with clock.spending("train"):
        hand.now += 64
    assert clock.taken() == {"other": 33, "train": 74, "trace": 20}


def test_what_was_asked_for_is_not_told_again(hand: Hand) -> None:
    clock = Clock()
    clock.add("import", 0.5)
    with clock.spending("train"):
        hand.now += 3
        assert clock.taken() == {"import": 0.5, "train": 3}
        hand.now += 4
    assert clock.taken() == {"train": 4}
    assert clock.taken() == {}


def test_an_error_ends_its_purpose(hand: Hand) -> None:
    clock = Clock()
    with clock.spending("other"):
        with contextlib.suppress(KeyError), clock.spending("try"):
            hand.now += 1
            raise KeyError
        hand.now += 2
    hand.now += 4
    assert clock.taken() == {"try": 1, "other": 2}
