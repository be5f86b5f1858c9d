"""Candidates for the test of a pair: against scipy and numbers worked by hand, for one race and for many at a time."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from gradrace.verdict import Decision, compare
from gradrace.verdict.candidates import (
    CANDIDATES,
    CHOSEN,
    RESAMPLES,
    bootstrap,
    mixed_model,
    sign_flip,
    signed_rank,
    t_on_studies,
    t_with_floor,
    trimmed_t,
)
from gradrace.verdict.paired import holm, judge

every_candidate = pytest.mark.parametrize("test", [known.test for known in CANDIDATES], ids=lambda test: test.__name__)


def pair_with(*differences):
    """Two contenders over K studies of one seed with these differences."""
    a = np.array(differences, dtype=float)[:, None]
    return np.stack([a, np.zeros_like(a)])


def tables(races, contenders, studies, seeds, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(races, contenders, studies, 1)) + 0.5 * rng.normal(size=(races, contenders, studies, seeds))


@every_candidate
@pytest.mark.parametrize("studies", [3, 5, 8])
def test_many_races_at_a_time_are_judged_as_one_at_a_time(test, studies):
    many = tables(6, 4, studies, 3).reshape(2, 3, 4, studies, 3)
    many[1, 0, 1] = many[1, 0, 0]  # identical contenders
    many[1, 1, 2] = many[1, 1, 3] + 0.25  # always the same difference
    p = test(many)
    assert p.shape == (2, 3, 6)
    for i, j in np.ndindex(2, 3):
        assert p[i, j] == pytest.approx(test(many[i, j]), rel=1e-9)


@every_candidate
def test_pairs_come_in_order_and_see_both_sides_alike(test):
    table = tables(1, 4, 8, 2)[0]
    p = dict(zip(combinations(range(4), 2), test(table), strict=True))
    order = [2, 0, 3, 1]
    turned = dict(zip(combinations(range(4), 2), test(table[order]), strict=True))
    assert len(set(p.values())) > 1
    for (i, j), value in turned.items():
        a, b = sorted((order[i], order[j]))
        assert value == pytest.approx(p[a, b], rel=1e-9)


@every_candidate
def test_p_does_not_change_with_the_unit_or_what_all_share(test):
    table = tables(1, 3, 8, 2)[0]
    shared = np.random.default_rng(1).normal(size=(1, 8, 2))
    # The luck that a study or seed brings to all contenders alike cancels in every difference.
    assert test(-1000 * (table + shared)) == pytest.approx(test(table), rel=1e-6)


@every_candidate
@pytest.mark.parametrize("studies", [3, 5, 8])
def test_identical_and_constant_differences_have_the_same_p_everywhere(test, studies):
    luck = np.random.default_rng(0).normal(size=(studies, 2))
    table = np.stack([luck, luck, luck + 0.5])
    # Never different: 1. Always by 0.5: as many coins as studies, which all fall alike with 2^(1 - K).
    assert test(table) == pytest.approx([1.0, 2.0 ** (1 - studies), 2.0 ** (1 - studies)], rel=1e-6)


@every_candidate
def test_a_clear_difference_has_a_small_p_and_none_a_large_one(test):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(3, 8, 2)) + np.array([20.0, 0.0, 0.0])[:, None, None]
    clear, also, none = test(table)
    assert max(clear, also) <= 2.0**-7  # what eight signs can give at least
    assert none > 0.05


def test_t_is_that_of_scipy():
    many = tables(40, 3, 5, 4)
    means = many.mean(axis=-1)
    for pair, (a, b) in enumerate(combinations(range(3), 2)):
        expected = stats.ttest_rel(means[:, a], means[:, b], axis=-1).pvalue
        assert t_on_studies(many)[:, pair] == pytest.approx(expected, rel=1e-9)


def test_the_chosen_one_is_what_compare_does():
    rng = np.random.default_rng(5)
    for _ in range(50):
        studies, seeds = rng.integers(3, 9), rng.integers(1, 5)
        table = np.round(rng.normal(0, 0.3, (4, studies, 1)) + rng.normal(0, 0.5, (4, studies, seeds)), 1)
        table[3] += rng.integers(0, 3)
        table[2, -1] = -50.0 if studies == 4 else table[2, -1]
        pairs = compare(dict(zip("abcd", table, strict=True)), "max")
        assert CHOSEN.test(table) == pytest.approx([pair.p for pair in pairs], rel=1e-12)
        corrected = holm(CHOSEN.test(table), 0.05)
        assert corrected.adjusted == pytest.approx([pair.p_adjusted for pair in pairs], rel=1e-12)
        assert corrected.decided.tolist() == [pair.decision is not Decision.UNDECIDED for pair in pairs]


def test_the_floor_only_makes_p_larger():
    many = tables(500, 2, 3, 2, seed=2)
    careful, plain = t_with_floor(many), t_on_studies(many)
    assert (careful >= plain * (1 - 1e-9)).all()
    assert 0.05 < (careful > plain * (1 + 1e-9)).mean() < 0.95


def test_sign_flip_by_hand():
    # d = 3, -1, 2, sum 4. With the first sign held, the sums are 3+1+2, 3+1-2, 3-1+2, 3-1-2 = 6, 2, 4, 0: two of four
    # are at least 4.
    assert sign_flip(pair_with(3, -1, 2)) == pytest.approx([0.5])
    assert sign_flip(pair_with(1, 2, 3)) == pytest.approx([0.25])


def test_sign_flip_is_the_permutation_test_of_scipy():
    table = tables(1, 2, 6, 1, seed=4)[0]
    expected = stats.permutation_test(
        (table[0, :, 0], table[1, :, 0]), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=2**6
    ).pvalue
    assert sign_flip(table) == pytest.approx([expected])


@pytest.mark.parametrize("studies", [3, 5, 8])
def test_signed_rank_without_ties_is_that_of_scipy(studies):
    many = tables(30, 2, studies, 2, seed=6)
    d = (many[:, 0] - many[:, 1]).mean(axis=-1)
    _, expected = stats.wilcoxon(d, axis=-1, method="exact")
    assert signed_rank(many)[:, 0] == pytest.approx(expected)


def test_signed_rank_with_ties_and_zeros_by_hand():
    # |d| = 2, 2, 0, 5 has ranks 2.5, 2.5, 1, 4; signed -2.5, 2.5, 0, 4, sum 4. The zero has no sign to flip; with the
    # first sign held at +, the others give 2.5+2.5+4, 2.5+2.5-4, 2.5-2.5+4, 2.5-2.5-4 = 9, 1, 4, -4: three of four.
    assert signed_rank(pair_with(-2, 2, 0, 5)) == pytest.approx([0.75])
    # 0.3 - 0.1 and 0.2 differ in the last digit only: ranks 1.5 and 1.5, not 1 and 2.
    nearly = signed_rank(pair_with(0.3 - 0.1, -0.2, 0.5, 0.7))
    assert nearly == pytest.approx(signed_rank(pair_with(0.2, -0.2, 0.5, 0.7)))


def test_sign_flips_of_too_many_studies_are_refused():
    with pytest.raises(ValueError, match="There are 17 studies; all sign flips of at most 16"):
        sign_flip(tables(1, 2, 17, 1))


def test_bootstrap_by_hand():
    # Each study has one of 1, 1, -1. Of 27 resamples those with two or three of -1 have a mean below 0: 6 + 1. So p is
    # 14/27 = 0.519, with an error of 2 sqrt(7/27 * 20/27 / 1999) = 0.0196.
    (p,) = bootstrap(pair_with(1, 1, -1))
    assert p == pytest.approx(14 / 27, abs=3 * 0.0196)
    assert bootstrap(pair_with(1, 2, 3)) == pytest.approx([2 / (RESAMPLES + 1)])
    # Within a study the seeds are drawn again as well: all studies are 1, -0.5, so a resample of 3 x 2 seeds is below 0
    # if at most one of six is 1 (two of six: 2 - 2 = 0 counts as well): (1 + 6 + 15) / 64, and p twice that.
    seeds = np.tile([1.0, -0.5], (3, 1))
    (p,) = bootstrap(np.stack([seeds, np.zeros((3, 2))]))
    assert p == pytest.approx(2 * 22 / 64, abs=3 * 2 * np.sqrt(22 / 64 * 42 / 64 / RESAMPLES))


def test_mixed_model_by_hand():
    # a = 2, 2, 5; b = 0, 3, 0; c = 3, 0, 0. Less contender and study effects a leaves -1, -1, 2, and b and c the same
    # in other orders: squares of 18 in all, with 2 * 2 degrees M = 4.5, and se = sqrt(2 * 4.5 / 3) = sqrt(3).
    table = np.array([[2.0, 2.0, 5.0], [0.0, 3.0, 0.0], [3.0, 0.0, 0.0]])[..., None]
    # a is 3 on average, b and c 1: t = 2 / sqrt(3) with 4 degrees.
    expected = 2 * stats.t.sf(2 / np.sqrt(3), 4)
    assert mixed_model(table) == pytest.approx([expected, expected, 1.0])


def test_mixed_model_of_two_is_the_paired_t():
    many = tables(20, 2, 5, 3)
    assert mixed_model(many) == pytest.approx(t_on_studies(many), rel=1e-9)


def test_trimmed_t_by_hand():
    # d = -10, 1, 2, 3, 40: of five one is off at each end, leaving 1, 2, 3 with mean 2. With the next ones in their
    # place, 1, 1, 2, 3, 3 has squares 1 + 1 + 0 + 1 + 1 = 4, se = sqrt(4 / (3 * 2)), t = sqrt(6) with 2 degrees, and
    # there p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(6 / 8).
    assert trimmed_t(pair_with(40, 1, -10, 3, 2)) == pytest.approx([1 - np.sqrt(6 / 8)])
    short = tables(20, 3, 4, 2)
    assert trimmed_t(short) == pytest.approx(t_on_studies(short), rel=1e-9)
    # All but one study are alike: no spread is left in the middle, so the rule of coins holds: 2^-4.
    assert trimmed_t(pair_with(1, 1, 1, 1, 7)) == pytest.approx([2**-4])


def test_holm_of_several_races_by_hand():
    # 0.04, 0.01, 0.02: in order 0.01 < 0.05/3, 0.02 < 0.05/2, 0.04 < 0.05: all are decided; adjusted 0.03, 0.04, 0.04.
    # 0.03, 0.01, 0.04: 0.01 < 0.05/3, 0.03 > 0.05/2 stops; adjusted 0.03, then 0.06, and 0.04 may not be below it.
    # 0.02, 0.9, 0.02: 0.02 > 0.05/3 stops at once, and nothing is decided.
    found = holm(np.array([[0.04, 0.01, 0.02], [0.03, 0.01, 0.04], [0.02, 0.9, 0.02]]), 0.05)
    assert found.decided.tolist() == [[True, True, True], [False, True, False], [False, False, False]]
    assert found.adjusted == pytest.approx(np.array([[0.04, 0.03, 0.04], [0.06, 0.03, 0.06], [0.06, 0.9, 0.06]]))
    third, half = 0.05 / 3, 0.05 / 2
    assert found.level == pytest.approx(np.array([[0.05, third, half], [half, third, half], [third, third, third]]))


def test_the_judge_of_many_races_agrees_with_compare():
    many = np.round(tables(40, 3, 4, 2, seed=9), 1) + np.array([0.0, 0.0, 2.5])[:, None, None]
    judged = judge(many, 0.05)
    for race, table in enumerate(many):
        for i, pair in enumerate(compare(dict(zip("abc", table, strict=True)), "max")):
            assert pair.interval is not None
            mean, half = judged.pairs.mean[race, i], judged.half[race, i]
            assert (mean - half, mean + half) == pytest.approx(pair.interval, rel=1e-9, abs=1e-12)
