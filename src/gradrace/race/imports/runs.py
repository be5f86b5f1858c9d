"""Imported runs, checked and put in order: from what a table or a study says to outcomes, and how they are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gradrace.errors import SpecError
from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.race.imports import Scored, Unit
from gradrace.race.plan import Choice
from gradrace.race.spec import check_label
from gradrace.verdict import Direction
from gradrace.verdict.scores import sign

MOST_RUNS, MOST_CONTENDERS = 1_000_000, 100

ONE_STUDY = "0"
"""The study of runs that are not said to belong to one."""


@dataclass(frozen=True)
class Run:
    """One training run, as somebody else wrote it down.

    Attributes:
        where: what to call it in an error: ``"row 3 of runs.csv"``.
        contender: its label.
        stage: whether it was trained to choose a configuration, or to confirm the choice.
        status: how it ended.
        study: names its tuning; all runs of a contender are of one where nobody says.
        seed: names its seed, or None.
        optimizer: its optimizer's name, or None.
        validation: metric on the validation split, None if there is none.
        test: metric on the test split, likewise.
        configuration: hyperparameters.
        others: further metrics of the test split.
        steps: trained; 0 where it is not known.
        seconds: the same.
        error: why it failed, or None.
        chosen: its configuration is the one that its study chose.
        curve: validation values on the way, where they are known.
    """

    where: str
    contender: str
    stage: Stage
    status: Status = Status.FINISHED
    study: str = ONE_STUDY
    seed: str | None = None
    optimizer: str | None = None
    validation: float | None = None
    test: float | None = None
    configuration: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    error: str | None = None
    chosen: bool = False
    curve: Curve = field(default_factory=Curve)


@dataclass(frozen=True)
class Ordered:
    """Runs as outcomes of a race.

    Attributes:
        outcomes: of all runs.
        optimizers: of the contenders by label, in the order in which they came.
        studies: how many of each contender are scored.
        seeds: the most confirmation runs of a study.
        paired: studies and seeds are the same draws of luck for all contenders.
        choices: each scored study's configuration, and the point that it was tried at.
        remarks: sentences on what was left out.
    """

    outcomes: tuple[Outcome, ...]
    optimizers: Mapping[str, str]
    studies: Mapping[str, int]
    seeds: int
    paired: bool
    choices: tuple[Choice, ...]
    remarks: tuple[str, ...]


def ordered(runs: Sequence[Run], direction: Direction, unit: Unit, scored: Scored, paired: bool | None) -> Ordered:
    """Runs in the order of contender, study and seed, as outcomes.

    Args:
        runs: at least one.
        direction: "min" or "max", whichever is better.
        unit: whether the study or the seed is the unit of replication.
        scored: by confirmation runs, or by each study's best validation value.
        paired: compare study by study; None: if all contenders have the same studies and seeds.

    Raises:
        SpecError: what no race can be made of, with the run that it is about.
    """
    if len(runs) > MOST_RUNS:
        raise SpecError(f"There are {len(runs):,} runs; at most {MOST_RUNS:,} can be imported at a time.")
    labels = _labels(runs)
    tuning = [run for run in runs if run.stage is not Stage.CONFIRMATION]
    confirmed = [run for run in runs if run.stage is Stage.CONFIRMATION]
    units = confirmed if scored == "confirmed" else tuning
    if scored == "best" and confirmed:
        raise SpecError(
            f"{confirmed[0].where} is a confirmation run. Those are the better measure: leave out --scored best."
        )
    _check_all_scored(labels, units, scored)
    _check_twice(confirmed)
    if unit == "seed":
        _check_one_study(runs, scored)
    keys = {label: _keys([run.study for run in units if run.contender == label]) for label in labels}
    same = _same_luck(keys, confirmed, scored)
    if paired and not same:
        raise SpecError(_why_not_paired(keys, scored))
    paired = same if paired is None else paired
    numbers = {label: {key: number for number, key in enumerate(known)} for label, known in keys.items()}
    if unit == "seed":
        spread, studies = _by_seed(confirmed, labels)
        seeds = 1
    else:
        spread = [(run, numbers[run.contender][run.study], seed) for run, seed in _numbered(confirmed)]
        studies = {label: len(known) for label, known in keys.items()}
        seeds = max(Counter((run.contender, run.study) for run in confirmed).values(), default=1)
    kept, left = _tuning(tuning, numbers)
    choices = _choices(spread, kept, direction)
    points = {(choice.contender, choice.study): choice.point for choice in choices}
    outcomes = [_outcome(run, study, 0, point) for run, study, point in kept]
    for run, study, seed in spread:
        outcomes.append(_outcome(run, study, seed, points.get((run.contender, study), 0)))
    return Ordered(tuple(outcomes), labels, studies, seeds, bool(paired), tuple(choices), tuple(left))


def _labels(runs: Sequence[Run]) -> dict[str, str]:
    """The contenders' optimizers by label, in the order in which they come."""
    labels: dict[str, str] = {}
    for run in runs:
        if run.contender not in labels:
            try:
                check_label(run.contender)
            except SpecError as error:
                raise SpecError(f"{run.where}: {error}") from None
            labels[run.contender] = run.optimizer or run.contender
    if not labels:
        raise SpecError("There are no runs to import.")
    if len(labels) > MOST_CONTENDERS:
        raise SpecError(
            f"There are {len(labels):,} contenders, and at most {MOST_CONTENDERS} can be compared: is 'contender' the "
            "right column?"
        )
    return labels


