"""What lanes do: train a block or a part of one, compile a program. Functions that a race sends them as tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from gradrace._discovery import users_lines
from gradrace.engine.clock import Clock
from gradrace.engine.loop import Loop
from gradrace.engine.own_loop import OwnLoop
from gradrace.engine.products import onednn
from gradrace.engine.trial import Trials
from gradrace.engine.vectorized import Vectorized
from gradrace.outcomes import Outcome
from gradrace.race.grounds import Grounds
from gradrace.race.parts import Part, Reached
from gradrace.race.plan import Block
from gradrace.race.running import Progress, Run
from gradrace.race.saving import Saving

TRIED_TRIALS = 10
"""Trials that are tried where they are trained one by one."""
TIMED_STEPS, TIMED_SECONDS, MOST_ROUNDS = 5, 0.2, 4
"""A way of training is timed over so many steps, again and again until so many seconds or rounds are over."""


def prepare(state: dict[str, Any], progress: Progress, grounds: Grounds) -> None:
    """Keep the race's grounds in a lane, and one engine of each kind with its traced programs."""
    state["grounds"] = grounds
    clock: Clock = state.setdefault("clock", Clock())
    work = grounds.workload
    state["engines"] = {
        "loop": Loop(work),
        "drop-in": Loop(work, drop_in=True),
        "vectorized": Vectorized(work, clock=clock),
        "compiled": Vectorized(work, "always", clock),
        "training loop": OwnLoop(work),
    }


@dataclass
class Settled:
    """The engine of compiled blocks, which is known for good once their program has been compiled and tried."""

    engine: str


@dataclass(frozen=True)
class Trained:
    """The outcomes of a block.

    ``fallback``: why the loop engine trained it, if it was to be another one. ``chunk``: with how many trials at a time
    it was trained, if memory did not suffice for the number planned. ``resumed``: the step that it went on from, where
    it had been saved before. ``ignored``: why what was saved was not used.
    """

    outcomes: list[Outcome]
    fallback: str = ""
    chunk: int = 0
    resumed: int = 0
    ignored: str = ""


def train_block(state: dict[str, Any], progress: Progress, block: Block, settled: Settled | None = None) -> Trained:
    """Train a block to its end. An error of the user's code costs the trials that it happens in, not the race.

    ``settled`` has the engine where that was open when the race was planned.
    """
    start, savings = time.perf_counter(), list[Saving]()

    def whole(run: Run) -> list[Outcome]:
        grounds = run.grounds
        if not (grounds.race and grounds.save_every):
            return run.outcomes()
        name = next(name for name, engine in state["engines"].items() if engine is run.engine)
        savings.append(Saving(grounds.race, run.block, name, grounds.save_every, grounds.spec.device))
        return run.outcomes(savings[-1])

    outcomes, fallback, chunk = _trained(state, progress, block, settled, whole)
    seconds = time.perf_counter() - start
    steps = sum(outcome.steps for outcome in outcomes) or 1
    return Trained(
        [replace(outcome, seconds=seconds * outcome.steps / steps) for outcome in outcomes],
        fallback,
        chunk,
        max((saving.resumed for saving in savings), default=0),
        next((saving.ignored for saving in savings if saving.ignored), ""),
    )


def train_part(
    state: dict[str, Any], progress: Progress, block: Block, settled: Settled | None, part: Part, by_loop: bool = False
) -> Reached:
    """Train a part of a block to one of its rungs, as the whole block would be trained.

    ``by_loop``: by the loop engine, as a block whose own engine raised.
    """
    start = time.perf_counter()
    if by_loop:
        block, settled = replace(block, engine="loop", onednn=False), None
    findings, obstacle, chunk = _trained(state, progress, block, settled, lambda run: run.reach(part), again=False)
    share = (time.perf_counter() - start) / max(1, len(part.places))
    return Reached({place: replace(found, seconds=share) for place, found in findings.items()}, obstacle, chunk)


