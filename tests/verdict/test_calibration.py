"""Calibration from a pool: right rates with honest intervals, coverage, and power against the noncentral t."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import root_scalar
from scipy.stats import binomtest, nct, t

from gradrace.verdict import Decision, Direction, censor, compare, mean_interval
from gradrace.verdict.calibration import (
    Pool,
    centred_false_verdicts,
    coverage,
    draw,
    false_verdicts,
    power,
)
from gradrace.verdict.candidates import mixed_model, sign_flip, t_on_studies, t_with_floor
from gradrace.verdict.paired import holm


def rng(seed=0):
    return np.random.default_rng(seed)


def normal_pool(entries=5, studies=200, seeds=1, seed=0):
    """Equal entries; what a study brings to all of them cancels in the differences."""
    generator = rng(seed)
    luck = 3 * generator.normal(size=(1, studies, 1))
    return Pool(luck + generator.normal(size=(entries, studies, seeds)), "max")


def test_races_are_drawn_without_repeats():
    pool = normal_pool(studies=20)
    drawn = draw(pool, 8, 3, 500, rng())
    assert all(len(set(row)) == 8 for row in drawn.studies.tolist())
    assert all(len(set(row)) == 3 for row in drawn.entries.tolist())
    # Every study is drawn about equally often: 500 * 8 / 20 = 200 times, with a standard error below 13.
    assert np.abs(np.bincount(drawn.studies.ravel(), minlength=20) - 200).max() < 4 * 13
    assert set(np.bincount(drawn.entries.ravel(), minlength=5) > 0) == {True}
    again = draw(pool, 8, 3, 500, rng(), replace=True)
    assert any(len(set(row)) < 8 for row in again.studies.tolist())


def test_disjoint_races_share_no_study():
    drawn = draw(normal_pool(studies=50), 8, 2, 2000, rng(), disjoint=True)
    assert drawn.studies.shape == (6, 8)
    assert len(set(drawn.studies.ravel().tolist())) == 48


@pytest.mark.parametrize(
    ("studies", "contenders", "races", "message"),
    [
        (8, 2, 10, "Races of 8 studies cannot be drawn from 15: at least 3 .* twice as many"),
        (2, 2, 10, "Races of 2 studies"),
        (3, 1, 10, "Races of 1 contenders cannot be drawn from 5"),
        (3, 6, 10, "Races of 6 contenders cannot be drawn from 5"),
        (3, 2, 0, "races is 0"),
    ],
)
def test_what_cannot_be_drawn_is_told(studies, contenders, races, message):
    with pytest.raises(ValueError, match=message):
        false_verdicts(normal_pool(studies=15), studies, contenders, races, t_on_studies, rng())
    with pytest.raises(ValueError, match=r"The pool has shape \(5, 15\)"):
        false_verdicts(Pool(np.zeros((5, 15)), "max"), 3, 2, 10, t_on_studies, rng())


def test_the_rate_is_the_mean_over_all_races_that_the_pool_holds():
    # Of 8 studies there are 56 subsets of three, each with 3 pairs out of 3 entries: all can be judged one by one.
    pool = normal_pool(entries=3, studies=8, seed=5)
    hits = [
        bool((t_on_studies(pool.scores[list(pair)][:, list(subset)]) < 0.2).any())
        for subset in combinations(range(8), 3)
        for pair in combinations(range(3), 2)
    ]
    exact = np.mean(hits)
    assert 0.05 < exact < 0.5
    found = false_verdicts(pool, 3, 2, 4000, t_on_studies, rng(1), alpha=0.2)
    assert found.value == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000))


def test_every_race_is_censored_and_judged_as_compare_does_it():
    generator = rng(3)
    scores = np.round(generator.normal(0.8, 0.05, (4, 20, 3)), 2)
    scores[generator.random(scores.shape) < 0.1] = math.nan
    scores[2, 4] = math.nan  # a study without a choice
    cases: list[tuple[Direction, float | None]] = [("max", 0.0), ("min", None)]
    for direction, worst in cases:
        pool = Pool(scores, direction, worst)
        drawn = draw(pool, 5, 3, 200, rng(8))
        false = 0
        for entries, studies in zip(drawn.entries, drawn.studies, strict=True):
            rows = {str(entry): scores[entry][studies].tolist() for entry in entries}
            pairs = compare(censor(rows, direction, worst)[0], direction, alpha=0.4)
            false += any(pair.decision is not Decision.UNDECIDED for pair in pairs)
        assert 0 < false < 200
        assert false_verdicts(pool, 5, 3, 200, t_with_floor, rng(8), alpha=0.4).value == false / 200


@pytest.mark.parametrize("contenders", [2, 5])
@pytest.mark.parametrize("studies", [3, 8])
def test_equal_normal_entries_are_told_apart_as_often_as_allowed(studies, contenders):
    # For two the t test's rate is 0.05 exactly; Holm's over ten dependent pairs is a little less. Four standard errors.
    found = false_verdicts(normal_pool(studies=400, seed=2), studies, contenders, 2000, t_on_studies, rng())
    error = 4 * math.sqrt(0.05 * 0.95 / found.effective)
    assert (0.05 if contenders == 2 else 0.03) - error <= found.value <= 0.05 + error
    assert found.interval[0] <= found.value <= found.interval[1]
    assert 400 // studies <= found.effective <= found.races == 2000


def test_entries_that_differ_are_found_out():
    pool = normal_pool()
    pool.scores[0] += 2.0
    assert false_verdicts(pool, 8, 5, 500, t_on_studies, rng()).interval[0] > 0.5


def test_disjoint_races_have_the_interval_of_scipy():
    pool = normal_pool(studies=240)
    pool.scores[0] += 1.0
    found = false_verdicts(pool, 3, 2, 7, t_on_studies, rng(), disjoint=True)
    assert (found.races, found.effective) == (80, 80)
    expected = binomtest(round(80 * found.value), 80).proportion_ci(0.95)
    assert 0 < found.value < 1
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_no_false_verdict_at_all_is_worth_the_disjoint_races():
    # Three signs can give 0.25 at best. From 31 studies and 5 entries come 10 * 2 races of two over three studies; none
    # of 20 leaves rates up to 1 - 0.025^(1/20).
    found = false_verdicts(normal_pool(studies=31), 3, 2, 300, sign_flip, rng())
    assert (found.value, found.effective) == (0.0, 20)
    assert found.interval == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    # Two entries that are far apart are told apart always; of 10 races this leaves rates down to 0.025^(1/10).
    apart = Pool(np.stack([100 + rng().normal(size=(31, 1)), rng(1).normal(size=(31, 1))]), "max")
    always = false_verdicts(apart, 3, 2, 300, t_on_studies, rng())
    assert always.interval == pytest.approx((0.025 ** (1 / 10), 1.0))


@pytest.mark.parametrize(("studies", "pool_studies"), [(3, 40), (5, 60)])
def test_the_interval_holds_the_true_rate_as_often_as_it_says(studies, pool_studies):
    # For two normal contenders the true rate is 0.05. With 100 pools a share of 0.95 has a standard error of 0.022. The
    # plain binomial interval of 400 races, which forgets that they share studies, is too short.
    held = naive = 0
    for seed in range(100):
        pool = normal_pool(entries=2, studies=pool_studies, seed=seed)
        found = false_verdicts(pool, studies, 2, 400, t_on_studies, rng(seed))
        held += found.interval[0] <= 0.05 <= found.interval[1]
        plain = binomtest(round(400 * found.value), 400).proportion_ci(0.95)
        naive += plain.low <= 0.05 <= plain.high
    assert held >= 88
    assert naive < held


def test_centred_optimizers_are_equally_good_however_far_apart_they_were():
    pool = normal_pool(entries=3, seed=4)
    far = Pool(pool.scores + np.array([0.0, 50.0, -7.0])[:, None, None], "max")
    near, also = (centred_false_verdicts(p, 5, 3, 1000, t_on_studies, rng()) for p in (pool, far))
    assert near.value == also.value
    assert near.interval[0] <= 0.05 <= near.interval[1] + 0.02
    assert false_verdicts(far, 5, 3, 1000, t_on_studies, rng()).value == 1.0


def test_unequal_spreads_show_what_one_spread_for_all_hides():
    # One contender scatters ten times as much as four steady ones. The mixed model lends it their spread.
    scores = rng(6).normal(size=(5, 200, 1)) * np.array([10.0, 1, 1, 1, 1])[:, None, None]
    pool = Pool(scores, "max")
    pooled, own = (centred_false_verdicts(pool, 5, 5, 1000, test, rng()) for test in (mixed_model, t_on_studies))
    assert pooled.interval[0] > 0.05
    assert own.interval[0] <= 0.05


def test_all_intervals_hold_zero_exactly_where_no_pair_is_decided():
    pool = normal_pool(seeds=3, seed=7)
    found = coverage(pool, 5, 4, 600, rng(2))
    assert found.joint.value == pytest.approx(1 - false_verdicts(pool, 5, 4, 600, t_with_floor, rng(2)).value)
    assert found.joint.value > found.single.value - 0.02


def test_intervals_of_normal_scores_hold_the_truth_as_often_as_they_say():
    found = coverage(normal_pool(studies=400, seed=1), 5, 2, 2000, rng())
    for rate in (found.single, found.mean):
        assert rate.value == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / rate.effective))


def test_the_interval_of_a_mean_is_that_of_mean_interval_and_the_truth_the_pools_mean():
    # Skewed scores: each race's interval computed one by one.
    pool = Pool(rng(1).exponential(size=(2, 30, 2)) ** 2, "min")
    generator = rng(4)
    draw(pool, 4, 2, 150, generator)  # the races of the differences come first
    drawn = draw(pool, 4, 2, 150, generator, replace=True)
    held = 0
    for entry, studies in zip(drawn.entries[:, 0], drawn.studies, strict=True):
        _, interval = mean_interval(pool.scores[entry, studies])
        assert interval is not None
        held += interval[0] <= pool.scores[entry].mean() <= interval[1]
    assert coverage(pool, 4, 2, 150, rng(4)).mean.value == held / 150
    assert held / 150 < 0.93


def needed(studies, level):
    """The noncentral t's answer, in standard deviations."""
    bar = t.ppf(1 - level / 2, studies - 1)
    return root_scalar(lambda d: nct.sf(bar, studies - 1, d * math.sqrt(studies)) - 0.8, bracket=(0.01, 100)).root