def _check_all_scored(labels: Iterable[str], units: Sequence[Run], scored: Scored) -> None:
    there = {run.contender for run in units}
    for label in labels:
        if label not in there and scored == "confirmed":
            raise SpecError(
                f"Contender '{label}' has no confirmation run. The best value of a tuning is no measure of it: it was "
                "picked for being the best. Train the choice of each study again on fresh seeds and import those runs "
                "too; or judge by the best values in spite of that, which the verdict then says: --scored best "
                '(scored="best").'
            )
        if label not in there:
            raise SpecError(f"Contender '{label}' has no tuning run, so there is no best value to judge it by.")


def _check_twice(confirmed: Sequence[Run]) -> None:
    seen: dict[tuple[str, str, str], Run] = {}
    for run in confirmed:
        if run.seed is None:
            continue
        key = (run.contender, run.study, run.seed)
        if key in seen:
            raise SpecError(
                f"{run.where} and {seen[key].where} are both the confirmation of study {run.study}, seed {run.seed} of "
                f"'{run.contender}'. Each may be there once."
            )
        seen[key] = run


def _check_one_study(runs: Sequence[Run], scored: Scored) -> None:
    if scored == "best":
        raise SpecError("The best values of studies are one for each study, so the seed cannot be the unit.")
    studies: dict[str, set[str]] = {}
    for run in runs:
        studies.setdefault(run.contender, set()).add(run.study)
    for label, known in studies.items():
        if len(known) > 1:
            raise SpecError(
                f"Contender '{label}' has {len(known)} studies. The study is the unit then, since seeds of one study "
                "say nothing of luck in tuning: leave out --unit seed."
            )


def _keys(names: Iterable[str]) -> list[str]:
    """Different names in an order that is the same for all contenders: of numbers that of their values."""
    found = set(names)
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else sorted(found)


def _same_luck(keys: Mapping[str, Sequence[str]], confirmed: Sequence[Run], scored: Scored) -> bool:
    """Whether all contenders have the same studies, and in them the same seeds, by name."""
    if scored == "best" or any(run.seed is None for run in confirmed):
        return False
    cells: dict[str, set[tuple[str, str | None]]] = {label: set() for label in keys}
    for run in confirmed:
        cells[run.contender].add((run.study, run.seed))
    first, *rest = cells.values()
    return all(known == first for known in rest)


def _why_not_paired(keys: Mapping[str, Sequence[str]], scored: Scored) -> str:
    if scored == "best":
        return "Best values of studies cannot be compared as pairs: nothing says that their studies share their luck."
    counts = ", ".join(f"{label} {len(known)}" for label, known in keys.items())
    return (
        "The runs cannot be compared as pairs: that needs columns of studies and seeds with the same names in both for "
        f"every contender (studies here: {counts}). Without it they are compared by their means."
    )


def _numbered(confirmed: Sequence[Run]) -> list[tuple[Run, int]]:
    """Confirmation runs with the number of their seed within the study, from 1, in the order of the seeds' names."""
    studies: dict[tuple[str, str], list[Run]] = {}
    for run in confirmed:
        studies.setdefault((run.contender, run.study), []).append(run)
    found = []
    for members in studies.values():
        order = {seed: place for place, seed in enumerate(_keys(run.seed or "" for run in members))}
        inside = sorted(members, key=lambda run: order[run.seed or ""])
        found += [(run, number) for number, run in enumerate(inside, 1)]
    return found


