"""From what trials reached at a rung to who goes on, and to outcomes: always by the whole block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby

from gradrace.outcomes import Curve, Outcome, Status
from gradrace.race.plan import Block
from gradrace.race.rungs import survivors


@dataclass(frozen=True)
class Finding:
    """What a trial reached at a rung.

    Attributes:
        validation: metric and loss on the validation split; NaN where there is none.
        test: the same on the test split, at the end of a confirmation.
        others: further metrics of the test split.
        diverged_at: the step whose loss was not finite, or None.
        failure: the sentence of the error that ended it, or None.
        curve: the trial up to here.
        steps: how far it came, where it did not come to the rung.
        seconds: spent on it, where they are known.
    """

    validation: tuple[float, float] = (math.nan, math.nan)
    test: tuple[float, float] = (math.nan, math.nan)
    others: Mapping[str, float] = field(default_factory=dict)
    diverged_at: int | None = None
    failure: str | None = None
    curve: Curve = field(default_factory=Curve)
    steps: int | None = None
    seconds: float = 0.0


class Judge:
    """Who of a block goes on, and what became of the others.

    Args:
        block: the block. maximize: more of the metric is better. workload: its name, for sentences.
    """

    def __init__(self, block: Block, maximize: bool, workload: str) -> None:
        self.block, self._maximize, self._workload = block, maximize, workload
        self.live = list(range(len(block.trials)))
        """Places of the trials that go on."""
        self.ended: dict[int, Outcome] = {}

    def at_rung(self, findings: Mapping[int, Finding], rung: int) -> list[int]:
        """Note the outcomes of trials that end at this rung; the places of those that go on (at the last, of none)."""
        last = rung == self.block.rungs[-1]
        kept = [] if last else self._survivors(findings)
        for place in self.live:
            if last or place not in kept:
                status = Status.FINISHED if last else Status.DROPPED
                self.ended[place] = self._outcome(place, status, rung, findings[place])
        self.live = kept
        return kept

    def outcomes(self) -> list[Outcome]:
        """Of all trials of the block, once the last rung was judged."""
        return [self.ended[place] for place in range(len(self.block.trials))]

    def _survivors(self, findings: Mapping[int, Finding]) -> list[int]:
        """Halving is within each contender's study, never across."""
        kept: list[int] = []

        def study(place: int) -> tuple[str, int]:
            trial = self.block.trials[place]
            return trial.contender, trial.study

        for _, members in groupby(sorted(self.live, key=study), key=study):
            group = list(members)
            values = [findings[place].validation for place in group]
            kept += [group[index] for index in survivors(values, self._maximize)]
        return sorted(kept)

    def _outcome(self, place: int, status: Status, steps: int, found: Finding) -> Outcome:
        trial, curve, diverged_at, failure = self.block.trials[place], found.curve, found.diverged_at, found.failure
        if diverged_at is None and failure is None and not math.isfinite(found.validation[1]):
            # The last update before this checkpoint ruined the parameters; the next training loss would have shown it.
            diverged_at = next(s for s, loss in zip(curve.step, curve.validation_loss, strict=True) if loss is None)
        if diverged_at is not None:
            status, steps = Status.DIVERGED, diverged_at
        elif failure is None and not math.isfinite(found.validation[0]):
            failure = f"The metric of workload '{self._workload}' is {found.validation[0]}; it must be finite."
        if failure is not None:
            status, steps = Status.FAILED, steps if found.steps is None else found.steps
        ended_well = status in (Status.FINISHED, Status.DROPPED)
        return Outcome(
            trial=trial.id,
            stage=trial.stage,
            contender=trial.contender,
            study=trial.study,
            seed=trial.seed,
            point=trial.point,
            configuration=dict(trial.configuration),
            status=status,
            steps=steps,
            diverged_at=diverged_at,
            error=failure,
            validation=finite(found.validation[0]) if ended_well else None,
            validation_loss=finite(found.validation[1]) if ended_well else None,
            test=finite(found.test[0]) if ended_well else None,
            test_loss=finite(found.test[1]) if ended_well else None,
            seconds=found.seconds,
            others=dict(found.others) if ended_well else {},
            curve=curve,
        )


def failed_block(block: Block, sentence: str) -> list[Outcome]:
    """The outcomes of a block that could not be trained at all."""
    lost = Finding(failure=sentence, steps=0)
    judge = Judge(block, False, "")
    judge.at_rung(dict.fromkeys(judge.live, lost), block.rungs[-1])
    return judge.outcomes()


def finite(value: float) -> float | None:
    """The value, or None."""
    return value if math.isfinite(value) else None
