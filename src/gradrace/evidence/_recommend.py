"""What to try first on a task, and what it is based on: a race on it, or the suite's races on tasks of its kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError
from gradrace.evidence import evidence
from gradrace.optimizers import optimizers
from gradrace.race.api import result_of, store_path
from gradrace.race.spec import Task, find_task
from gradrace.store import Store, open_store
from gradrace.workloads import Workload
from gradrace.workloads._kinds import kind_of


@dataclass(frozen=True)
class Try:
    """An optimizer to try.

    Attributes:
        label: the contender's.
        lr: the learning rate to begin with, or None where none was tuned.
        safe: lowest and highest learning rate that did well early or at the end, or None where that is not known.
        code: the line of PyTorch, to be pasted where ``model`` is and torch is imported.
    """

    label: str
    lr: float | None
    safe: tuple[float, float] | None
    code: str

    def in_words(self) -> str:
        """Name, rate and range."""
        from gradrace.report.sentences import number  # which takes scipy along: not at the import of gradrace

        if self.lr is None:
            return self.label
        safe = f", safe from {number(self.safe[0])} to {number(self.safe[1])}" if self.safe else ""
        return f"{self.label} (lr {number(self.lr)}{safe})"


@dataclass(frozen=True)
class Recommendation:
    """What to try.

    Attributes:
        first: to try first.
        second: to try next, or None where nothing else worked.
        basis: ``"race"``: a race on this very task; ``"suite"``: the shipped evidence on tasks of its kind.
        why: what it is based on, in words.
        races: ids of the races.
    """

    first: Try
    second: Try | None
    basis: str
    why: str
    races: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """All of it in a sentence."""
        then = f", then {self.second.in_words()}" if self.second else ""
        return f"Try {self.first.in_words()} first{then}: {self.why}."

    def to_json(self) -> dict[str, Any]:
        """The same as JSON types."""
        return {"schema": 1, "sentence": self.sentence, "code": self.first.code, **asdict(self)}

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n    {self.first.code}"


def recommend(
    workload: str | Path | Workload = "digits", *, race: str | None = None, store: str | Path | None = None
) -> Recommendation:
    """Which optimizer to try first on a task and which second, at which learning rate, and why.

    If the store holds a finished race on the task, the newest one decides. Otherwise the evidence that is shipped with
    the package does: the optimizers' scores on workloads of the same kind, each put on a scale from the untrained model
    (0) to the best contender (1), and averaged. That is a guess about a task that nobody raced, and says so.

    Args:
        workload: as in ``gradrace.race``.
        race: the id of a race, or its beginning: that one decides.
        store: the database file; by default the user's own, or what ``GRADRACE_STORE`` names.

    Raises:
        SpecError: there is no such workload; the race has no verdict, or nothing in it worked. StoreError: there is no
            such race.
    """
    path = store_path(store)
    if race is not None:
        with open_store(path, must_exist=True) as opened:
            return from_race(result_of(opened, race).to_json())
    task = find_task(workload)
    if path.exists():
        with open_store(path) as opened:
            known = _race_on(task, opened)
            if known is not None:
                return from_race(result_of(opened, known).to_json())
    return from_evidence(task.workload, evidence())


def _race_on(task: Task, store: Store) -> str | None:
    """The newest finished race on a task that had several contenders, as nobody else can be recommended by one."""
    wanted = {name: value for name, value in task.reference.items() if name != "path"}
    for record in store.races():
        several = len(record.spec["contenders"]) > 1
        if record.status == "finished" and several and record.spec["workload"] == wanted:
            return record.id
    return None


def from_race(summary: Mapping[str, Any]) -> Recommendation:
    """From the summary of a race: its leader, and who came next.

    Raises:
        SpecError: it has no verdict yet, or nothing worked.
    """
    usable = [row for row in summary["standings"] if row["code"] is not None]
    if not usable:
        raise SpecError(f"Race {summary['race']['id']} recommends nothing: {summary['recommendation']['sentence']}")
    name = summary["workload"]["name"]
    sentence = summary["recommendation"]["sentence"].rstrip(".")
    why = f"in a race on {name} itself ({summary['race']['created'][:10]}, id {summary['race']['id']}) - {sentence}"
    first, *others = (Try(row["label"], _rate(row), _safe(row), row["code"]) for row in usable)
    return Recommendation(first, others[0] if others else None, "race", why, (summary["race"]["id"],))


def from_evidence(task: Workload, known: Mapping[str, Any]) -> Recommendation:
    """From the suite's races on workloads of a task's kind; on all of them where none is of its kind."""
    from gradrace.report.sentences import listed

    kind = kind_of(task)
    alike = {name: race for name, race in known["races"].items() if kind is not None and race["kind"] == kind.value}
    races = alike or dict(known["races"])
    scores = {
        row["name"]: {r["label"]: r["normalized"] for r in row["standings"]} for row in known["suite"]["workloads"]
    }
    labels = list(known["suite"]["contenders"])
    mean = {label: math.fsum(scores[name][label] for name in races) / len(races) for label in labels}
    order = sorted(labels, key=lambda label: -mean[label])
    first, *others = (found for label in order if (found := _from_rows(label, races)) is not None)
    whom = f"tasks of its kind ({kind.value})" if alike and kind is not None else "all tasks of the suite"
    ended = f"{first.label} gained on average {mean[first.label]:.0%} of what the best gained there"
    why = (
        f"nobody has raced on {task.name} here yet, so this goes by the shipped evidence on {whom}: "
        f"{listed(sorted(races))}, where {ended}; a race on the task itself would tell more"
    )
    return Recommendation(first, others[0] if others else None, "suite", why, tuple(r["race"] for r in races.values()))


def _from_rows(label: str, races: Mapping[str, Mapping[str, Any]]) -> Try | None:
    """The middle of what races chose for a contender: geometric means of rates and of the ends of safe ranges."""
    rows = [row for race in races.values() for row in race["standings"] if row["label"] == label and row["code"]]
    if not rows:
        return None
    if len(rows) == 1:
        return Try(label, _rate(rows[0]), _safe(rows[0]), rows[0]["code"])
    rates = [rate for row in rows if (rate := _rate(row)) is not None]
    lr = _middle(rates) if rates else None
    ranges = [safe for row in rows if (safe := _safe(row)) is not None]
    safe = (_middle([low for low, _ in ranges]), _middle([high for _, high in ranges])) if ranges else None
    rule = optimizers()[rows[0]["optimizer"]]
    code = rule.code(rule.configure({} if lr is None else {"lr": lr}))
    return Try(label, lr, safe, code)


def _rate(row: Mapping[str, Any]) -> float | None:
    return (row["configuration"] or {}).get("lr")


def _safe(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The safe range, widened to the rate that was chosen.

    The range is read where all trials still were, at the first rung; at the end another rate may be ahead. Both did
    well, so what lies between is taken for safe.
    """
    known, lr = row.get("lr_safe_range"), _rate(row)
    if known is None or lr is None:
        return None
    return min(known[0], lr), max(known[1], lr)


def _middle(values: Sequence[float]) -> float:
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))
