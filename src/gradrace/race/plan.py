"""The plan: from a spec to blocks of trials. Pure functions; what had to be measured or tried comes in as values.

Blocks follow from the spec, the contenders and the stored plan alone: a resumed race has the same blocks as before.
What was measured on a machine (whether blocks are compiled, and which are trained meanwhile) is part
of the plan, and chosen alike when the race is run there again, with however many lanes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import groupby
from typing import Any

from gradrace.errors import SpecError
from gradrace.outcomes import Stage
from gradrace.race.points import configuration, sobol
from gradrace.race.rungs import rung_steps
from gradrace.race.spec import Contender, RaceSpec
from gradrace.space import Dimension

BLOCK_TRIALS = 24
"""Trials alive in a block, on average over its steps. More hardly dilute the overhead of an operation further, and a
core's share of the cache still holds the parameters, gradients and state of so many small models."""
COMPILED_TRIALS, LOOP_TRIALS, MANY_BLOCKS = 8, 4, 32
"""The same for compiled blocks and for the other ways that train one trial after another: small ones leave no lane
waiting for the last. They are larger, up to BLOCK_TRIALS, where there would be more than so many."""
EXTENSION_SHARE = 4
"""One in so many of a study's trials is spent beyond an edge that its choice lies at."""


@dataclass(frozen=True)
class Plan:
    """What was decided before the first block, and is stored so that a resumed race repeats it.

    Attributes:
        engine: ``"vectorized"``, ``"loop"``, ``"drop-in"`` (one by one as well, with the drop-in classes) or
            ``"training loop"``: how what is not compiled is trained.
        reason: why, in a sentence.
        stochastic: the model draws random numbers while it trains (dropout); then a block has one seed only.
        steps: length of a full trial of each contender, by label.
        parameters: trainable parameters of the model.
        objects: labels of contenders that are no update rules; they train one model at a time, by the loop engine.
        untrained: metric of the model before its first step, on the validation split; None if it is not finite.
        evaluations: points of a learning curve, besides the rungs.
        most: trials whose gradients fit into the device's memory at a time; 0 where all do.
        onednn: matrix products are computed by oneDNN, except for the loop engine and in compiled programs.
        compiled: blocks are trained by compiled programs.
        opened: those programs were not there when the race began: they are compiled and tried first.
        meanwhile: blocks that are not compiled, to be trained while the compiler works.
    """

    engine: str
    reason: str
    stochastic: bool
    steps: Mapping[str, int]
    parameters: int
    untrained: float | None = None
    objects: tuple[str, ...] = ()
    evaluations: int = 20
    most: int = 0
    onednn: bool = False
    compiled: bool = False
    opened: bool = False
    meanwhile: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON types."""
        return {**asdict(self), "block_trials": BLOCK_TRIALS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """The plan that ``to_dict`` described.

        Raises:
            SpecError: it is of an earlier version, which put trials into other blocks.
        """
        if values.get("compiled") and not isinstance(values["compiled"], bool):
            raise SpecError(
                "This race was planned by an earlier version of gradrace, which compiled blocks otherwise, and cannot "
                "go on. Start it anew on another store: --store PATH."
            )
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        made: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in known.items()}
        return cls(**made)

    def engine_of(self, label: str) -> str:
        """The engine that trains a contender's trials."""
        return "loop" if label in self.objects and self.engine == "vectorized" else self.engine


@dataclass(frozen=True)
class PlannedTrial:
    """One trial to train. ``point`` counts within its study; points of an extended range go on counting."""

    stage: Stage
    contender: str
    study: int
    seed: int
    point: int
    configuration: Mapping[str, float]

    @property
    def id(self) -> str:
        """``stage/label/study/seed/point``, which sorts in the order of the plan."""
        return f"{self.stage}/{self.contender}/{self.study:04d}/{self.seed:04d}/{self.point:04d}"


@dataclass(frozen=True)
class Block:
    """Trials that are trained together, neighbours by contender, and the steps at which half of each study drops.

    ``chunk``: see ``Training``. ``onednn``: its matrix products are computed by oneDNN. A block that is ``"compiled"``
    may have to do without: see ``Plan.opened``.
    """

    id: str
    stage: Stage
    trials: tuple[PlannedTrial, ...]
    engine: str
    steps: int
    rungs: tuple[int, ...]
    checkpoints: tuple[int, ...] = field(default=())
    chunk: int = 0
    onednn: bool = False

    def trial_steps(self, constant: bool) -> int:
        """Training steps of all its trials; without a constant schedule every rung starts anew."""
        total, live, before = 0, len(self.trials), 0
        for rung in self.rungs:
            total += live * (rung - before)
            live, before = math.ceil(live / 2), rung if constant else 0
        return total


def tuning_blocks(spec: RaceSpec, contenders: Sequence[Contender], plan: Plan) -> list[Block]:
    """Every contender's N trials in each of the K studies. One study has one seed."""
    blocks: list[Block] = []
    for study in range(spec.studies):
        groups = []
        for contender in contenders:
            points = sobol(spec.seed, study, contender.scramble, "points", spec.trials)
            dimensions = contender.dimensions(spec.trials)
            groups.append(
                [
                    PlannedTrial(Stage.TUNING, contender.label, study, 0, index, configuration(point, dimensions))
                    for index, point in enumerate(points)
                ]
            )
        blocks += _blocks(Stage.TUNING, f"{study:04d}", groups, plan, spec.halving, spec.studies)
    return blocks


