"""For each claim a made-up world in which it holds, ways to refute each of its parts, and one that leaves it open.

A world is the races that the claim asks for in full, with outcomes made up. Less is better unless it says otherwise; an
untrained model has 10 and the best contender about 0, so that 5 % of the gain is 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from made_races import STEPS, around, made, tables

from gradrace.claims import Raced
from gradrace.claims._quadratics import KAPPAS, at_best, in_theory
from gradrace.claims.defaults import MANY, WORKLOADS
from gradrace.claims.inclusion import WORKLOADS as INCLUDED
from gradrace.claims.inclusion import contenders
from gradrace.race.defaults import DEFAULT_CONTENDERS as FIVE
from gradrace.workloads import suite

STUDIES = 5
LUCK = 5.0
"""A spread that hides all differences of these worlds."""

Found = dict[str, Raced]


@dataclass(frozen=True)
class World:
    """How to make up a claim's races.

    Attributes:
        make: them, such that the claim holds; what it takes changes that.
        refuting: changes under which it does not. Together they refute every part of the claim.
        leaves_open: changes under which it cannot be told.
    """

    make: Callable[..., Found]
    refuting: Sequence[Mapping[str, Any]]
    leaves_open: Mapping[str, Any]


def five(
    label: str, mean: float = 0.0, rival: str | None = None, rest: float = 1.0, spread: float = 0.01
) -> dict[str, np.ndarray]:
    """Scores of the five: one has ``mean``, a rival 0, and all others ``rest``."""
    means = dict.fromkeys(FIVE, rest) | ({} if rival is None else {rival: 0.0}) | {label: mean}
    return tables(means, spread)


def behind_each(label: str) -> list[dict[str, Any]]:
    """Changes to a world of the five in which each of the others in turn is ahead of ``label``."""
    return [{"mean": 2.0, "rival": other} for other in FIVE if other != label]


# --- quadratics ---


def quadratics(
    sgd: float = 1.0, momentum: float = 0.5, held: Mapping[str, float] | None = None, spread: float = 0.01
) -> Found:
    """Steps that grow by such powers of the condition number when tuned, and by such factors of theory when held."""
    found = {}
    for label, power in (("sgd", sgd), ("momentum", momentum)):
        luck = around(0.0, spread, luck=len(label))[:, 0]
        for kappa in KAPPAS:
            factors = (held or {}).get(label, 1.0) * np.exp(luck)
            steps = {label: kappa ** (power + luck), at_best(label): in_theory(label, kappa) * factors}
            found[f"{label} at {kappa:g}"] = falling(steps)
    return found


def falling(steps_per_decade: Mapping[str, np.ndarray]) -> Raced:
    """Losses that take so many steps [K] for a factor of ten: log10 of them at the half and at the end, two seeds."""
    curves = {
        label: np.stack([np.stack([5 - STEPS / 2 / by_study, 5 - STEPS / by_study], axis=1)] * 2, axis=1)
        for label, by_study in steps_per_decade.items()
    }
    return made({label: values[:, :, -1] for label, values in curves.items()}, curves=curves)


def momentum_accelerates(momentum_at: int = 20, sgd_at: int = 60, **powers: Any) -> Found:
    """The same, and a game of which the target is reached at such steps, give or take some."""
    few = np.array([-4, 1, 3, 0, 2])
    arrives = dict.fromkeys(FIVE, 50 + few) | {"sgd": sgd_at + few, "momentum": momentum_at - few}
    return {**quadratics(**powers), "game": game(arrives)}


def game(arrives: Mapping[str, Sequence[int] | np.ndarray]) -> Raced:
    """More is better: 0 before the step [K] at which the target of 0.5 is reached, then 1. Two seeds."""
    steps = np.arange(1, STEPS + 1)
    curves = {
        label: np.stack([np.stack([np.where(steps >= step, 1.0, 0.0)] * 2) for step in by_study])
        for label, by_study in arrives.items()
    }
    return made({label: of[:, :, -1] for label, of in curves.items()}, direction="max", target=0.5, curves=curves)


# --- the primer ---


def sgd_streams(seconds: float = 1e-6, state: float = 0.0, measured: bool = True, **scores: Any) -> Found:
    """The costs of SGD beside 2 microseconds and 4 bytes of the others."""
    costs = dict.fromkeys(FIVE, (2e-6, 4.0)) | {"sgd": (seconds, state)}
    return {"clicks": made(five("sgd", **scores), name="clicks", untrained=10.0, costs=costs if measured else {})}


def rmsprop(drift: float = 1.0, spread: float = 0.01, **scores: Any) -> Found:
    """AdaGrad is behind RMSprop by ``drift`` where the truth turns."""
    turning = tables({"adagrad": drift, "rmsprop": 0.0}, spread)
    return {
        "drift": made(turning, name="drift", untrained=10.0),
        "forecast": made(five("rmsprop", spread=spread, **scores), name="forecast", untrained=10.0),
    }


def rare_words(on_rare: float = 1.0, on_common: float = 0.2, spread: float = 0.01, **scores: Any) -> Found:
    """AdaGrad's lead over SGD on the articles of rare words, and on those of common ones; all others are like SGD."""
    leads = {tenth: on_rare if tenth <= 3 else on_common if tenth >= 8 else 0.5 for tenth in range(1, 11)}
    others = {
        label: {
            f"loss decile {tenth}": around(3.0 - lead * (label == "adagrad"), spread, luck=10 * place + tenth)
            for tenth, lead in leads.items()
        }
        for place, label in enumerate(FIVE)
    }
    table = five("adagrad", spread=spread, **scores)
    return {"rare-words": made(table, name="rare-words", untrained=10.0, others=others)}


