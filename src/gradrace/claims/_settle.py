"""Settling claims: their races are run, each once, and the decisions follow from the outcomes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradrace._version import __version__
from gradrace.claims._base import Asked, Check, Claim, Decided, decide
from gradrace.claims._found import claim, claims
from gradrace.claims._raced import Raced
from gradrace.errors import DataError, WorkloadError
from gradrace.race.api import raced, store_path
from gradrace.race.orchestrator import Entry, machine
from gradrace.race.spec import find_task, make_contenders, make_spec

SCHEMA = 1


@dataclass(frozen=True)
class Settled:
    """What came of a claim.

    Attributes:
        claim: the statement.
        decision: holds, does not hold, or undecided.
        checks: its parts.
        races: the ids of its races in the store, by the claim's own names for them.
        seconds: spent on it; a race that another claim had asked for before costs nothing.
    """

    claim: Claim
    decision: Decided
    checks: tuple[Check, ...]
    races: Mapping[str, str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON types."""
        known = self.claim
        return {
            "claim": known.name,
            "title": known.title,
            "source": known.source,
            "statement": known.statement,
            "refuted_by": known.refuted_by,
            "decision": self.decision.value,
            "checks": [
                {
                    "part": check.part,
                    "so": check.so,
                    "evidence": check.evidence,
                    "more": check.more,
                    "numbers": dict(check.numbers),
                }
                for check in self.checks
            ],
            "races": dict(self.races),
            "seconds": self.seconds,
        }


class ClaimsResult:
    """What came of several claims.

    Attributes:
        settled: one for each claim, in the order asked for.
        quick: whether the races were the short ones.
    """

    def __init__(self, settled: Sequence[Settled], quick: bool, seed: int) -> None:
        self.settled, self.quick, self.seed = tuple(settled), quick, seed

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "schema": SCHEMA,
            "gradrace": __version__,
            "machine": machine(),
            "quick": self.quick,
            "seed": self.seed,
            "claims": [settled.to_dict() for settled in self.settled],
        }

    def __repr__(self) -> str:
        from gradrace.report import claims as pages
        from gradrace.report import terminal

        return terminal.as_text(pages.render(self.to_json()))


def settle(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    seed: int = 0,
    store: str | Path | None = None,
    lanes: int | None = None,
    quiet: bool = True,
) -> ClaimsResult:
    """Run the races of the claims called so, or of all, and decide each from the outcomes alone.

    Races that the store holds already are read, not repeated, so a stopped suite goes on where it stopped.

    Args:
        names: of claims; all by default.
        quick: shorter races, at most 10 minutes for all claims on two cores.
        seed: of every race; another one is a fresh repetition.
        store: the database file; by default the user's own, or what ``GRADRACE_STORE`` names.
        lanes: processes that train; one for each core by default.
        quiet: show no progress.

    Raises:
        SpecError: there is no such claim. StoreError: the store cannot be used. Interrupted: Ctrl-C.
    """
    asked = [claim(name) for name in names] or list(claims().values())
    with ExitStack() as kept:
        runner = _Runner(store_path(store), kept, seed, lanes, quiet)
        return ClaimsResult([runner.settle(one, quick) for one in asked], quick, seed)


def as_entry(asked: Asked, seed: int) -> Entry:
    """The race as it is entered. Loads no data."""
    task = find_task(asked.workload)
    spec = make_spec(task.workload, **{"seed": seed, **asked.options})
    return Entry(spec, make_contenders(asked.optimizers), task)


class _Runner:
    def __init__(self, path: Path, kept: ExitStack, seed: int, lanes: int | None, quiet: bool) -> None:
        self.path, self.kept, self.seed, self.lanes, self.quiet = path, kept, seed, lanes, quiet
        self.known: dict[str, Raced] = {}

    def settle(self, asked: Claim, quick: bool) -> Settled:
        """One claim. A race that cannot be run leaves it undecided, and says why."""
        began, found, ids = time.perf_counter(), dict[str, Raced](), dict[str, str]()
        races = asked.races(quick)
        try:
            for number, (name, race) in enumerate(races.items(), 1):
                self.say(f"{asked.name}: race {number} of {len(races)}, {name}")
                ids[name], found[name] = self.race(race)
            checks = tuple(asked.judge(found))
        except (DataError, WorkloadError) as error:
            checks = (
                Check("its races can be run", None, str(error).rstrip("."), "Once they can, this can be settled."),
            )
        decision = decide(checks)
        self.say(f"{asked.name}: {decision}")
        return Settled(asked, decision, checks, ids, time.perf_counter() - began)

    def race(self, asked: Asked) -> tuple[str, Raced]:
        """One race: from another claim, from the store, or run now."""
        entry = as_entry(asked, self.seed)
        if entry.id not in self.known:
            self.known[entry.id] = Raced(*raced(entry, self.path, self.kept, self.lanes, self.quiet))
        return entry.id, self.known[entry.id]

    def say(self, words: str) -> None:
        """A line of progress, unless quiet."""
        if not self.quiet:
            print(words, file=sys.stderr, flush=True)