@dataclass(frozen=True)
class Extension:
    """A decade beyond the edge at which a study's choice lies, and the dimension that it belongs to."""

    contender: str
    study: int
    dimension: str
    side: str
    space: Dimension


def extension_trials(trials: int) -> int:
    """How many of a study's N trials are spent beyond an edge: a quarter; none where that is less than one."""
    return trials // EXTENSION_SHARE


def edge_blocks(
    spec: RaceSpec, contenders: Sequence[Contender], plan: Plan, extensions: Sequence[Extension]
) -> list[Block]:
    """Trials in the extended ranges: at the same further points for every contender that extends."""
    groups = []
    for contender in contenders:
        for extension in (e for e in extensions if e.contender == contender.label):
            count = extension_trials(spec.trials)
            points = sobol(spec.seed, extension.study, contender.scramble, "edge", count)
            dimensions = {**contender.dimensions(spec.trials), extension.dimension: extension.space}
            groups.append(
                [
                    PlannedTrial(
                        Stage.EDGE,
                        contender.label,
                        extension.study,
                        0,
                        spec.trials + index,
                        configuration(p, dimensions),
                    )
                    for index, p in enumerate(points)
                ]
            )
    return _blocks(Stage.EDGE, "", groups, plan, spec.halving)


@dataclass(frozen=True)
class Choice:
    """What a study chose for its contender: the point and the values of its tuned hyperparameters."""

    contender: str
    study: int
    point: int
    configuration: Mapping[str, float]


def confirmation_blocks(
    spec: RaceSpec, contenders: Sequence[Contender], plan: Plan, choices: Sequence[Choice]
) -> list[Block]:
    """Each study's choices on S fresh seeds, the same for all contenders, fresh for every study."""
    chosen = {(choice.contender, choice.study): choice for choice in choices}
    groups = []
    for study in range(spec.studies):
        for seed in range(1, spec.seeds + 1):
            for contender in contenders:
                choice = chosen.get((contender.label, study))
                if choice is not None:
                    groups.append(
                        [
                            PlannedTrial(
                                Stage.CONFIRMATION, contender.label, study, seed, choice.point, choice.configuration
                            )
                        ]
                    )
    return _blocks(Stage.CONFIRMATION, "", groups, plan, halving=False)


def _blocks(
    stage: Stage, name: str, groups: Sequence[Sequence[PlannedTrial]], plan: Plan, halving: bool, alike: int = 1
) -> list[Block]:
    """Pack groups, which must stay together, into blocks of about BLOCK_TRIALS live trials, as even as can be.

    Trials of different length or engine are apart, and where the model is stochastic also trials of different seeds:
    one block for each study then, and lanes would wait for each other at the end. Such blocks are half as large.
    ``alike``: how many calls of this kind there are for a race.
    """
    share = alike * sum(map(len, groups)) // (MANY_BLOCKS * (2 if halving else 1))

    def alive(engine: str) -> int:
        if engine == "vectorized" and not plan.compiled:
            return BLOCK_TRIALS
        return min(BLOCK_TRIALS, max(COMPILED_TRIALS if plan.compiled else LOOP_TRIALS, share))

    def kind(group: Sequence[PlannedTrial]) -> tuple[int, str, bool, Any]:
        trial = group[0]
        seed = (trial.study, trial.seed) if plan.stochastic else None
        label = trial.contender
        return plan.steps[label], plan.engine_of(label), label in plan.objects, seed

    blocks: list[Block] = []
    for (steps, engine, *_), same in groupby(sorted(groups, key=kind), key=kind):
        whole = alive(engine) * (2 if halving and not plan.stochastic else 1)
        for members in _packed(list(same), whole):
            trials = tuple(sorted(members, key=lambda trial: trial.contender))
            identity = "/".join(part for part in (stage.value, name, f"{len(blocks):04d}") if part)
            rungs = rung_steps(steps, halving)
            points = {max(1, steps * part // plan.evaluations) for part in range(1, plan.evaluations + 1)}
            block = Block(identity, stage, trials, engine, steps, rungs, tuple(sorted(points | set(rungs))))
            rules = not any(trial.contender in plan.objects for trial in trials)
            if engine in ("vectorized", "drop-in"):
                block = replace(block, onednn=plan.onednn)
            if engine == "vectorized" and 0 < plan.most < len(trials):
                block = replace(block, chunk=plan.most)
            if plan.compiled and rules and identity not in plan.meanwhile:
                block = replace(block, engine="compiled")
            blocks.append(block)
    return blocks


def _packed(groups: Sequence[Sequence[PlannedTrial]], size: int) -> Iterable[list[PlannedTrial]]:
    """Runs of groups of about equal size. A power of two of them, so that few or many lanes share them evenly."""
    total = sum(len(group) for group in groups)
    count = min(len(groups), 2 ** max(0, round(math.log2(total / size))))
    for part in range(count):
        start, stop = (round(len(groups) * end / count) for end in (part, part + 1))
        yield [trial for group in groups[start:stop] for trial in group]