def everywhere(**scores: Any) -> Found:
    """The same on every workload of the primer."""
    return {name: made(five("adam", **scores), name=name, untrained=10.0) for name in suite("primer")}


# --- published ---


def sparse_features(sparse: float = 1.0, dense: float = 0.2, spread: float = 0.01) -> Found:
    """AdaGrad's lead over SGD where features are rare, and in the control."""
    leads = {"sparse": sparse, "dense": dense}
    return {
        name: made(tables({"adagrad": 1.0, "sgd": 1.0 + lead}, spread, luck=len(name))) for name, lead in leads.items()
    }


def heavy_tails(
    adam: float = 1.0,
    sign: float = 1.0,
    rare: float = 2.0,
    common: float = 0.2,
    balanced: float = 0.1,
    spread: float = 0.01,
) -> Found:
    """Leads over SGD: Adam's and sign descent's, Adam's on rare and on common classes, and in the control."""
    overall = {"sgd": 0.0, "adam": adam, "sign descent": sign}
    groups = {"2 samples": rare, "16 samples": 0.5, "128 samples": common}
    others = {
        label: {
            group: around(3.0 - lead * (label == "adam"), spread, luck=10 * place + len(group))
            for group, lead in groups.items()
        }
        for place, label in enumerate(overall)
    }
    scores = tables({label: 3.0 - lead for label, lead in overall.items()}, spread)
    control = tables({"sgd": 3.0, "adam": 3.0 - balanced}, spread, luck=3)
    return {
        "imbalanced": made(scores, name="imbalance", others=others),
        "balanced": made(control, name="imbalance-balanced"),
    }


def not_noise(smallest: float = 1.0, largest: float = 1.0, spread: float = 0.01) -> Found:
    """SGD less Adam at the smallest and the largest batch."""
    gaps = {4: smallest, 16: (smallest + largest) / 2, 64: largest}
    return {
        f"batch {size}": made(tables({"sgd": 3.0 + gap, "adam": 3.0}, spread, luck=size)) for size, gap in gaps.items()
    }


