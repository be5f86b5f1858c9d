"""A made-up world for the orchestrator: lanes, store and training that a seed decides, and that fail as it likes.

The orchestrator, the planning, the loop that feeds lanes, the rescue of blocks and the judging are the real ones. What
trials reach is a function of their ids alone, so a race must end with the same outcomes whatever befalls it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from gradrace.errors import GradraceError, Interrupted
from gradrace.outcomes import Outcome
from gradrace.race import orchestrator, plan, planning, rescue, saving
from gradrace.store import Store
from gradrace.workloads import Workload
from race.simulation import made_up
from race.simulation.fake_lanes import FakeLanes, Killed, World
from race.simulation.fake_store import Broken, FakeStore
from race.simulation.made_up import Made, made


class FakeMemory:
    """What was chosen before on the machine that the world has."""

    kept: dict[str, dict[str, Any]]

    def __init__(self, what: str) -> None:
        self._what = what

    def recall(self) -> dict[str, Any]:
        return self.kept.get(self._what, {})

    def keep(self, **choices: Any) -> None:
        self.kept[self._what] = {**self.recall(), **json.loads(json.dumps(choices))}


class Counting:
    """A watch that what it is told adds up."""

    def __init__(self) -> None:
        self.trials: Counter[str] = Counter()
        self.name = ""
        self.total = 0

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        if min(trials, trial_steps, afterwards) < 0:
            raise Broken(f"Stage {name} has {trials} trials, {trial_steps} trial-steps and {afterwards} after it.")
        self.name, self.total = name, trials

    def steps(self, trial_steps: int) -> None:
        if trial_steps < 0:
            raise Broken("Fewer steps than before.")

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        self.trials[self.name] += len(outcomes)
        if self.trials[self.name] > self.total:
            raise Broken(f"{self.trials[self.name]} of {self.total} trials in stage {self.name}.")


@contextmanager
def worlds() -> Iterator[None]:
    """Have the orchestrator live in made-up worlds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "Lanes", FakeLanes)
        patch.setattr(orchestrator, "Memory", FakeMemory)
        patch.setattr(planning, "Memory", FakeMemory)
        # Most of the time of such a race.
        patch.setattr(plan, "sobol", cache(plan.sobol))
        patch.setattr(Workload, "remarks", lambda work: ())
        patch.setattr(orchestrator, "train_block", made_up.train_block)
        patch.setattr(orchestrator, "compile_program", made_up.compile_program)
        patch.setattr(rescue, "train_part", made_up.train_part)
        patch.setattr(planning.probe, "probe", made_up.probe)
        patch.setattr(planning.costs, "measure_costs", made_up.measure_costs)
        patch.setattr(planning, "worth_compiling", lambda speeds, *_: speeds.size is not None)
        patch.setattr(saving, "forget", lambda *_: None)
        patch.setattr(saving, "forget_race", lambda *_: None)
        patch.setattr(orchestrator, "pulse", no_pulse)
        machine = orchestrator.machine()
        patch.setattr(orchestrator, "machine", lambda: machine)
        yield


@contextmanager
def no_pulse(race: str, store: Store, direction: str, lanes: int, watch: Any) -> Iterator[Any]:
    yield watch


@dataclass(frozen=True)
class Ended:
    """What is left of a race: every trial, and what was chosen. Seconds, and how a lane died, are not the race's."""

    outcomes: tuple[Outcome, ...]
    choices: str


def raced(world: World) -> Ended:
    """Race until it ends, however often it is killed, each time with another number of lanes; checked at every step."""
    store, sessions = FakeStore(), 0
    store.mishap = world.mishap
    FakeMemory.kept = {}
    FakeLanes.world = world
    while True:
        sessions += 1
        before = dict(store.written)
        lanes = world.luck.randint(1, 5)
        known = store if store.record is not None else None
        try:
            orchestrator.run(world.race.entry, known, lambda: store, lanes, Counting())
            break
        except (Killed, Interrupted, KeyboardInterrupt):
            pass
        finally:
            if any(store.written.get(block) is not outcomes for block, outcomes in before.items()):
                raise Broken("What was stored has changed.")
        if sessions > 40:
            raise Broken("It does not end.")
    outcomes = store.outcomes("")
    equal_budgets(world.race, outcomes)
    choices = json.loads(store.noted["choices"])
    plain = tuple(
        replace(one, seconds=0.0, error=one.error and one.error.split(":")[0].split(",")[0]) for one in outcomes
    )
    return Ended(plain, json.dumps(choices, sort_keys=True))


def equal_budgets(race: Made, outcomes: Sequence[Outcome]) -> None:
    """Each contender has N trials in each study, and as many of its choice on fresh seeds as any other."""
    spec = race.entry.spec
    tuning = Counter((one.contender, one.study) for one in outcomes if one.stage == "tuning")
    if len(tuning) != len(race.entry.contenders) * spec.studies or set(tuning.values()) != {spec.trials}:
        raise Broken(f"Budgets differ: {tuning}")
    confirmed = Counter((one.contender, one.study) for one in outcomes if one.stage == "confirmation")
    if set(confirmed.values()) - {spec.seeds}:
        raise Broken(f"Confirmations differ: {confirmed}")


@cache
def undisturbed(number: int) -> Ended:
    """How a race ends when nothing goes wrong but what its own trials do."""
    return raced(World(made(number), 0, 0.0))


def simulate(seed: int, races: int) -> Counter[str]:
    """One race of ``races``, with its own troubles; what befell it.

    Raises:
        Broken: an invariant does not hold, or it ended otherwise than undisturbed.
    """
    luck = random.Random(f"which {seed}")
    number = luck.randrange(races)
    expected = undisturbed(number)
    world = World(made(number), seed, luck.choice((0.3, 1.0, 2.5)))
    try:
        ended = raced(world)
    except (Broken, GradraceError) as error:
        raise Broken(f"Seed {seed}: {error}") from error
    if ended != expected:
        raise Broken(f"Seed {seed}: race {number} ended otherwise than undisturbed.")
    return world.seen
