"""Every claim that is discovered: its facts, its races, and that it can hold, fail and stay open."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from made_races import around, made, tables
from made_worlds import WORLDS, falling, game

from gradrace.check import Finding
from gradrace.claims import (
    Check,
    Claim,
    Decided,
    Raced,
    adam_everywhere,
    check_claim,
    claim,
    claims,
    decide,
    defaults,
    low_budgets,
    momentum_accelerates,
    sgd_streams,
)
from gradrace.claims import _quadratics as theory
from gradrace.claims._settle import as_entry
from gradrace.errors import SpecError
from gradrace.workloads import suite

every_claim = pytest.mark.parametrize("known", claims().values(), ids=lambda known: known.name)


def judged(name: str, **changes: Any) -> tuple[Check, ...]:
    """The parts of a claim in its made-up world."""
    return tuple(claim(name).judge(WORLDS[name].make(**changes)))


# --- facts and races ---


@every_claim
def test_it_passes_what_every_claim_is_held_to(known: Claim) -> None:
    assert claim(known.name) is known
    assert check_claim(known) == [Finding("facts", True), Finding("races", True)]


def test_an_unknown_claim_is_told() -> None:
    with pytest.raises(SpecError, match=r"There is no claim 'incluson'\. Did you mean 'inclusion'\? Known: "):
        claim("incluson")


@every_claim
def test_its_races_differ_by_their_seed(known: Claim) -> None:
    quick, full = known.races(True), known.races(False)
    for asked in (*quick.values(), *full.values()):
        entry = as_entry(asked, 7)
        assert entry.spec.seed == 7
        labels = [contender.label for contender in entry.contenders]
        assert len(set(labels)) == len(labels)
        assert entry.id == as_entry(asked, 7).id != as_entry(asked, 8).id


@pytest.mark.parametrize("quick", [True, False])
def test_claims_that_need_one_race_ask_for_the_same(quick: bool) -> None:
    ids = {
        name: {key: as_entry(asked, 0).id for key, asked in claim(name).races(quick).items()}
        for name in ("acceleration", "momentum-accelerates", "adam-everywhere", "low-budgets")
    }
    assert ids["acceleration"].items() <= ids["momentum-accelerates"].items()
    assert ids["adam-everywhere"] == ids["low-budgets"]
    assert ids["momentum-accelerates"]["game"] == ids["adam-everywhere"]["game"]
    assert list(ids["low-budgets"]) == list(suite("primer"))


# --- the decision follows from the races ---


def test_every_claim_has_made_up_worlds() -> None:
    assert set(WORLDS) == set(claims())


@every_claim
def test_a_made_up_world_has_the_races_that_are_asked_for(known: Claim) -> None:
    found, asked = WORLDS[known.name].make(), known.races(False)
    assert set(found) == set(asked)
    for name, raced in found.items():
        assert raced.labels == [contender.label for contender in as_entry(asked[name], 0).contenders]


def is_json(checks: tuple[Check, ...]) -> bool:
    return all(json.loads(json.dumps(dict(check.numbers), allow_nan=False)) == check.numbers for check in checks)


@every_claim
def test_it_can_hold(known: Claim) -> None:
    checks = judged(known.name)
    assert decide(checks) is Decided.HOLDS
    assert is_json(checks)
    assert len({check.part for check in checks}) == len(checks)


@every_claim
def test_each_of_its_parts_can_refute_it(known: Claim) -> None:
    refuted, parts = set(), 0
    for changes in WORLDS[known.name].refuting:
        checks = judged(known.name, **changes)
        assert decide(checks) is Decided.FAILS, changes
        assert is_json(checks)
        refuted |= {place for place, check in enumerate(checks) if check.so is False}
        parts = len(checks)
    assert refuted == set(range(parts))


@every_claim
def test_it_can_be_left_open(known: Claim) -> None:
    checks = judged(known.name, **WORLDS[known.name].leaves_open)
    assert decide(checks) is Decided.UNDECIDED
    assert is_json(checks)
    assert all(check.more for check in checks if check.so is None)


# --- quadratics ---


def test_the_best_rates_by_hand() -> None:
    # kappa 100: curvatures from 0.1 to 10, whose roots add up to 0.3162 + 3.1623 = 3.4785.
    assert theory.best_rates("sgd", 100) == {"lr": pytest.approx(2 / 10.1)}
    assert theory.best_rates("momentum", 100) == {
        "lr": pytest.approx(4 / 3.4785**2, rel=1e-4),
        "momentum": pytest.approx((9 / 11) ** 2),
    }


def test_the_best_rates_shrink_the_distance_as_theory_says() -> None:
    lr = theory.best_rates("sgd", 100)["lr"]
    # One step of gradient descent multiplies the distance along curvature h by 1 - lr h.
    assert [abs(1 - lr * h) for h in (0.1, 10)] == pytest.approx([99 / 101] * 2)
    rates = theory.best_rates("momentum", 100)
    for h in (0.1, 0.7, 10):
        # The same of heavy ball, x[t+1] = x[t] - lr h x[t] + momentum (x[t] - x[t-1]): eigenvalues of size 9 / 11.
        step = np.array([[1 + rates["momentum"] - rates["lr"] * h, -rates["momentum"]], [1.0, 0.0]])
        assert np.abs(np.linalg.eigvals(step)).max() == pytest.approx(9 / 11, rel=1e-6)


def test_steps_per_decade_in_theory_by_hand() -> None:
    # The loss shrinks by (99 / 101)^2 a step: ln 10 / (2 ln(101 / 99)) = 2.302585 / 0.0400013.
    assert theory.in_theory("sgd", 100) == pytest.approx(57.563, abs=1e-3)
    # And by (9 / 11)^2: 2.302585 / (2 * 0.2006707).
    assert theory.in_theory("momentum", 100) == pytest.approx(5.7372, abs=1e-4)
    assert 10 ** (-1 / theory.in_theory("sgd", 100)) == pytest.approx((99 / 101) ** 2)
    # For large condition numbers ln 10 / 4 times kappa, or its root: a hundredfold kappa takes ten times the steps.
    assert theory.in_theory("momentum", 1e6) / theory.in_theory("momentum", 1e4) == pytest.approx(10, rel=1e-3)


def test_steps_per_decade_are_read_off_the_curves() -> None:
    steps = {kappa: np.array([10.0, 20.0, 40.0]) * kappa for kappa in theory.KAPPAS}
    found = {f"sgd at {kappa:g}": falling({"sgd": of, theory.at_best("sgd"): of / 2}) for kappa, of in steps.items()}
    read = theory.steps_per_decade(found, "sgd")
    assert read == pytest.approx(np.stack(list(steps.values()), axis=1))
    assert theory.steps_per_decade(found, "sgd", held=True) == pytest.approx(read / 2)
    assert theory.exponents(read) == pytest.approx([1.0] * 3)
    assert theory.exponents(read**0.5) == pytest.approx([0.5] * 3)


def test_a_study_that_does_not_fall_or_diverged_has_no_rate() -> None:
    curves = np.array([[[3.0, 2.0]] * 2, [[2.0, 3.0]] * 2, [[2.0, 2.0]] * 2, [[3.0, 2.0], [3.0, np.nan]]])
    raced = made({"sgd": curves[:, :, -1]}, curves={"sgd": curves})
    read = theory.steps_per_decade({f"sgd at {kappa:g}": raced for kappa in theory.KAPPAS}, "sgd")
    assert read[0] == pytest.approx([50.0] * len(theory.KAPPAS))  # one decade in the second half of 100 steps
    assert np.isnan(read[1:]).all()
    assert np.isnan(theory.exponents(read)).tolist() == [False, True, True, True]


def test_optimizers_that_diverge_leave_the_powers_open_and_do_not_break() -> None:
    found = WORLDS["momentum-accelerates"].make()
    nowhere = np.full((5, 2), np.nan)
    for kappa in theory.KAPPAS:
        found[f"sgd at {kappa:g}"] = made({"sgd": nowhere, theory.at_best("sgd"): nowhere}, untrained=2.0)
    checks = tuple(claim("momentum-accelerates").judge(found))
    assert [check.so for check in checks] == [True, None, True]
    assert checks[1].evidence == "only 0 of 5 studies have a value"
    assert is_json(checks)
    without_game = {name: raced for name, raced in found.items() if name != "game"}
    assert [check.so for check in claim("acceleration").judge(without_game)] == [None, None, True]


# --- helpers of single claims, by hand ---


def test_steps_to_the_target_count_the_whole_length_where_it_is_not_reached() -> None:
    raced = game({"sgd": [20, 101, 70], "momentum": [1, 100, 50]})
    assert momentum_accelerates.steps_to_target(raced, "sgd").tolist() == [20, 100, 70]
    assert momentum_accelerates.steps_to_target(raced, "momentum").tolist() == [1, 100, 50]
    curves = {"sgd": np.array([[[9.0, 3.0, 5.0, 2.0], [9.0, 9.0, 9.0, np.nan]]])}
    falling_loss = made({"sgd": curves["sgd"][:, :, -1]}, target=4.0, curves=curves)
    # Of the seeds one arrives at step 50, which it may leave again, and one never does: (50 + 100) / 2.
    assert momentum_accelerates.steps_to_target(falling_loss, "sgd").tolist() == [75]


def world_of_adam(*means: float) -> dict[str, Raced]:
    """Workloads on which Adam has such means, the best other contender 0 and the margin 0.5. NaN: it cannot be told."""
    found = {}
    for place, mean in enumerate(means):
        spread = 0.01 if math.isfinite(mean) else 5.0
        scores = tables({"sgd": 0.0, "momentum": 1.0, "adam": np.nan_to_num(mean)}, spread)
        found[f"w{place}"] = made(scores, name=f"w{place}", untrained=10.0)
    return found


@pytest.mark.parametrize(
    ("means", "so"),
    [
        ([0.1, 0.1, 0.1, 2.0], True),
        ([0.1, 0.1, 2.0, 2.0], False),
        ([0.1, 0.1, 0.1, math.nan], True),
        ([0.1, 0.1, 2.0, math.nan], None),
        ([0.1, 2.0, 2.0, math.nan], False),
        ([math.nan] * 4, None),
    ],
)
def test_nearly_everywhere_is_three_workloads_of_four(means: list[float], so: bool | None) -> None:
    found = world_of_adam(*means)
    kinds = [None if math.isnan(mean) else mean < 1 for mean in means]
    assert list(adam_everywhere.places(found, "adam").values()) == kinds
    assert adam_everywhere.judge(found)[0].so is so


def test_ranks_need_three_workloads_and_see_only_order() -> None:
    few = adam_everywhere.rank(world_of_adam(0.1, 0.1))
    assert few.so is None
    assert few.evidence == "Too few workloads for a test of ranks: 2 given, at least 3 needed."
    # Adam second of three on each: 1 behind. The critical difference of 3 is 2.343 sqrt(3 * 4 / (6 W)), and of 8
    # workloads 1.17, of 12 0.957 (Demšar 2006, table 5).
    assert adam_everywhere.rank(world_of_adam(*[0.1] * 8)).so is True
    check = adam_everywhere.rank(world_of_adam(*[0.1] * 12))
    assert check.so is False
    assert check.evidence == (
        "mean ranks: sgd 1.00, adam 2.00 and momentum 3.00; critical difference 0.96 over 12 workloads"
    )


def test_the_chance_of_being_best_by_hand() -> None:
    tuning = {"adam": [[0.0, 3.0], [0.0, np.nan]], "sgd": [[1.0, 2.0], [1.0, 2.0]]}
    raced = made({"adam": around(0, studies=2), "sgd": around(0, studies=2)}, tuning=tuning)
    # With one of two drawn, Adam's 0 wins against both of SGD's, its 3 (or what diverged) against none; with both it
    # always does.
    assert low_budgets.chances(raced, 1) == {"adam": pytest.approx(0.5), "sgd": pytest.approx(0.5)}
    assert low_budgets.chances(raced, 2) == {"adam": pytest.approx(1.0), "sgd": pytest.approx(0.0)}


def test_low_budgets_count_every_contender_that_might_have_been_the_rival() -> None:
    checks = claim("low-budgets").judge(WORLDS["low-budgets"].make(best=("sgd",)))
    assert all("best other contender (sgd)" in check.part for check in checks)
    low, high = checks[0].numbers["interval"]
    chances = np.array([of["sgd"] - of["adam"] for of in checks[0].numbers["by workload"].values()])
    count = len(suite("primer"))
    assert len(chances) == count
    # 3 budgets and 4 rivals: level 1 - 0.05 / 12, and t of 10 degrees of freedom is 3.716 at 0.05 / 24.
    assert count == 11
    half = 3.7162 * chances.std(ddof=1) / math.sqrt(count)
    assert [low, high] == pytest.approx([chances.mean() - half, chances.mean() + half], abs=1e-3)


def test_the_pick_of_the_defaults_is_made_on_the_validation_split() -> None:
    scores = {"sgd": np.array([[1.0], [2.0], [3.0]]), "adam": np.array([[4.0], [5.0], [6.0]])}
    tuning = {"sgd": [[0.5], [0.9], [np.nan]], "adam": [[0.7], [np.nan], [np.nan]]}
    chosen, values = defaults.picked(made(scores, tuning=tuning, direction="max"))
    assert chosen == ["adam", "sgd", "sgd"]  # where nothing worked, the first
    assert values.tolist() == [4.0, 2.0, 3.0]
    assert defaults.picked(made(scores, tuning=tuning))[0] == ["sgd", "sgd", "sgd"]


def test_without_a_gain_there_is_no_share_of_it() -> None:
    found = WORLDS["defaults"].make()
    found["tuned on clicks"] = made({"adam": np.full((5, 2), 10.0)}, name="clicks", untrained=10.0)
    (check,) = claim("defaults").judge(found)
    assert check.so is None
    assert check.evidence.startswith("only 0 of 5 studies have a value")


def test_costs_by_hand() -> None:
    costs = {"sgd": (1.04e-6, 0.0), "adam": (1e-6, 8.0)}
    raced = made({"sgd": around(0), "adam": around(0)}, costs=costs)
    assert sgd_streams.cheap(raced).so is True
    assert sgd_streams.cheap(raced).evidence == "bytes of state for each parameter: sgd 0 and adam 8"
    assert sgd_streams.fast(raced).so is True  # 4 % is as exactly as steps are timed
    assert sgd_streams.fast(raced).evidence == "microseconds a step: sgd 1 and adam 1"
    slower = made({"sgd": around(0), "adam": around(0)}, costs={**costs, "sgd": (1.06e-6, 9.0)})
    assert sgd_streams.fast(slower).so is False
    assert sgd_streams.cheap(slower).so is False


def without(raced: Raced, label: str) -> Raced:
    """The same race, but a contender diverged in all its trials."""
    scores = {known: raced.scores(known) * (np.nan if known == label else 1.0) for known in raced.labels}
    others = {
        known: {group: raced.others(known, group) for group in raced.row(known)["others"]}
        for known in raced.labels
        if known != label
    }
    return made(scores, name=raced.name, untrained=10.0, others=others)


@pytest.mark.parametrize(
    ("name", "race", "label", "decision"),
    [
        ("adagrad-rare-words", "rare-words", "rmsprop", Decided.HOLDS),
        ("adagrad-rare-words", "rare-words", "adagrad", Decided.FAILS),
        ("adagrad-rare-words", "rare-words", "sgd", Decided.UNDECIDED),
        ("heavy-tailed-classes", "imbalanced", "sgd", Decided.UNDECIDED),
        ("heavy-tailed-classes", "imbalanced", "adam", Decided.FAILS),
        ("rmsprop-time-series", "forecast", "rmsprop", Decided.FAILS),
        ("rmsprop-time-series", "forecast", "adam", Decided.HOLDS),
    ],
)
def test_a_contender_that_diverged_everywhere_counts_against_itself(
    name: str, race: str, label: str, decision: Decided
) -> None:
    """Its further metrics are missing, so what rests on them alone stays open."""
    found = WORLDS[name].make()
    checks = tuple(claim(name).judge({**found, race: without(found[race], label)}))
    assert decide(checks) is decision
    assert is_json(checks)


def test_the_gap_by_batch_size_by_hand() -> None:
    kept = claim("not-noise").judge(WORLDS["not-noise"].make(smallest=1.0, largest=0.7))[1]
    # The change of -0.3 and half of the first gap: 0.2.
    assert kept.numbers["mean"] == pytest.approx(0.2)
    assert kept.numbers["gap by batch size"] == pytest.approx({"4": 1.0, "16": 0.85, "64": 0.7})
    assert kept.so is True


def test_what_is_held_is_held() -> None:
    """The contenders that stand for a default or for theory tune nothing."""
    for known in (claim("defaults"), claim("acceleration")):
        for name, asked in known.races(False).items():
            entered = as_entry(asked, 0).contenders
            held = [contender.label for contender in entered if not contender.dimensions(asked.options["trials"])]
            if name.startswith("defaults on"):
                assert held == list(defaults.MANY)
            else:
                assert held == ([] if name.startswith("tuned on") else [theory.at_best(name.split()[0])])


def test_raced_by_hand() -> None:
    curves = {"a": np.array([[[1.0, 2.0, 3.0, 4.0], [5.0, np.nan, np.nan, np.nan]]]), "b": np.zeros((1, 2, 4))}
    raced = made({"a": [[4.0, np.nan]], "b": [[7.0, 5.0]]}, direction="max", untrained=1.0, curves=curves,
                 tuning={"a": [[0.3, 0.1]]}, others={"a": {"auc": [[0.5, np.nan]]}})  # fmt: skip
    assert (raced.best(), raced.mean("b"), raced.gain(), raced.metric) == ("b", 6.0, 5.0, "score")
    assert raced.scores("a").tolist() == [[4.0, 1.0]]  # what diverged counts as the worst value
    assert [outcome.point for outcome in raced.tuned("a", 0)] == [0, 1]
    steps, values = raced.curve_at("a", 0.6)  # points at steps 25, 50, 75 and 100
    assert steps[0, 0] == 50
    assert values[0, 0] == 2
    assert np.isnan([steps[0, 1], values[0, 1]]).all()
    assert np.isnan(raced.curve_at("a", 0.2)).all()
    assert raced.curve_at("a", 0.25)[1].tolist() == [[1.0, 5.0]]
    assert raced.others("a", "auc")[0, 0] == 0.5
    assert np.isnan(raced.others("a", "auc")[0, 1])
    assert np.isnan(raced.others("b", "auc")).all()