def _trained(
    state: dict[str, Any],
    progress: Progress,
    block: Block,
    settled: Settled | None,
    act: Callable[[Run], Any],
    again: bool = True,
) -> tuple[Any, str, int]:
    """What ``act`` makes of a run; why its engine could not, if so; and with how many trials at a time, if with fewer.

    ``again``: have the loop engine do it then.
    """
    grounds: Grounds = state["grounds"]
    engine, planned = settled.engine if settled else block.engine, block.chunk or len(block.trials)
    torch.use_deterministic_algorithms(grounds.spec.deterministic)
    try:
        found, block = _within_memory(state, progress, block, engine, act)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if engine not in ("vectorized", "compiled"):
            raise
        reason = users_lines(error).strip().splitlines()[-1]
        if not again:
            return {}, reason, 0
        # One trial's error ends a vectorized block. One by one, only the trials that raise are lost, and named.
        return act(Run(grounds, block, state["engines"]["loop"], progress, state["clock"])), reason, 0
    return found, "", block.chunk if 0 < block.chunk < planned else 0


def _within_memory(
    state: dict[str, Any], progress: Progress, block: Block, engine: str, act: Callable[[Run], Any]
) -> tuple[Any, Block]:
    """What ``act`` makes of a block, and the block as it was trained: with fewer trials at a time where memory ran out.

    Raises:
        torch.OutOfMemoryError: there is not enough for a single trial.
    """
    while True:
        try:
            with onednn(block.onednn):
                return act(Run(state["grounds"], block, state["engines"][engine], progress, state["clock"])), block
        except torch.OutOfMemoryError:
            chunk = (block.chunk or len(block.trials)) // 2
            if engine not in ("vectorized", "compiled") or chunk < 1:
                raise
            block, engine = replace(block, chunk=chunk), "vectorized"
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class Compiled:
    """What came of compiling a program: seconds per trial-step without it and with it, or why there is none."""

    obstacle: str = ""
    without: float = 0.0
    compiled: float = 0.0

    @property
    def faster(self) -> bool:
        """Whether blocks are better compiled."""
        return not self.obstacle and self.compiled <= self.without

    def sentence(self) -> str:
        """The same in words."""
        if self.obstacle:
            return f"Blocks were not compiled: {self.obstacle}."
        return f"Compiled, blocks train {self.without / self.compiled:.1f} times as fast as not compiled."


def compile_program(state: dict[str, Any], progress: Progress, block: Block, engine: str) -> Compiled:
    """Compile the programs that train such a block, and try them beside the engine that trains without."""
    grounds: Grounds = state["grounds"]
    setups = [grounds.setup(trial) for trial in block.trials]
    few = max(1, len(setups) // TRIED_TRIALS)
    seconds: dict[str, float] = {}
    try:
        for name in ("compiled", engine):
            given = setups if name in ("compiled", "vectorized") else setups[::few]
            known = state["engines"][name]
            with state["clock"].spending("try"), onednn(block.onednn):
                trials = known.start(given, grounds.training(block.steps))
                trials.train(1)
                if name == "compiled" and known.programs.obstacle is not None:
                    return Compiled(known.programs.obstacle)
                if name == "compiled":
                    trials.evaluate("validation")
                seconds[name] = timed(trials)[1] / len(given)
    except Exception as error:
        return Compiled(users_lines(error))
    return Compiled("", seconds[engine], seconds["compiled"])


def timed(trials: Trials) -> tuple[list[float], float]:
    """Losses, and the seconds of a step: the fastest of some rounds, after the first step.

    Where a single step takes long, one of them tells enough.
    """
    rounds, done = list[float](), 1
    while True:
        steps = TIMED_STEPS if rounds else 1
        start = time.perf_counter()
        losses = trials.train(done + steps)
        rounds.append((time.perf_counter() - start) / steps)
        done += steps
        if len(rounds) > MOST_ROUNDS or rounds[0] + TIMED_STEPS * sum(rounds[1:]) >= TIMED_SECONDS:
            return losses, min(rounds)
