"""Every sentence of a summary, in plain words. Numbers are formatted here and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gradrace.outcomes import Outcome, Status
from gradrace.verdict import FEWEST_STUDIES, OrderChange

NOTHING_WORKED = (
    "No contender has a working configuration: every trial diverged or failed. "
    "Lower learning rates, or a look at the model and its data, would come next."
)


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def percent(share: float) -> str:
    """A share as a whole number of percent."""
    return f"{100 * share:.0f} %"


def interval(bounds: Sequence[float] | None) -> str:
    """Both ends, or nothing."""
    return "" if bounds is None else f"[{number(bounds[0])}, {number(bounds[1])}]"


def listed(names: Sequence[str]) -> str:
    """Names in a row: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def verdict(
    leader: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], workload: Mapping[str, Any], tested: bool
) -> str:
    """The verdict in a sentence or two."""
    name, metric = leader["label"], workload["metric"]
    scored = f"{name} scored best on {workload['name']} (test {metric} {number(leader['test']['mean'])})"
    others = [row["label"] for row in rows if row["label"] != name]
    if not others:
        return f"{scored}. It raced alone, so this says nothing about other optimizers."
    if not tested:
        return f"{scored}, but with fewer than 3 studies no difference can be told from luck."
    tied = [label for label in leader["tied_with"] if label in others]
    beaten = [label for label in others if label not in tied]
    if not tied:
        return f"Use {name}: it {scored.removeprefix(name + ' ')}, detectably better than {listed(beaten)}."
    if not beaten:
        return f"No detectable difference: {scored}, but this race cannot tell it from {listed(tied)}."
    return f"{scored}, detectably better than {listed(beaten)}. No detectable difference from {listed(tied)}."


def unfinished(race: str, status: str, outcomes: int) -> str:
    """How far a race is that has no verdict yet."""
    state = "was stopped" if status == "interrupted" else "has not finished (it runs still, or was killed)"
    return f"The race {state}; {outcomes} trials are stored. Go on with: gradrace resume {race}"


def edges(
    extensions: Sequence[Mapping[str, Any]],
    choices: Mapping[tuple[str, int], Mapping[str, Any]],
    numbers: Mapping[str, Any],
) -> list[str]:
    """One sentence for each contender and edge that made its range grow."""
    grouped: dict[tuple[str, str, str], list[int]] = {}
    spaces = {}
    for extension in extensions:
        key = (extension["contender"], extension["dimension"], extension["side"])
        grouped.setdefault(key, []).append(extension["study"])
        spaces[key] = extension["space"]
    found = []
    for (label, dimension, side), studies in grouped.items():
        space = spaces[label, dimension, side]
        name = scaled_name(dimension, space)
        beyond = sum(
            (label, study) in choices and choices[label, study]["point"] >= numbers["trials"] for study in studies
        )
        found.append(
            f"{label}: in {len(studies)} of {numbers['studies']} studies the best {name} lay at the {side} edge of its "
            f"range. A quarter of the study's trials went to {number(space['low'])}-{number(space['high'])} instead; "
            f"{beyond} of {len(studies)} chose a value there."
        )
    return found


def edges_left(left: Sequence[tuple[str, int, str, str]], contenders: Mapping[str, Any], studies: int) -> list[str]:
    """Contenders whose range may still be too narrow when their budget is spent."""
    counts = Counter((label, dimension, side) for label, _, dimension, side in left)
    found = []
    for (label, dimension, side), count in counts.items():
        name = scaled_name(dimension, contenders[label]["dimensions"][dimension])
        found.append(
            f"{label}: in {count} of {studies} studies the {name} chosen lies at the {side} edge of what was tried. "
            "A wider range might serve it better."
        )
    return found


def scaled_name(name: str, space: Mapping[str, Any]) -> str:
    """A hyperparameter as its search space counts it: momentum is searched as 1 - momentum."""
    return f"1 - {name}" if space.get("one_minus") else name


