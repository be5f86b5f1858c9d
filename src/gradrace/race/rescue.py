"""Blocks whose lanes died are trained in parts, until it is known which trials take their process along.

First in halves, then one trial after another, each part to the next rung, where all of the block are judged together:
who goes on, and with which numbers, is as it would have been. A trial that ends its process by itself is ``failed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gradrace.engine.lanes import LaneDied, Result
from gradrace.engine.lanes import Task as LaneTask
from gradrace.outcomes import Curve, Outcome
from gradrace.race.judging import Finding, Judge
from gradrace.race.parts import Part, Reached
from gradrace.race.plan import Block
from gradrace.race.train import Settled, Trained, train_part

TOGETHER = ("vectorized", "compiled")
"""Engines whose trials lie beside each other in memory."""

Working = Callable[[Sequence[LaneTask]], Iterable[Result]]


class _ByLoop(Exception):
    """The engine of the block cannot train a part of it, so the loop engine trains the block, as it would the whole."""


@dataclass
class Rescue:
    """One block.

    Attributes:
        block: the block. judge: a fresh one for it, each time it is called.
        settled: see ``train_block``.
        work: runs tasks in lanes.
        cause: how the lanes of the whole block died.
    """

    block: Block
    judge: Callable[[Block], Judge]
    settled: Settled | None
    work: Working
    cause: LaneDied

    def train(self) -> Trained:
        """The block's outcomes. Seconds of trials are those of all parts that they were trained in."""
        fallback = ""
        try:
            outcomes = self._in_parts(by_loop=False)
        except _ByLoop as obstacle:
            fallback = str(obstacle)
            outcomes = self._in_parts(by_loop=True)
        return Trained(outcomes, fallback, self._chunk)

    _chunk = 0

    def _in_parts(self, by_loop: bool) -> list[Outcome]:
        judge, count = self.judge(self.block), len(self.block.trials)
        places, half = tuple(range(count)), -(-count // 2)
        parts = [Part(some) for some in (places[:half], places[half:]) if some]
        lost: dict[int, Finding] = {}
        seconds, curves = dict.fromkeys(places, 0.0), dict[int, Curve]()
        going_on: tuple[tuple[int, ...], ...] = ()
        for number, rung in enumerate(self.block.rungs):
            live = set(judge.live)
            wanted = [tuple(p for p in part.places if p in live and p not in lost) for part in parts]
            now = [replace(part, places=some, going_on=going_on) for part, some in zip(parts, wanted, strict=True)]
            parts, found, died = self._reach([part for part in now if part.places], by_loop)
            for place, finding in found.items():
                seconds[place] += finding.seconds
                curves[place] = finding.curve
            before = self.block.rungs[number - 1] if number else 0
            for place, sentence in died.items():
                lost[place] = Finding(failure=sentence, steps=before, curve=curves.get(place, Curve()))
            reached = {**found, **{place: finding for place, finding in lost.items() if place in live}}
            everything = {p: replace(finding, seconds=seconds[p]) for p, finding in reached.items()}
            going_on = (*going_on, tuple(judge.at_rung(everything, rung)))
        return judge.outcomes()

    def _reach(self, parts: list[Part], by_loop: bool) -> tuple[list[Part], dict[int, Finding], dict[int, str]]:
        """Bring parts to their rung, smaller ones where that is needed.

        Returns:
            The parts that could be trained, to be gone on with; what their trials reached; and the sentence of each
            trial that cannot be trained.
        """
        done, found, lost = list[Part](), dict[int, Finding](), dict[int, str]()
        together = not by_loop and (self.settled.engine if self.settled else self.block.engine) in TOGETHER
        while parts:
            tasks = [self._task(part, by_loop) for part in parts]
            by_key, parts, dead = dict(zip((task.key for task in tasks), parts, strict=True)), [], list[Part]()
            every_half, memory = len(by_key) > 1 and all(len(part.places) > 1 for part in by_key.values()), True
            for result in self.work(tasks):
                part = by_key[result.key]
                if isinstance(result.error, LaneDied):
                    memory = memory and result.error.memory
                    if len(part.places) == 1 and not (together and result.error.memory and not part.alone):
                        lost[part.places[0]] = str(result.error)
                    else:
                        dead.append(part)
                elif result.error is not None:
                    lost.update(dict.fromkeys(part.places, str(result.error)))
                elif result.value.obstacle:
                    raise _ByLoop(result.value.obstacle)
                else:
                    reached: Reached = result.value
                    done.append(part)
                    found.update(reached.findings)
                    self._chunk = 1 if part.alone and together else self._chunk or reached.chunk
            # Where both halves died as they do without memory, smaller ones of the same size in memory would as well.
            too_large = together and memory and every_half and len(dead) == len(by_key)
            for part in dead:
                alone = part.alone or too_large or len(part.places) == 1
                parts += [replace(part, places=(place,), alone=alone) for place in part.places]
        return done, found, lost

    def _task(self, part: Part, by_loop: bool) -> LaneTask:
        tries = 2 if len(part.places) == 1 else 1
        key = f"{self.block.id}, trials {part.name}"
        return LaneTask(key, train_part, (self.block, self.settled, part, by_loop), tries=tries)
