"""What a lane knows of a race."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from gradrace.engine.trial import Surroundings, Training, TrialSetup
from gradrace.race.judging import Judge
from gradrace.race.plan import Block, PlannedTrial
from gradrace.race.spec import Contender, RaceSpec
from gradrace.workloads import Workload


@dataclass(frozen=True)
class Grounds:
    """What a lane needs to know once: the race's workload, contenders, spec and id, and how often it saves blocks."""

    workload: Workload
    contenders: Mapping[str, Contender]
    spec: RaceSpec
    race: str = ""
    save_every: float = 0.0

    def setup(self, trial: PlannedTrial, group: int = 0) -> TrialSetup:
        """A planned trial as the engine wants it. ``group``: see ``TrialSetup``."""
        contender = self.contenders[trial.contender]
        hyper = contender.full_configuration(trial.configuration)
        stream = (self.spec.seed, trial.study, trial.seed)
        around = Surroundings(**contender.surroundings(trial.configuration, self.spec))
        return TrialSetup(contender.rule, hyper, contender.options, stream, around, group)

    def groups(self, block: Block) -> list[int]:
        """For each trial of a block, which run of neighbours with one optimizer and options it belongs to."""
        groups = [0]
        for before, after in pairwise(self.contenders[trial.contender] for trial in block.trials):
            groups.append(groups[-1] + (before.rule is not after.rule or before.options != after.options))
        return groups

    def training(self, steps: int, chunk: int = 0, apart: bool = False) -> Training:
        """Conditions that all trials of a block share."""
        spec = self.spec
        return Training(steps, spec.batch_size, spec.schedule, spec.decay_biases, spec.device, chunk=chunk, apart=apart)

    def judge(self, block: Block) -> Judge:
        """Who judges a block."""
        return Judge(block, self.workload.scored_by.direction == "max", self.workload.name)