def without_choice(rows: Sequence[Mapping[str, Any]], studies: int) -> list[str]:
    """Contenders of which some study found nothing that works."""
    return [
        f"{row['label']}: no trial finished in {row['studies_without_choice']} of {studies} studies"
        f"{'; it is placed by the worst value' if row['studies_without_choice'] == studies else ''}."
        for row in rows
        if row["studies_without_choice"]
    ]


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Trials that ended in an error, with the commonest error of each contender."""
    failed: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if outcome.status is Status.FAILED:
            lines = (outcome.error or "unknown error").splitlines()
            failed.setdefault(outcome.contender, Counter())[lines[-1] if lines else "unknown error"] += 1
    return [
        f"{label}: {sum(errors.values())} trials failed, most with: {errors.most_common(1)[0][0]}"
        for label, errors in sorted(failed.items())
    ]


def little_memory(blocks: Mapping[str, int]) -> str:
    """Blocks for which there was not memory enough, with the fewest trials at a time."""
    plural = "s" if len(blocks) != 1 else ""
    return (
        f"Memory ran out in {len(blocks)} block{plural}: trained again from the start with fewer trials at a time, "
        f"down to {min(blocks.values())}. No trial was lost."
    )


def fallbacks(blocks: Mapping[str, str]) -> str:
    """Blocks that the loop engine trained in another's place, with the commonest error."""
    error, _ = Counter(blocks.values()).most_common(1)[0]
    plural = "s were" if len(blocks) != 1 else " was"
    return f"{len(blocks)} block{plural} trained by the loop engine, because the vectorized one raised: {error}"


def censored(count: int, workload: Mapping[str, Any]) -> str:
    """How values that do not exist entered the verdict."""
    plural = "s have" if count != 1 else " has"
    value = "the worst value of the race"
    if workload["worst"] is not None:
        floor = f"{workload['metric']} {number(workload['worst'])}"
        value = f"{floor} (the worst possible, or an untrained model's), or as {value} if that is worse"
    return f"{count} confirmation trial{plural} no test value (diverged, failed or never chosen): it counts as {value}."


def left_out(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Which contenders' further metrics leave out trials, or None if none do."""
    counts = {row["label"]: max((known["missing"] for known in row["others"].values()), default=0) for row in rows}
    found = [f"{count} of {label}" for label, count in counts.items() if count]
    if not found:
        return None
    return (
        f"Left out are confirmation trials with no finite value, such as those that diverged: {listed(found)}. "
        "In the standings they count as the worst value; what is worst here is not known."
    )


def too_few_studies(studies: int, contenders: int) -> str:
    """Why there are no intervals, and with several contenders no verdict."""
    plural = "studies" if studies != 1 else "study"
    lacking = (
        "so the order is shown without intervals and without a verdict"
        if contenders > 1
        else "so its score is shown without an interval"
    )
    return (
        f"The race had {studies} {plural} per contender. At least {FEWEST_STUDIES} are needed to tell a difference "
        f"from luck, or to say how far luck reaches; {lacking}."
    )


def order_change(change: OrderChange, step: int, steps: int, metric: str) -> str:
    """A pair whose order at the end is not that of before, and what that means for races of another length."""
    before, after = (f"{number(first)} against {number(last)}" for first, last in (change.earlier, change.end))
    return (
        f"The length of the race decides between {change.first} and {change.last}: at step {step} of {steps} "
        f"{change.first} was ahead (validation {metric} {before}), at the end {change.last} is ({after}, in the same "
        f"order). A longer race would probably favour {change.last}, a shorter one {change.first}."
    )


def unflattened(found: Sequence[tuple[str, float, int, int]]) -> str:
    """Contenders that still improve: label, share of the improvement, the step after which it came, and the last."""
    parts = [
        f"{label} ({percent(share)} of its gain came after step {late} of {steps})"
        for label, share, late, steps in found
    ]
    return (
        f"Still improving on the validation split when the race ended: {listed(parts)}. In a longer race "
        f"{'they' if len(found) > 1 else 'it'} would probably score better, and the order might change."
    )


def little_power(studies: int, contenders: int) -> str:
    """Why nothing was decided, where hardly anything could have been."""
    return (
        f"With {studies} studies each, {contenders} contenders differ detectably only if they differ by a lot: this is "
        "a first look. The standard and thorough budgets have 5 and 8 studies."
    )


def target(found: Mapping[str, Any], metric: str) -> str:
    """The value that steps are counted to, and whose it is."""
    whose = "the workload's own" if found["source"] == "workload" else "95 % of what the best contender gained"
    return f"validation {metric} {number(found['value'])} ({whose})"


def costs_unknown(error: str) -> str:
    """Why a column is empty."""
    return f"Step cost and state memory were not measured: {error}"
