"""Every sentence of a summary, in plain words. Numbers are formatted here and nowhere else.

The texts are the catalogue's (``report.words``); which of them is said, and with which values, is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gradrace.outcomes import Outcome, Status
from gradrace.report.words import say
from gradrace.verdict import FEWEST_STUDIES, OrderChange, Reason


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def percent(share: float, lang: str = "en") -> str:
    """A share as a whole number of percent."""
    return say("sentence.percent", lang, value=f"{100 * share:.0f}")


def interval(bounds: Sequence[float] | None) -> str:
    """Both ends, or nothing."""
    return "" if bounds is None else f"[{number(bounds[0])}, {number(bounds[1])}]"


def listed(names: Sequence[str], lang: str = "en") -> str:
    """Names in a row: ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return say("sentence.and", lang, first=", ".join(names[:-1]), last=names[-1])


def nothing_worked(lang: str = "en") -> str:
    """What is said where there is no configuration to recommend."""
    return say("sentence.nothing_worked", lang)


def verdict(
    leader: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    workload: Mapping[str, Any],
    tested: bool,
    lang: str = "en",
) -> str:
    """The verdict in a sentence or two."""
    name = leader["label"]
    others = [row["label"] for row in rows if row["label"] != name]
    tied = [label for label in leader["tied_with"] if label in others]
    beaten = [label for label in others if label not in tied]
    if not others:
        found = "alone"
    elif not tested:
        found = "untested"
    elif not tied:
        found = "winner"
    else:
        found = "partly" if beaten else "tie"
    return say(
        f"sentence.verdict.{found}",
        lang,
        name=name,
        workload=workload["name"],
        metric=workload["metric"],
        value=number(leader["test"]["mean"]),
        beaten=listed(beaten, lang),
        tied=listed(tied, lang),
    )


def unfinished(race: str, status: str, outcomes: int, lang: str = "en") -> str:
    """How far a race is that has no verdict yet."""
    key = "sentence.stopped" if status == "interrupted" else "sentence.unfinished"
    return say(key, lang, count=outcomes, race=race)


def inclusion(found: Sequence[tuple[str, str]], lang: str = "en") -> list[str]:
    """One sentence for each special case that beat its general form."""
    return [say("sentence.inclusion.lost", lang, special=special, general=general) for special, general in found]


def reason(found: Reason | None, studies: int, lang: str = "en") -> str | None:
    """What a decision rests on, where it is not the t test."""
    return None if found is None else say(f"sentence.reason.{found}", lang, studies=studies, fewest=FEWEST_STUDIES)


def edges(
    extensions: Sequence[Mapping[str, Any]],
    choices: Mapping[tuple[str, int], Mapping[str, Any]],
    numbers: Mapping[str, Any],
    lang: str = "en",
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
            say(
                "sentence.edge.grown",
                lang,
                label=label,
                count=len(studies),
                studies=numbers["studies"],
                name=name,
                side=say(f"sentence.edge.{side}", lang),
                low=number(space["low"]),
                high=number(space["high"]),
                beyond=beyond,
            )
        )
    return found


def edges_left(
    left: Sequence[tuple[str, int, str, str]], contenders: Mapping[str, Any], studies: int, lang: str = "en"
) -> list[str]:
    """Contenders whose range may still be too narrow when their budget is spent."""
    counts = Counter((label, dimension, side) for label, _, dimension, side in left)
    found = []
    for (label, dimension, side), count in counts.items():
        name = scaled_name(dimension, contenders[label]["dimensions"][dimension])
        edge = say(f"sentence.edge.{side}", lang)
        found.append(say("sentence.edge.left", lang, label=label, count=count, studies=studies, name=name, side=edge))
    return found


def scaled_name(name: str, space: Mapping[str, Any]) -> str:
    """A hyperparameter as its search space counts it: momentum is searched as 1 - momentum."""
    return f"1 - {name}" if space.get("one_minus") else name


def without_choice(rows: Sequence[Mapping[str, Any]], studies: int, lang: str = "en") -> list[str]:
    """Contenders of which some study found nothing that works."""
    return [
        say(
            f"sentence.no_choice.{'all' if count == studies else 'some'}",
            lang,
            label=label,
            count=count,
            studies=studies,
        )
        for label, count in ((row["label"], row["studies_without_choice"]) for row in rows)
        if count
    ]


