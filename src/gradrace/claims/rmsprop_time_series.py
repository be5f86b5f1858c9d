"""The primer on RMSprop: it adapts to the most recent updates, which suits time series."""

from __future__ import annotations

from collections.abc import Mapping

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import better, not_worse
from gradrace.claims._raced import Raced


def races(quick: bool) -> dict[str, Asked]:
    """RMSprop and AdaGrad where the truth drifts, and the five on the weather."""
    few = {"studies": 5, "trials": 8, "seeds": 3}
    return {
        "drift": Asked("drift", ("adagrad", "rmsprop"), {"studies": 8 if quick else 24}),
        "forecast": Asked("forecast", options={**few, "steps": 375} if quick else {}),
    }


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """Better than AdaGrad under drift, and as good as any other on the weather."""
    raced = found["forecast"]
    others = [label for label in raced.labels if label != "rmsprop"]
    parts = len(others) + 1
    return [
        better(found["drift"], "rmsprop", "adagrad", parts),
        *(not_worse(raced, "rmsprop", other, parts) for other in others),
    ]


claim = Claim(
    name="rmsprop-time-series",
    title="RMSprop suits time series",
    source="the primer, on RMSprop: stock prices and weather, with recurrent networks",
    statement="RMSprop adapts to the most recent updates, where AdaGrad's steps only ever get shorter: it is the "
    "choice "
    "for time series.",
    refuted_by="AdaGrad is better where the truth drifts (`drift`), or another optimizer is better on `forecast` by "
    "more "
    "than 5 % of the best one's gain.",
    races=races,
    judge=judge,
)