@pytest.mark.parametrize("studies", [3, 5, 8])
def test_power_for_two_is_that_of_the_noncentral_t(studies):
    pool = normal_pool(studies=400, seed=8)
    found = power(pool, studies, 2, 2000, t_on_studies, rng())
    assert found.in_deviations is not None
    assert found.in_deviations == pytest.approx(needed(studies, 0.05), rel=0.06)
    # A difference of two scores of sd 1 has sd sqrt(2): from 10 pairs of 400 studies, to a few per cent.
    assert found.deviation == pytest.approx(math.sqrt(2), rel=0.03)
    assert found.difference == pytest.approx(found.in_deviations * found.deviation)


def test_power_for_five_lies_between_the_first_and_the_last_step_of_holm():
    found = power(normal_pool(studies=400, seed=8), 5, 5, 1000, t_on_studies, rng())
    assert found.in_deviations is not None
    assert needed(5, 0.05) < found.in_deviations < needed(5, 0.005) * 1.03


def test_power_reaches_its_chance_and_no_less_would_do():
    pool = normal_pool(studies=60, seeds=2, seed=3)
    found = power(pool, 5, 2, 500, t_with_floor, rng(1))
    assert found.difference is not None
    drawn = draw(pool, 5, 2, 500, rng(1))

    def share(shift):
        table = pool.scores[drawn.entries[:, :, None], drawn.studies[:, None, :]]
        table[:, 0] += shift
        right = table[:, 0].mean(axis=(1, 2)) > table[:, 1].mean(axis=(1, 2))
        return (holm(t_with_floor(table), 0.05).decided[:, 0] & right).mean()

    assert share(found.difference) >= 0.8 > share(0.98 * found.difference)


def test_power_is_the_same_where_less_is_better():
    pool = normal_pool(studies=60)
    mirrored = Pool(-pool.scores, "min")
    assert power(mirrored, 5, 2, 200, t_on_studies, rng()) == power(pool, 5, 2, 200, t_on_studies, rng())


def test_power_is_none_where_nothing_is_ever_found():
    pool = normal_pool(studies=30)
    found = power(pool, 3, 2, 100, sign_flip, rng())
    assert (found.difference, found.in_deviations) == (None, None)
    same = power(Pool(np.ones((2, 30, 1)), "max"), 3, 2, 100, t_on_studies, rng())
    assert (same.difference, same.deviation) == (None, 0.0)