def _by_seed(confirmed: Sequence[Run], labels: Iterable[str]) -> tuple[list[tuple[Run, int, int]], dict[str, int]]:
    """Each confirmation run as a study of its own, and how many each contender has."""
    spread = [(run, seed - 1, 1) for run, seed in _numbered(confirmed)]
    counts = Counter(run.contender for run in confirmed)
    return spread, {label: counts[label] for label in labels}


def _tuning(
    tuning: Sequence[Run], numbers: Mapping[str, Mapping[str, int]]
) -> tuple[list[tuple[Run, int, int]], list[str]]:
    """Tuning runs with study and point; and sentences on those whose study is not scored, which are left out."""
    points: Counter[tuple[str, int]] = Counter()
    kept, left = [], Counter[tuple[str, str]]()
    for run in sorted(tuning, key=lambda run: run.stage is Stage.EDGE):
        study = numbers[run.contender].get(run.study)
        if study is None:
            left[run.contender, run.study] += 1
            continue
        kept.append((run, study, points[run.contender, study]))
        points[run.contender, study] += 1
    remarks = [
        f"Study {study} of {label} was left out with its {count} tuning runs: its choice was not confirmed."
        for (label, study), count in left.items()
    ]
    return kept, remarks


def _choices(
    spread: Sequence[tuple[Run, int, int]], kept: Sequence[tuple[Run, int, int]], direction: Direction
) -> list[Choice]:
    """Each study's choice: what its confirmation ran; without one, or without its configuration, the best trial's.

    Raises:
        SpecError: a study's confirmation runs are of two configurations.
    """
    confirmed: dict[tuple[str, int], Run] = {}
    for run, study, _ in spread:
        first = confirmed.setdefault((run.contender, study), run)
        if dict(first.configuration) != dict(run.configuration):
            raise SpecError(
                f"{first.where} and {run.where} confirm one study of '{run.contender}', but with two configurations "
                f"({_shown(first)} and {_shown(run)}). A study has one choice."
            )
    tried: dict[tuple[str, int], list[tuple[Run, int]]] = {}
    for run, study, point in kept:
        tried.setdefault((run.contender, study), []).append((run, point))
    found = []
    for key in dict.fromkeys([*confirmed, *tried]):
        best = _best(tried.get(key, []), direction)
        run = confirmed.get(key)
        given = dict(run.configuration) if run is not None else {}
        if run is None and best is None:
            continue
        chosen = dict(best[0].configuration) if best is not None and not given else given
        point = next((p for r, p in tried.get(key, []) if dict(r.configuration) == chosen), best[1] if best else 0)
        found.append(Choice(*key, point, chosen))
    return found


def _best(tried: Sequence[tuple[Run, int]], direction: Direction) -> tuple[Run, int] | None:
    """The run said to be chosen; else the best at the end among those trained furthest."""
    usable = [(run, point) for run, point in tried if run.validation is not None]
    furthest = max((run.steps for run, _ in usable), default=0)
    said = [(run, point) for run, point in usable if run.chosen]
    last = said or [(run, point) for run, point in usable if run.steps == furthest]
    return max(last, key=lambda known: sign(direction) * (known[0].validation or 0.0), default=None)


def _shown(run: Run) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in run.configuration.items()) or "none given"


def _outcome(run: Run, study: int, seed: int, point: int) -> Outcome:
    ended_well = run.status in (Status.FINISHED, Status.DROPPED)
    curve = run.curve
    if not curve.step and ended_well and run.stage is not Stage.CONFIRMATION:
        curve = Curve([run.steps], [None], [run.validation], [None])
    return Outcome(
        trial=f"{run.stage}/{run.contender}/{study:04d}/{seed:04d}/{point:04d}",
        stage=run.stage,
        contender=run.contender,
        study=study,
        seed=seed,
        point=point,
        configuration=dict(run.configuration),
        status=run.status,
        steps=run.steps,
        diverged_at=run.steps if run.status is Status.DIVERGED else None,
        error=run.error,
        validation=run.validation if ended_well else None,
        test=run.test if ended_well else None,
        seconds=run.seconds,
        others=dict(run.others) if ended_well else {},
        curve=curve,
    )
