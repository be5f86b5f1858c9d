"""From what was asked for to the stored plan: the workload is tried, ways of training are measured, or remembered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gradrace.engine.lanes import Lanes, Result
from gradrace.engine.lanes import Task as LaneTask
from gradrace.optimizers import TorchOptimizer
from gradrace.race import costs, probe
from gradrace.race.grounds import Grounds
from gradrace.race.judging import Judge
from gradrace.race.limits import Limits
from gradrace.race.paths import Memory, Speeds, affordable, compile_seconds, trained_meanwhile, worth_compiling
from gradrace.race.plan import Block, Plan, tuning_blocks
from gradrace.race.rungs import check_halving
from gradrace.race.spec import Contender, RaceSpec, Task, race_id

CHOSEN = ("engine", "reason", "steps", "evaluations", "onednn", "compiled", "opened", "meanwhile")
"""What of a plan was measured, and is chosen alike when the same race is run again on this machine."""


@dataclass
class Entry:
    """A race as it was asked for: who races on what, and by which numbers."""

    spec: RaceSpec
    contenders: tuple[Contender, ...]
    task: Task
    began: float = field(default_factory=time.perf_counter, compare=False)
    """When the race was asked for, by the clock of ``time.perf_counter``."""
    limits: Limits = field(default=Limits(), compare=False)

    @cached_property
    def id(self) -> str:
        """The race's id."""
        return race_id(self.spec, self.contenders, self.task)

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return self.task.workload.scored_by.direction == "max"

    def judge(self, block: Block) -> Judge:
        """Who judges a block."""
        return Judge(block, self.maximize, self.task.workload.name)

    def grounds(self) -> Grounds:
        """What lanes need to know. The data are loaded here, once."""
        _ = self.task.workload.splits
        contenders = {contender.label: contender for contender in self.contenders}
        return Grounds(self.task.workload, contenders, self.spec, self.id, self.limits.save_every)


def make_plan(entry: Entry, workers: Lanes) -> tuple[Plan, dict[str, Any]]:
    """Try the workload, measure what must be measured, and fix the plan; also what steps cost, as ``noted_costs``.

    Steps are timed in one lane while the workload is tried in another, which would leave it idle.
    """
    tasks = [LaneTask("probe", probe.probe, ()), LaneTask("costs", costs.measure_costs, ())]
    results = {result.key: result for result in workers.run(tasks)}
    tried, timed = results["probe"], results["costs"]
    needed = [tried, timed] if entry.spec.currency == "seconds" else [tried]
    for result in needed:
        if result.error is not None:
            raise result.error
    plan = _fixed(entry, workers, tried.value, timed.value if timed in needed else {})
    return plan, noted_costs(timed)


def noted_costs(result: Result) -> dict[str, Any]:
    """Step costs are worth a note, not a race: a contender whose drop-in cannot be measured has none."""
    return result.value if result.error is None else {"error": str(result.error)}


def _fixed(entry: Entry, workers: Lanes, findings: probe.Findings, measured: dict[str, Any]) -> Plan:
    spec, steps, work = entry.spec, {}, entry.task.workload
    cheapest = min((cost["step_seconds"] for cost in measured.values()), default=1.0)
    for contender in entry.contenders:
        share = 1 / contender.rule.gradient_evaluations
        if measured:
            share = cheapest / measured[contender.label]["step_seconds"]
        steps[contender.label] = max(1, round(spec.steps * share))
        if spec.halving:
            check_halving(spec.trials, steps[contender.label])
    objects = tuple(c.label for c in entry.contenders if isinstance(c.rule, TorchOptimizer))
    plan = Plan(
        findings.engine,
        findings.reason,
        findings.stochastic,
        steps,
        findings.parameters,
        findings.untrained,
        objects,
        work.evaluations,
        findings.most,
        findings.onednn,
    )
    if remembered := Memory(f"race {entry.id}").recall().get("plan"):
        return replace(plan, **{name: remembered[name] for name in CHOSEN if name in remembered})
    if findings.speeds is not None:
        whole = len(entry.contenders) * spec.studies * (spec.trials / (2 if spec.halving else 1) + spec.seeds)
        points = affordable(work.evaluations, spec.steps, whole, findings.speeds)
        plan = replace(plan, evaluations=points)
    if findings.speeds is not None and spec.engine in ("auto", "compiled"):
        plan = _with_programs(entry, plan, findings.speeds, len(workers))
    Memory(f"race {entry.id}").keep(plan={name: getattr(plan, name) for name in CHOSEN})
    return plan


def _with_programs(entry: Entry, plan: Plan, speeds: Speeds, lanes: int) -> Plan:
    """The plan with whether blocks are compiled, and what is trained while the compiler works."""
    spec, contenders = entry.spec, entry.contenders
    if speeds.size is None:
        return plan
    blocks = tuning_blocks(spec, contenders, replace(plan, compiled=True))
    steps = sum(block.trial_steps(spec.schedule == "constant") for block in blocks) + confirmation_steps(spec, plan)
    before = Memory(f"workload {entry.task.reference} {spec.batch_size} {spec.device}")
    forgone = before.recall().get("forgone", 0.0)
    sizes = 3 if spec.halving else 1  # of tuning blocks: at the start and after each of two rungs
    if spec.engine != "compiled" and not worth_compiling(speeds, steps, forgone, lanes * sizes):
        before.keep(forgone=forgone + max(0.0, speeds.saved * steps) if speeds.size else 0.0)
        return plan
    before.keep(forgone=0.0)
    meanwhile: tuple[str, ...] = ()
    if speeds.size and spec.engine == "auto":
        free = compile_seconds(speeds.size) - sizes * speeds.recording
        meanwhile = trained_meanwhile(blocks, free, speeds, lanes)
    return replace(plan, compiled=True, opened=speeds.size > 0, meanwhile=meanwhile)


def confirmation_steps(spec: RaceSpec, plan: Plan) -> int:
    """Trial-steps of the confirmation."""
    return spec.studies * spec.seeds * sum(plan.steps.values())
