"""Search spaces: how a quasi-random coordinate in [0, 1) becomes the value of a hyperparameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gradrace.errors import SpecError, refuse


@dataclass(frozen=True)
class LogUniform:
    """A positive value whose logarithm is uniform: ``low * (high / low) ** u``.

    Args:
        low: the least value; above 0.
        high: the greatest; above ``low``.
        one_minus: tune ``1 - value`` on this scale instead (momentum 0.9 and 0.99 are then as far apart as they act).
        from_trials: tune this hyperparameter only in studies with at least this many trials; else its default stays.
        limit: no extension of the range goes beyond this value (of the scale that is sampled).
    """

    low: float
    high: float
    one_minus: bool = False
    from_trials: int = 1
    limit: float = math.inf

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)
        if self.low <= 0:
            refuse(SpecError(f"A log scale cannot touch zero: low is {self.low}, and must be above 0."))
        if self.one_minus and self.high > 1:
            refuse(SpecError(f"1 - value cannot be above 1, or the value is negative: high is {self.high}."))

    def value(self, u: float) -> float:
        """The hyperparameter at coordinate ``u`` in [0, 1]."""
        sampled = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        return 1.0 - sampled if self.one_minus else sampled

    def coordinate(self, value: float) -> float:
        """Where ``value`` lies on the range: 0 at ``low``, 1 at ``high``."""
        sampled = 1.0 - value if self.one_minus else value
        return (math.log(sampled) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def extended(self, side: str) -> LogUniform | None:
        """The decade beyond the ``"low"`` or ``"high"`` edge, or None where a limit leaves no room."""
        if side == "low":
            return replace(self, low=self.low / 10, high=self.low)
        high = min(self.high * 10, self.limit, 1.0 if self.one_minus else math.inf)
        return replace(self, low=self.high, high=high) if high > self.high else None

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON types."""
        limit = None if self.limit == math.inf else self.limit
        bounds = {"low": self.low, "high": self.high, "one_minus": self.one_minus}
        return {"scale": "log", **bounds, "from_trials": self.from_trials, "limit": limit}


@dataclass(frozen=True)
class Uniform:
    """A value uniform between ``low`` and ``high``.

    Args:
        low: the least value.
        high: the greatest; above ``low``.
        from_trials: tune this hyperparameter only in studies with at least this many trials; else its default stays.
    """

    low: float
    high: float
    from_trials: int = 1

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)

    def value(self, u: float) -> float:
        """The hyperparameter at coordinate ``u`` in [0, 1]."""
        return self.low + u * (self.high - self.low)

    def coordinate(self, value: float) -> float:
        """Where ``value`` lies on the range: 0 at ``low``, 1 at ``high``."""
        return (value - self.low) / (self.high - self.low)

    def extended(self, side: str) -> None:
        """A linear range has no decade to extend by."""
        return

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON types."""
        return {"scale": "linear", "low": self.low, "high": self.high, "from_trials": self.from_trials}


@dataclass(frozen=True)
class Choice:
    """One of a few numbers, each with equal share of the coordinate.

    Args:
        values: the numbers; at least one.
        from_trials: tune this hyperparameter only in studies with at least this many trials; else its default stays.
    """

    values: tuple[float, ...]
    from_trials: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            refuse(SpecError("A Choice needs at least one value, and got none."))

    def value(self, u: float) -> float:
        """The hyperparameter at coordinate ``u`` in [0, 1]."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def coordinate(self, value: float) -> float:
        """The middle of the value's share; a choice has no edge."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def extended(self, side: str) -> None:
        """A choice has no edge to extend."""
        return

    def to_dict(self) -> dict[str, Any]:
        """The space as JSON types."""
        return {"scale": "choice", "values": list(self.values), "from_trials": self.from_trials}


Dimension = LogUniform | Uniform | Choice


def space_from_dict(values: Mapping[str, Any]) -> Dimension:
    """The space that ``to_dict`` described."""
    rest = {name: value for name, value in values.items() if name != "scale"}
    match values["scale"]:
        case "log":
            return LogUniform(**{**rest, "limit": math.inf if rest["limit"] is None else rest["limit"]})
        case "linear":
            return Uniform(**rest)
        case _:
            return Choice(**rest)


def _check_range(low: float, high: float) -> None:
    try:
        finite = math.isfinite(low) and math.isfinite(high)
    except OverflowError:  # a whole number that no float reaches
        finite = False
    if not finite:
        refuse(SpecError(f"The bounds of a search space must be finite numbers, but are {low} and {high}."))
    elif low >= high:
        refuse(
            SpecError(f"The lower bound of a search space must be below the upper one, but they are {low} and {high}.")
        )
