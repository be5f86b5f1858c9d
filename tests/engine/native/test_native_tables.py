"""Rows of an embedding that a step does not touch are left alone just where the rule would leave them as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from by_hand import needs_a_compiler
from torch import Tensor, nn
from torch.nn import functional

from agreement import assert_agree, setup
from gradrace.engine.groups import Group
from gradrace.engine.loop import Loop
from gradrace.engine.native import Program
from gradrace.engine.trial import Training, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.randomness import Stream
from gradrace.workloads import Workload

WORDS, LATER, WIDTH, OTHERS = 300, 120, 4, 200
"""Words of one table, of which the training data have none from LATER on; its width; words of another table."""
GENERATOR = torch.Generator().manual_seed(3)
INPUTS = torch.stack(
    [torch.randint(0, LATER, (60,), generator=GENERATOR), torch.randint(-OTHERS, OTHERS, (60,), generator=GENERATOR)], 1
)
TARGET = torch.randn(60, generator=GENERATOR)
ONE: Stream = (0, 0, 1)


class Model(nn.Module):
    """Two tables with other parameters around them, one looked up by an index that may be negative."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.words = nn.Linear(WIDTH, 3), nn.Embedding(WORDS, WIDTH)
        self.others = nn.Parameter(torch.randn(OTHERS, 3))
        self.last = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(self.words(x[:, 0])) + self.others[x[:, 1]])).squeeze(1)


TASK = Workload(
    "own", Model, functional.mse_loss, metric="mae", batch_size=8, train=(INPUTS, TARGET), validation=0.2, test=0.2
)
RESTING = [("sgd", {}), ("adagrad", {})]
MOVING = [("momentum", {}), ("adam", {}), ("sgd", {"weight_decay": 1e-3}), ("adagrad", {"weight_decay": 1e-3})]


def of(rule: str, more: dict[str, float], rate: float = 0.1) -> TrialSetup:
    return setup(rule, {"lr": rate, **more}, ONE)


def training(dtype: torch.dtype = torch.float64) -> Training:
    return Training(40, 8, dtype=dtype)


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each call of a program with tables, whether rows were left alone."""
    needs_a_compiler()
    found: list[bool] = []
    original = Program._touched

    def noted(program: Program, update: Any) -> Any:
        result = original(program, update)
        found.append(bool(result.fields))
        return result

    monkeypatch.setattr(Program, "_touched", noted)
    return found


def test_both_tables_are_found() -> None:
    needs_a_compiler()
    engine = Vectorized(TASK, "always")
    engine.start([of("sgd", {})], training()).train(1)
    (program,) = [p for (key, *_), p in engine.programs._compiled.items() if key[0] == "gradients"]
    assert program is not None
    assert sorted((table.width, rows) for table, rows in program._tables) == [(3, OTHERS), (WIDTH, WORDS)]


@pytest.mark.parametrize(
    ("rule", "more", "rests"), [(*one, True) for one in RESTING] + [(*one, False) for one in MOVING]
)
def test_every_rule_agrees_with_the_loop(rule: str, more: dict[str, float], rests: bool, rested: list[bool]) -> None:
    setups = [of(rule, more, rate) for rate in (0.3, 0.01)]
    found, expected = Vectorized(TASK, "always").start(setups, training()), Loop(TASK).start(setups, training())
    for until in (1, 7, 30):
        assert_agree(found, expected, until)
    assert rested
    assert set(rested) == {rests}


def test_resting_and_moving_rules_share_a_block(rested: list[bool]) -> None:
    setups = [of(rule, more) for rule, more in (RESTING[0], MOVING[1], RESTING[1], MOVING[0])]
    found, expected = Vectorized(TASK, "always").start(setups, training()), Loop(TASK).start(setups, training())
    for until in (2, 20):
        assert_agree(found, expected, until)
    assert set(rested) == {True, False}


@pytest.mark.parametrize(("rule", "more"), RESTING)
def test_words_that_never_come_keep_their_bits(rule: str, more: dict[str, float]) -> None:
    needs_a_compiler()
    trials = Vectorized(TASK, "always").start([of(rule, more)], training(torch.float32))
    before = trials._at.flat.clone()
    trials.train(30)
    rows, then = (trials._layout.tree(memory[0])["words.weight"] for memory in (trials._at.flat, before))
    assert torch.equal(rows[LATER:], then[LATER:])
    assert not torch.equal(rows[:LATER], then[:LATER])


def test_a_tiny_decay_at_a_tiny_rate_is_no_rest() -> None:
    needs_a_compiler()
    trials = Vectorized(TASK, "always").start([of("sgd", {"weight_decay": 1e-9}, rate=1e-7)], training(torch.float32))
    (group,) = trials._groups
    assert isinstance(group, Group)
    group.open()
    update = group.update(trials._at.flat, torch.zeros(1), None)
    assert not update.kernel.rests(update.numbers, torch.float32)
