"""The one orchestrator: a race from its spec to its summary, in the order of the protocol."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import torch

from gradrace._version import __version__
from gradrace.engine.lanes import LaneDied, Lanes, Result
from gradrace.engine.lanes import Task as LaneTask
from gradrace.errors import Interrupted, SpecError
from gradrace.optimizers import TorchOptimizer
from gradrace.outcomes import Outcome
from gradrace.race import costs, saving
from gradrace.race.choose import choices, edges_left, find_extensions
from gradrace.race.judging import failed_block
from gradrace.race.paths import Memory
from gradrace.race.plan import (
    Block,
    Choice,
    Extension,
    Plan,
    confirmation_blocks,
    edge_blocks,
    tuning_blocks,
)
from gradrace.race.planning import Entry, confirmation_steps, make_plan, noted_costs
from gradrace.race.profile import profile
from gradrace.race.pulse import pulse
from gradrace.race.rescue import Rescue
from gradrace.race.spec import RaceSpec, describe
from gradrace.race.train import Compiled, Settled, Trained, compile_program, prepare, train_block
from gradrace.store import RaceRecord, Store

_log = logging.getLogger(__name__)

CONFIRMATION = "confirmation"
COMPILING = "compile"
"""The key of the task that compiles."""
ENGINE = "engine"
"""The note of how blocks are trained that were to be compiled first."""


class Watch(Protocol):
    """What wants to know how a race goes. It is told; it never answers."""

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        """A stage begins, with so many trials and trial-steps to do, and about so many trial-steps after it."""
        ...

    def steps(self, trial_steps: int) -> None:
        """So many more trial-steps were trained."""
        ...

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        """A block is in the store: trained now, or found there."""
        ...


class Silent:
    """Watches without a word."""

    def stage(self, name: str, trials: int, trial_steps: int, afterwards: int) -> None:
        """See ``Watch``."""

    def steps(self, trial_steps: int) -> None:
        """See ``Watch``."""

    def block(self, outcomes: Sequence[Outcome], trained: bool) -> None:
        """See ``Watch``."""


def run(
    entry: Entry, store: Store | None, open_new: Callable[[], Store], lanes: int, watch: Watch
) -> tuple[Store, RaceRecord]:
    """Race to the end, or on from where the store stands.

    ``store`` is the store if it exists already; ``open_new()`` makes it otherwise, after the workload has been tried,
    so that a race that cannot start writes nothing.

    Raises:
        WorkloadError: the workload's own code raises. SpecError: the engine asked for cannot train it.
        Interrupted: Ctrl-C; everything finished is stored.
    """
    record = _find(store, entry.id)
    if store is not None and record is not None and record.status == "finished":
        return store, record
    started = time.perf_counter()
    before, seconds = started - entry.began, {}
    try:
        with Lanes(lanes, entry.spec.device) as workers:
            grounds = entry.grounds()
            # It takes scipy along: not at the end, now that lanes import anyway.
            importlib.import_module("gradrace.report")
            workers.prepare(prepare, grounds)
            if store is None or record is None:
                plan, step_costs = make_plan(entry, workers)
                store = store or open_new()
                spec = describe(entry.spec, entry.contenders, entry.task)
                record = store.create_race(entry.id, spec, _stored(entry, plan), machine(), __version__)
                store.write_note(entry.id, "costs", step_costs)
            store.set_status(entry.id, "running")
            labels = ", ".join(contender.label for contender in entry.contenders)
            _log.info("Race %s on %s: %s; %d lanes.", entry.id, entry.task.workload.name, labels, lanes)
            with pulse(entry.id, store, entry.task.workload.scored_by.direction, len(workers), watch) as told:
                racing = _Race(entry, Plan.from_dict(record.plan), store, workers, told)
                racing.run()
            within = time.perf_counter() - started
            seconds = profile(before, within, workers.seconds, len(workers), racing.writing)
    except KeyboardInterrupt:
        if store is None or record is None:
            raise Interrupted("Stopped before the first trial; nothing was written.") from None
        store.set_status(entry.id, "interrupted")
        done = len(store.outcomes(entry.id))
        raise Interrupted(
            f"Stopped. {done} finished trials are stored; go on with: gradrace resume {entry.id}"
        ) from None
    whole = time.perf_counter() - started
    note = {"seconds": whole, "profile": {**seconds, "end": before + whole - sum(seconds.values())}}
    saving.forget_race(entry.id)
    store.write_note(entry.id, f"session {len(store.notes(entry.id)):04d}", note)
    store.set_status(entry.id, "finished")
    _log.info("Race %s has ended after %.1f seconds.", entry.id, whole)
    return store, store.race(entry.id)


def has_ended(store: Store, race: str) -> bool:
    """Whether a store holds the race with its verdict."""
    record = _find(store, race)
    return record is not None and record.status == "finished"


def _find(store: Store | None, race: str) -> RaceRecord | None:
    known = [] if store is None else [record for record in store.races() if record.id == race]
    return known[0] if known else None


class _Race:
    """A race whose plan is stored."""

    def __init__(self, entry: Entry, plan: Plan, store: Store, workers: Lanes, watch: Watch) -> None:
        self.entry, self.plan, self.store, self.workers, self.watch = entry, plan, store, workers, watch
        self.done = store.blocks(entry.id)
        self.writing = 0.0
        """Seconds spent writing outcomes."""
        self.memory = Memory(f"race {entry.id}")
        known = store.notes(entry.id).get(ENGINE) or self.memory.recall().get(ENGINE)
        self.settled: Settled | None = None
        if plan.opened and known:
            self.settled = Settled(known["engine"])
            store.write_note(entry.id, ENGINE, dict(known))

    def run(self) -> None:
        """Steps 1 to 6 of the protocol; what follows from the outcomes (7 to 9) is computed when it is asked for."""
        spec, contenders, plan = self.entry.spec, self.entry.contenders, self.plan
        tuning = self.train("tuning", tuning_blocks(spec, contenders, plan))
        extensions = find_extensions(spec, contenders, tuning, self.entry.maximize)
        edge = self.train("edge of the range", edge_blocks(spec, contenders, plan, extensions))
        chosen = choices(spec, contenders, tuning, edge, self.entry.maximize)
        self.train(CONFIRMATION, confirmation_blocks(spec, contenders, plan, chosen))
        self.note(extensions, chosen, edges_left(spec, contenders, tuning, extensions, chosen))

    def train(self, name: str, blocks: Sequence[Block]) -> list[Outcome]:
        """Train the blocks that the store does not have, the longest first, and return the outcomes of all."""
        constant = self.entry.spec.schedule == "constant"
        missing = [block for block in blocks if block.id not in self.done]
        known = {outcome.trial: outcome for outcome in self.store.outcomes(self.entry.id)}
        if blocks:
            steps = sum(block.trial_steps(constant) for block in missing)
            trials = sum(len(block.trials) for block in blocks)
            _log.info("Race %s, %s: %d trials, %d blocks to train.", self.entry.id, name, trials, len(missing))
            self.watch.stage(name, trials, steps, 0 if name == CONFIRMATION else self._confirmation_steps())
        for block in blocks:
            if block.id in self.done:
                self.watch.block([known[trial.id] for trial in block.trials], trained=False)
        longest_first = sorted(missing, key=lambda block: -block.trial_steps(constant))
        by_id = {block.id: block for block in blocks}
        dead: list[tuple[Block, LaneDied]] = []
        patience = self.entry.limits.trial_timeout
        for result in self.workers.run(self._tasks(longest_first), self.watch.steps, patience):
            if result.key == COMPILING:
                self._settle(result)
            elif isinstance(result.error, LaneDied):
                dead.append((by_id[result.key], result.error))
            else:
                block = by_id[result.key]
                if result.error is not None:
                    _log.error("Block %s failed: %s", block.id, result.error)
                trained: Trained = result.value or Trained(failed_block(block, str(result.error)))
                known.update(self._keep(block, trained))
        for block, cause in dead:
            known.update(self._keep(block, self._rescued(block, cause)))
        return [known[trial.id] for block in blocks for trial in block.trials]

    def _keep(self, block: Block, trained: Trained) -> dict[str, Outcome]:
        """Store a block; its outcomes by trial."""
        told = {
            "memory": {"chunk": trained.chunk} if trained.chunk else None,
            "fallback": {"error": trained.fallback} if trained.fallback else None,
            "saved": {"step": trained.resumed} if trained.resumed else None,
            "not saved": {"reason": trained.ignored} if trained.ignored else None,
        }
        if trained.chunk:
            _log.warning("Block %s ran out of memory and trained %d trials at a time.", block.id, trained.chunk)
        if trained.fallback:
            _log.warning("Block %s fell back to another way of training: %s", block.id, trained.fallback)
        for what, note in told.items():
            if note is not None:
                self.store.write_note(self.entry.id, f"{what} {block.id}", note)
        began = time.perf_counter()
        self.store.write_block(self.entry.id, block.id, trained.outcomes)
        self.writing += time.perf_counter() - began
        _log.debug("Block %s of race %s is stored: %d trials.", block.id, self.entry.id, len(trained.outcomes))
        saving.forget(self.entry.id, block.id)
        self.watch.block(trained.outcomes, trained=True)
        return {outcome.trial: outcome for outcome in trained.outcomes}

    def _rescued(self, block: Block, cause: LaneDied) -> Trained:
        """A block whose lanes died, trained in parts."""
        patience = self.entry.limits.trial_timeout
        self.store.write_note(self.entry.id, f"parts {block.id}", {"reason": str(cause)})
        settled = self.settled if self.plan.opened and block.engine == "compiled" else None
        rescue = Rescue(
            block,
            self.entry.judge,
            settled,
            lambda tasks: self.workers.run(tasks, patience=patience),
            cause,
        )
        return rescue.train()

    def _tasks(self, blocks: Sequence[Block]) -> list[LaneTask]:
        """Blocks, and first the program that must be compiled, which those that need it wait for."""
        waiting = [block for block in blocks if block.engine == "compiled"] if self.plan.opened else []
        opened = bool(waiting) and self.settled is None
        if opened:
            self.settled = Settled("compiled")
        settled, after = self.settled, COMPILING if opened else None
        compiling = [LaneTask(COMPILING, compile_program, (waiting[0], self.plan.engine))] if opened else []
        ids = {block.id for block in waiting}
        return [
            *compiling,
            *(
                LaneTask(block.id, train_block, (block, settled), after)
                if block.id in ids
                else LaneTask(block.id, train_block, (block,))
                for block in blocks
            ),
        ]

    def _settle(self, result: Result) -> None:
        """A program is compiled, or cannot be: from here on its blocks have their engine for good."""
        found: Compiled = result.value if result.error is None else Compiled(str(result.error))
        assert self.settled is not None
        kept = found.faster or self.entry.spec.engine == "compiled"
        self.settled.engine = "compiled" if kept else self.plan.engine
        note = {"engine": self.settled.engine, "reason": found.sentence()}
        self.store.write_note(self.entry.id, ENGINE, note)
        self.memory.keep(**{ENGINE: note})

    def _confirmation_steps(self) -> int:
        return confirmation_steps(self.entry.spec, self.plan)

    def note(
        self, extensions: Sequence[Extension], chosen: Sequence[Choice], left: Sequence[tuple[str, int, str, str]]
    ) -> None:
        """Keep what the summary needs and outcomes do not tell: choices with their line of code, edges, costs."""
        contenders = {contender.label: contender for contender in self.entry.contenders}
        lines = []
        for choice in chosen:
            contender = contenders[choice.contender]
            full = contender.full_configuration(choice.configuration)
            line = contender.rule.code(full, contender.options)
            line += around_in_words(contender.surroundings(choice.configuration, self.entry.spec), self.entry.spec)
            lines.append({**asdict(choice), "configuration": dict(choice.configuration), "code": line})
        edges = [{**asdict(edge), "space": edge.space.to_dict()} for edge in extensions]
        self.store.write_note(self.entry.id, "choices", {"choices": lines, "extensions": edges, "left": list(left)})
        if "costs" not in self.store.notes(self.entry.id):
            (result,) = self.workers.run([LaneTask("costs", costs.measure_costs, ())])
            self.store.write_note(self.entry.id, "costs", noted_costs(result))


def around_in_words(values: Mapping[str, float], spec: RaceSpec) -> str:
    """A comment for the line to paste that names what else the training loop needs, or nothing."""
    words = {
        "warmup": "warm-up over {:.3g} of the steps",
        "clip_norm": "gradients clipped to norm {:.3g}",
        "decoupled_weight_decay": "decoupled weight decay {:.3g}",
        "ema": "weights averaged with decay {:.5g}",
    }
    parts = [words[name].format(value) for name, value in values.items() if value]
    parts += [f"{spec.schedule} schedule"] if spec.schedule != "constant" else []
    return f"  # with {', '.join(parts)}" if parts else ""


def _stored(entry: Entry, plan: Plan) -> dict[str, Any]:
    """The plan as it is stored, with what a report must know without importing the workload or torch."""
    work, metric = entry.task.workload, entry.task.workload.scored_by
    return {
        **plan.to_dict(),
        "workload": {
            "name": work.name,
            "title": work.title or work.name,
            "stands_for": work.stands_for,
            "source": work.source,
            "licence": work.licence,
            "metric": metric.name,
            "direction": metric.direction,
            "worst": plan.untrained if metric.worst is None else metric.worst,
            "target": work.target,
            "tested": work.tested,
            "examples": work.sizes(),
            "remarks": work.remarks(),
            "reference": entry.task.reference,
        },
        "contenders": {
            contender.label: {
                "optimizer": contender.rule.name,
                "source": dict(contender.rule.source) if isinstance(contender.rule, TorchOptimizer) else None,
                "special_cases": list(contender.rule.special_cases),
                "dimensions": {n: s.to_dict() for n, s in contender.dimensions(entry.spec.trials).items()},
            }
            for contender in entry.contenders
        },
    }


def machine() -> dict[str, Any]:
    """What the race runs on."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def available_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def lane_count(given: int | None, device: str) -> int:
    """One lane for each core, or for each CUDA device. A number given is taken."""
    if given is not None and given < 1:
        raise SpecError(f"The number of lanes is {given}, but must be at least 1.")
    return given or (max(1, torch.cuda.device_count()) if device == "cuda" else available_cores())
