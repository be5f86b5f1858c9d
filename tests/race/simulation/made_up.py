"""Made-up races: what trials reach, and what lanes do with a task, follow from the ids of trials alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from gradrace.outcomes import Curve
from gradrace.race.judging import Finding
from gradrace.race.limits import Limits
from gradrace.race.parts import Part, Reached
from gradrace.race.paths import Speeds
from gradrace.race.plan import Block, PlannedTrial
from gradrace.race.planning import Entry
from gradrace.race.probe import Findings
from gradrace.race.spec import find_task, make_contenders, make_spec
from gradrace.race.train import Compiled, Settled, Trained

NAMES = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
PATIENCE = 4.0


@dataclass(frozen=True, eq=False)
class Made:
    """A race, and what its trials are like."""

    number: int
    entry: Entry
    killers: float
    hangers: float
    compiles: str

    def kind(self, trial: str) -> str:
        """What training a trial does to its lane."""
        return kind(self.number, self.killers, self.hangers, trial) if self.killers else "trains"

    def reached(self, trial: str, rungs: tuple[int, ...]) -> Finding:
        """What a trial reaches at the last of these rungs."""
        return reached(self.number, trial, rungs)


def drawn(*words: Any) -> random.Random:
    """Randomness that follows from these words alone."""
    return random.Random(f"{words}")


@cache
def kind(number: int, killers: float, hangers: float, trial: str) -> str:
    """See ``Made.kind``."""
    fate = drawn("kind", number, trial).random()
    if fate < killers:
        return "kills"
    return "hangs" if fate < killers + hangers else "trains"


@cache
def reached(number: int, trial: str, rungs: tuple[int, ...]) -> Finding:
    """See ``Made.reached``."""
    luck, curve, value = drawn("fate", number, trial), Curve(), 0.0
    fate, at = luck.random(), luck.randint(1, rungs[0])
    for rung in rungs:
        value = drawn(number, trial, rung).random()
        curve.step.append(rung)
        curve.train_loss.append(value)
        curve.validation.append(value)
        curve.validation_loss.append(value)
    return Finding(
        (value, value),
        (value / 2, value / 3),
        diverged_at=at if fate < 0.05 else None,
        failure="It raised." if fate > 0.97 else None,
        curve=curve,
    )


@cache
def made(number: int) -> Made:
    """The race of this number."""
    luck = random.Random(f"race {number}")
    spec = make_spec(
        find_task("linear").workload,
        "quick",
        studies=luck.randint(1, 3),
        trials=luck.choice((4, 4, 8)),
        seeds=luck.randint(1, 2),
        steps=luck.choice((16, 40)),
        schedule=luck.choice(("constant", "constant", "cosine")),
        halving=luck.random() < 0.7,
        seed=number,
    )
    contenders = make_contenders(luck.sample(NAMES, luck.randint(1, 3)))
    entry = Entry(spec, contenders, find_task("linear"), limits=Limits(trial_timeout=PATIENCE, save_every=0))
    bad = luck.random() < 0.4
    return Made(
        number,
        entry,
        killers=0.03 if bad else 0.0,
        hangers=0.02 if bad else 0.0,
        compiles=luck.choice(("no", "no", "faster", "slower", "cannot")),
    )


def trials_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[PlannedTrial]:
    """The trials that a task trains."""
    if function is train_block:
        return list(arguments[0].trials)
    return [arguments[0].trials[place] for place in arguments[2].places] if function is train_part else []


def train_block(race: Made, block: Block, settled: Settled | None = None) -> Trained:
    judge = race.entry.judge(block)
    for number, rung in enumerate(block.rungs):
        rungs = block.rungs[: number + 1]
        judge.at_rung({place: race.reached(block.trials[place].id, rungs) for place in judge.live}, rung)
    return Trained(judge.outcomes())


def train_part(race: Made, block: Block, settled: Settled | None, part: Part, by_loop: bool) -> Reached:
    rungs = block.rungs[: len(part.going_on) + 1]
    return Reached({place: race.reached(block.trials[place].id, rungs) for place in part.places})


def compile_program(race: Made, block: Block, engine: str) -> Compiled:
    if race.compiles == "cannot":
        return Compiled("there is no compiler")
    return Compiled("", 1.0, 0.5 if race.compiles == "faster" else 2.0)


def probe(race: Made) -> Findings:
    speeds = Speeds(1.0, 0.5, size=None if race.compiles == "no" else 40)
    return Findings("vectorized", "Made up.", race.number % 3 == 0, 11, 5.0, speeds)


def measure_costs(race: Made) -> dict[str, Any]:
    return {c.label: {"step_seconds": 1.0, "state_bytes_per_parameter": 0.0} for c in race.entry.contenders}
