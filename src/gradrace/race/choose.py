"""What the tuning leads to: each study's choice, and where a choice lies at the edge of its range. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gradrace.outcomes import Outcome, Status, by_study
from gradrace.race.plan import Choice, Extension, extension_trials
from gradrace.race.rungs import ranking
from gradrace.race.spec import Contender, RaceSpec


def best(outcomes: Sequence[Outcome], maximize: bool) -> Outcome | None:
    """The best at the end among those trained furthest, or None if none of them has a finite value.

    Values of different lengths are never compared: a trial dropped early may look better than one that went on.
    """
    usable = [outcome for outcome in outcomes if _usable(outcome)]
    furthest = max((outcome.steps for outcome in usable), default=0)
    last = [outcome for outcome in usable if outcome.steps == furthest]
    return last[ranking([_values(outcome) for outcome in last], maximize)[0]] if last else None


def find_extensions(
    spec: RaceSpec, contenders: Sequence[Contender], tuning: Iterable[Outcome], maximize: bool
) -> list[Extension]:
    """Studies whose choice lies at the edge of a range, with the decade beyond it.

    The extension is paid for: it takes the place of the study's last quarter of trials. So that no contender sees more
    than N trials, the edge is looked for among the others alone, as someone who tunes in two sittings would.
    A choice lies at the edge if it is the outermost point tried and within the outermost 1/N of the range.
    """
    spent, extensions = extension_trials(spec.trials), []
    if spent == 0:
        return []
    studies = by_study(tuning)
    for contender in contenders:
        dimensions = contender.dimensions(spec.trials)
        for study in range(spec.studies):
            first = [o for o in studies.get((contender.label, study), []) if o.point < spec.trials - spent]
            choice = best(first, maximize)
            if choice is None:
                continue
            for name, space in dimensions.items():
                tried = [outcome.configuration[name] for outcome in first]
                side = _edge([space.coordinate(v) for v in tried], space.coordinate(choice.configuration[name]), spec)
                beyond = space.extended(side) if side else None
                if side and beyond is not None:
                    extensions.append(Extension(contender.label, study, name, side, beyond))
                    break
    return extensions


def _edge(tried: Sequence[float], chosen: float, spec: RaceSpec) -> str:
    # 1 - value on a log scale runs backwards; coordinates do not, and the edge is one of coordinates.
    if chosen <= min(tried) and chosen < 1 / spec.trials:
        return "low"
    if chosen >= max(tried) and chosen > 1 - 1 / spec.trials:
        return "high"
    return ""


def choices(
    spec: RaceSpec,
    contenders: Sequence[Contender],
    tuning: Iterable[Outcome],
    edge: Iterable[Outcome],
    maximize: bool,
) -> list[Choice]:
    """Each study's choice: the best at the end on the validation split, among the N trials that its budget paid for.

    A study of which nothing finished (every trial diverged or failed) has no choice.
    """
    studies, beyond = by_study(tuning), by_study(edge)
    spent, found = extension_trials(spec.trials), []
    for contender in contenders:
        for study in range(spec.studies):
            key = (contender.label, study)
            paid = studies.get(key, [])
            if key in beyond:
                paid = [outcome for outcome in paid if outcome.point < spec.trials - spent] + beyond[key]
            choice = best(paid, maximize)
            if choice is not None:
                found.append(Choice(contender.label, study, choice.point, dict(choice.configuration)))
    return found


def edges_left(
    spec: RaceSpec,
    contenders: Sequence[Contender],
    tuning: Iterable[Outcome],
    extensions: Sequence[Extension],
    chosen: Sequence[Choice],
) -> list[tuple[str, int, str, str]]:
    """Choices that lie at an edge when the budget is spent: contender, study, dimension and side of each.

    Either the outermost point was among the last quarter of trials, or the decade that was added was not enough.
    """
    studies, beyond = by_study(tuning), {(e.contender, e.study): e for e in extensions}
    named, left = {contender.label: contender for contender in contenders}, []
    for choice in chosen:
        key = (choice.contender, choice.study)
        for name, base in named[choice.contender].dimensions(spec.trials).items():
            space, side, extension = base, "", beyond.get(key)
            extended = extension is not None and extension.dimension == name
            if choice.point < spec.trials and not extended:
                tried = [base.coordinate(outcome.configuration[name]) for outcome in studies[key]]
                side = _edge(tried, base.coordinate(choice.configuration[name]), spec)
            elif choice.point >= spec.trials and extension is not None and extended:
                space, side = extension.space, _edge_of_extension(extension, choice, spec)
            if side and space.extended(side) is not None:
                left.append((choice.contender, choice.study, name, side))
    return left


def _edge_of_extension(extension: Extension, choice: Choice, spec: RaceSpec) -> str:
    coordinate, share = extension.space.coordinate(choice.configuration[extension.dimension]), 1 / spec.trials
    outermost = coordinate < share if extension.side == "low" else coordinate > 1 - share
    return extension.side if outermost else ""


def _usable(outcome: Outcome) -> bool:
    ended = outcome.status in (Status.FINISHED, Status.DROPPED)
    return ended and all(math.isfinite(value) for value in _values(outcome))


def _values(outcome: Outcome) -> tuple[float, float]:
    metric, loss = outcome.validation, outcome.validation_loss
    return (math.nan if metric is None else metric, math.nan if loss is None else loss)