def inclusion(behind: str | None = None, spread: float = 0.01) -> Found:
    """All alike, or one of the contenders far behind on one of the workloads."""
    found = {}
    for name in INCLUDED:
        means = {contender.label: 2.0 * (behind == f"{contender.label} on {name}") for contender in contenders()}
        found[name] = made(tables(means, spread), name=name, untrained=10.0)
    return found


def low_budgets(best: Sequence[str] = ("adam",)) -> Found:
    """On each workload in turn one of ``best`` has about half of its eight configurations ahead of all others."""
    found = {}
    for place, name in enumerate(suite("primer")):
        ahead, good = best[place % len(best)], 4 + place % 3  # chances differ between workloads
        tuning = {label: np.tile(10 + np.arange(8.0), (3, 1)) for label in FIVE}
        tuning[ahead][:, :good] -= 10
        found[name] = made(tables(dict.fromkeys(FIVE, 1.0), studies=3), name=name, tuning=tuning)
    return found


def defaults(pick: float = 0.0, spread: float = 0.01) -> Found:
    """Adam tuned has 0; of the defaults Lion's is picked and has ``pick`` on the test split, all others have 8."""
    found = {}
    for name in WORKLOADS:
        sign = -1 if name == "digits" else 1  # where more is better
        of_race: dict[str, Any] = {"name": name, "untrained": sign * 10.0, "direction": "max" if sign < 0 else "min"}
        tuning = {label: np.full((STUDIES, 1), sign * (5.0 - (label == "lion"))) for label in MANY}
        scores = {label: sign * of for label, of in tables(dict.fromkeys(MANY, 8.0) | {"lion": pick}, spread).items()}
        found[f"defaults on {name}"] = made(scores, tuning=tuning, **of_race)
        found[f"tuned on {name}"] = made({"adam": sign * around(0.0, spread, luck=99)}, **of_race)
    return found


WORLDS = {
    "acceleration": World(
        quadratics,
        [{"sgd": 0.5}, {"momentum": 1.0}, {"held": {"sgd": 3.0}}, {"held": {"momentum": 0.3}}],
        {"spread": 1.0},
    ),
    "adagrad-rare-words": World(
        rare_words, [*behind_each("adagrad"), {"on_rare": -1.0}, {"on_common": 2.0}], {"spread": LUCK}
    ),
    "adam-everywhere": World(everywhere, [{"mean": 2.0}, {"mean": 0.4, "rest": 0.1}], {"mean": 1.0, "spread": LUCK}),
    "defaults": World(defaults, [{"pick": 2.0}], {"pick": 0.5, "spread": LUCK}),
    "heavy-tailed-classes": World(
        heavy_tails, [{"adam": -1.0}, {"sign": -1.0}, {"rare": 0.1}, {"balanced": 2.0}], {"spread": LUCK}
    ),
    "inclusion": World(
        inclusion,
        [{"behind": f"{label} on {name}"} for label in ("momentum", "adam, eps tuned") for name in INCLUDED],
        {"spread": LUCK},
    ),
    "low-budgets": World(low_budgets, [{"best": ("sgd",)}], {"best": ("adam", "sgd", "rmsprop")}),
    "momentum-accelerates": World(
        momentum_accelerates,
        [{"momentum": 1.0}, {"sgd": 0.5}, {"momentum_at": 60, "sgd_at": 30}],
        {"momentum_at": 50, "sgd_at": 51},
    ),
    "not-noise": World(not_noise, [{"largest": -1.0}, {"largest": 0.3}], {"spread": LUCK}),
    "rmsprop-time-series": World(rmsprop, [{"drift": -1.0}, *behind_each("rmsprop")], {"spread": LUCK}),
    "sgd-streams": World(sgd_streams, [{"seconds": 3e-6}, {"state": 8.0}, *behind_each("sgd")], {"measured": False}),
    "sparse-features": World(sparse_features, [{"sparse": -1.0}, {"dense": 2.0}], {"spread": LUCK}),
}
