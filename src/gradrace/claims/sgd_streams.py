"""The primer on SGD: cheap, fast at each step, and fit for streams."""

from __future__ import annotations

from collections.abc import Mapping

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import not_worse
from gradrace.claims._raced import Raced
from gradrace.report.sentences import listed, number

LONGER = 1.05
"""A step that takes up to this many times as long is not slower: as exactly as steps are timed."""


def races(quick: bool) -> dict[str, Asked]:
    """The five on a stream of clicks, each batch scored before it is learnt."""
    return {"clicks": Asked("clicks", options={"studies": 5, "trials": 8, "seeds": 2, "steps": 1093} if quick else {})}


def cheap(raced: Raced) -> Check:
    """Nobody remembers less between steps."""
    states = {label: raced.row(label)["state_bytes_per_parameter"] for label in raced.labels}
    part = "no contender needs less memory between steps than sgd"
    if any(state is None for state in states.values()):
        return Check(part, None, "state memory was not measured", "A race whose steps can be timed apart.")
    evidence = f"bytes of state for each parameter: {listed([f'{label} {number(b)}' for label, b in states.items()])}"
    return Check(part, states["sgd"] <= min(states.values()), evidence, numbers=states)


def fast(raced: Raced) -> Check:
    """Nobody's step is faster."""
    seconds = {label: raced.row(label)["step_seconds"] for label in raced.labels}
    part = f"no contender's training step is faster than sgd's (by more than a factor of {LONGER})"
    if any(second is None for second in seconds.values()):
        return Check(part, None, "step times were not measured", "A race whose steps can be timed apart.")
    times = {label: second * 1e6 for label, second in seconds.items()}
    evidence = f"microseconds a step: {listed([f'{label} {time:.0f}' for label, time in times.items()])}"
    return Check(part, times["sgd"] <= LONGER * min(times.values()), evidence, numbers=times)


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Cheap, fast, and as good on the stream as any other."""
    raced = found["clicks"]
    others = [label for label in raced.labels if label != "sgd"]
    return [cheap(raced), fast(raced), *(not_worse(raced, "sgd", other, parts=len(others)) for other in others)]


claim = Claim(
    name="sgd-streams",
    title="SGD is cheap, fast at each step, and fit for streams",
    source="the primer, on SGD: a recommender that takes in customers' clicks in real time",
    statement="SGD looks at data one piece at a time and updates quickly, which suits a stream of clicks.",
    refuted_by="Another optimizer needs less memory or less time for a step, or learns the stream of `clicks` better "
    "by "
    "more than 5 % of what the best one gains over an untrained model.",
    races=races,
    judge=judge,
)