def failures(outcomes: Sequence[Outcome], lang: str = "en") -> list[str]:
    """Trials that ended in an error, with the commonest error of each contender."""
    unknown = say("sentence.failed.unknown", lang)
    failed: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if outcome.status is Status.FAILED:
            lines = (outcome.error or unknown).splitlines()
            failed.setdefault(outcome.contender, Counter())[lines[-1] if lines else unknown] += 1
    return [
        say(
            "sentence.failed.most",
            lang,
            label=label,
            count=sum(errors.values()),
            error=errors.most_common(1)[0][0],
        )
        for label, errors in sorted(failed.items())
    ]


def little_memory(blocks: Mapping[str, int], lang: str = "en") -> str:
    """Blocks for which there was not memory enough, with the fewest trials at a time."""
    return say(f"sentence.memory.{_form(len(blocks))}", lang, count=len(blocks), fewest=min(blocks.values()))


def fallbacks(blocks: Mapping[str, str], lang: str = "en") -> str:
    """Blocks that the loop engine trained in another's place, with the commonest error."""
    error, _ = Counter(blocks.values()).most_common(1)[0]
    return say(f"sentence.fallback.{_form(len(blocks))}", lang, count=len(blocks), error=error)


def censored(count: int, workload: Mapping[str, Any], lang: str = "en") -> str:
    """How values that do not exist entered the verdict."""
    worst = "race" if workload["worst"] is None else "possible"
    value = say(f"sentence.censored.{worst}", lang, metric=workload["metric"], value=number(workload["worst"]))
    return say(f"sentence.censored.{_form(count)}", lang, count=count, value=value)


def left_out(rows: Sequence[Mapping[str, Any]], lang: str = "en") -> str | None:
    """Which contenders' further metrics leave out trials, or None if none do."""
    counts = {row["label"]: max((known["missing"] for known in row["others"].values()), default=0) for row in rows}
    found = [say("sentence.left_out.count", lang, count=count, label=label) for label, count in counts.items() if count]
    return say("sentence.left_out.all", lang, counts=listed(found, lang)) if found else None


def too_few_studies(studies: int, contenders: int, lang: str = "en") -> str:
    """Why there are no intervals, and with several contenders no verdict."""
    lacking = say(f"sentence.few_studies.{'verdict' if contenders > 1 else 'interval'}", lang)
    form = _form(studies)
    return say(f"sentence.few_studies.{form}", lang, studies=studies, fewest=FEWEST_STUDIES, lacking=lacking)


def order_change(change: OrderChange, step: int, steps: int, metric: str, lang: str = "en") -> str:
    """A pair whose order at the end is not that of before, and what that means for races of another length."""
    (early_first, early_last), (end_first, end_last) = change.earlier, change.end
    return say(
        "sentence.length.order",
        lang,
        first=change.first,
        last=change.last,
        step=step,
        steps=steps,
        metric=metric,
        early_first=number(early_first),
        early_last=number(early_last),
        end_first=number(end_first),
        end_last=number(end_last),
    )


def unflattened(found: Sequence[tuple[str, float, int, int]], lang: str = "en") -> str:
    """Contenders that still improve: label, share of the improvement, the step after which it came, and the last."""
    parts = [
        say("sentence.length.share", lang, label=label, share=percent(share, lang), late=late, steps=steps)
        for label, share, late, steps in found
    ]
    return say(f"sentence.length.{_form(len(found))}", lang, contenders=listed(parts, lang))


def little_power(studies: int, contenders: int, lang: str = "en") -> str:
    """Why nothing was decided, where hardly anything could have been."""
    return say("sentence.few_studies.power", lang, studies=studies, contenders=contenders)


def target(found: Mapping[str, Any], metric: str, lang: str = "en") -> str:
    """The value that steps are counted to, and whose it is."""
    whose = "own" if found["source"] == "workload" else "gained"
    return say(f"sentence.target.{whose}", lang, metric=metric, value=number(found["value"]))


def costs_unknown(error: str, lang: str = "en") -> str:
    """Why a column is empty."""
    return say("sentence.costs_unknown", lang, error=error)


def _form(count: int) -> str:
    """Which form of a sentence goes with a count."""
    return "one" if count == 1 else "other"
