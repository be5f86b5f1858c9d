"""The verdict on pairs: hand-worked cases, the guarantees of the procedure, and what it does with failures."""

import math

import numpy as np
import pytest

from gradrace.verdict import Decision, Direction, Pair, Reason, censor, compare, mean_interval

# Quantiles of Student's t with 2 degrees of freedom have a closed form: t(1 - q) = (1 - 2q) / sqrt(2 q (1 - q)).
T2_975 = 0.95 / math.sqrt(2 * 0.025 * 0.975)  # 4.302653


def column(*values):
    """Scores of K studies with one seed each."""
    return np.array(values, dtype=float)[:, None]


def only(scores, direction: Direction = "max", **options) -> Pair:
    (pair,) = compare(scores, direction, **options)
    return pair


def test_paired_t_by_hand():
    # d = 1, 2, 3: mean 2, sd 1, se 1/sqrt(3), t = 2 sqrt(3) = 3.4641.
    # With 2 degrees of freedom p = 1 - t / sqrt(2 + t^2) = 1 - sqrt(12/14) = 0.0742.
    pair = only({"a": column(11, 22, 33), "b": column(10, 20, 30)})
    assert (pair.a, pair.b) == ("a", "b")
    assert pair.difference == 2.0
    assert pair.p == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-12)
    assert pair.p_adjusted == pair.p
    assert pair.interval == pytest.approx((2 - T2_975 / math.sqrt(3), 2 + T2_975 / math.sqrt(3)), rel=1e-9)
    assert pair.effect_size == pytest.approx(2.0)
    assert pair.decision is Decision.UNDECIDED
    assert pair.reason is None


def test_seeds_are_averaged_and_the_study_is_the_unit():
    # Per study the mean over seeds of d is 1, 2, 3 again, and within a study d varies by +-0.1: W = 0.02,
    # sqrt(0.02 / 6) = 0.058 < 1/sqrt(3). Nine or six samples in place of three studies would give another p.
    scores = {"a": np.array([[1.1, 0.9], [2.1, 1.9], [3.1, 2.9]]), "b": np.zeros((3, 2))}
    assert only(scores).p == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-9)


def test_a_spread_between_studies_that_is_small_by_luck_is_widened_by_that_of_seeds():
    # d = (0, 2), (0, 2), (0, 2.0003): the study means are 1, 1 and 1.00015, but W = 2, so se = sqrt(2 / 6), t = sqrt(3)
    # and p = 1 - sqrt(3 / 5) = 0.225; the spread between studies alone would give a t of 20000.
    scores = {"a": np.array([[0, 2], [0, 2], [0, 2.0003]]), "b": np.zeros((3, 2))}
    pair = only(scores)
    assert pair.p == pytest.approx(1 - math.sqrt(3 / 5), rel=1e-3)
    assert pair.decision is Decision.UNDECIDED


@pytest.mark.parametrize(("direction", "decision"), [("max", Decision.A_BETTER), ("min", Decision.B_BETTER)])
def test_direction_says_who_is_better(direction, decision):
    # d = 0.100, 0.101, 0.102: t = 0.101 sqrt(3) / 0.001 = 175.
    assert only({"a": column(0.9, 0.901, 0.902), "b": column(0.8, 0.8, 0.8)}, direction).decision is decision
    assert Decision.A_BETTER == "a better"
    assert Decision.B_BETTER == "b better"
    assert Decision.UNDECIDED == "no detectable difference"


def test_holm_by_hand():
    # Contenders a, b, c with K = 3; p = 1 - t / sqrt(2 + t^2).
    # a - c: d = 10, 10.1, 10.2: t = 10.1 sqrt(3) / 0.1 = 174.9,  p = 3.27e-5, times 3 = 9.8e-5
    # a - b: d = 1, 1.1, 1.2:    t = 1.1 sqrt(3) / 0.1 = 19.05,   p = 2.74e-3, times 2 = 5.49e-3
    # b - c: d = 9, 9, 9:        constant, p = 2^-2 = 0.25,        times 1 = 0.25
    pairs = compare({"a": column(10, 10.1, 10.2), "b": column(9, 9, 9), "c": column(0, 0, 0)}, "max")
    assert [(pair.a, pair.b) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]

    def p(t):
        return 1 - t / math.sqrt(2 + t * t)

    by_hand = [2 * p(11 * math.sqrt(3)), 3 * p(101 * math.sqrt(3)), 0.25]
    assert [pair.p_adjusted for pair in pairs] == pytest.approx(by_hand, rel=1e-6)
    assert [pair.decision for pair in pairs] == [Decision.A_BETTER, Decision.A_BETTER, Decision.UNDECIDED]
    # a - c was decided at place 1 of 3, so its interval has level 1 - 0.05/3.
    q = 0.05 / 6
    half = (1 - 2 * q) / math.sqrt(2 * q * (1 - q)) * 0.1 / math.sqrt(3)
    assert pairs[1].interval == pytest.approx((10.1 - half, 10.1 + half), rel=1e-9)


def test_holm_stops_at_the_first_pair_that_is_not_decided():
    # Two pairs with p = 0.0339 and 0.0344 and one of 0.976: alone each of the two would pass 0.05, but the smallest of
    # three must pass 0.0167. Adjusted p-values may not fall: both are 3 * 0.0339 = 0.1017, the second not 2 * 0.0344.
    pairs = compare({"a": column(1.0, 1.5, 2.0), "b": column(0.0, 0.2, 0.1), "c": column(0.1, 0.0, 0.19)}, "max")
    assert [pair.decision for pair in pairs] == [Decision.UNDECIDED] * 3
    raw, adjusted = [pair.p for pair in pairs], [pair.p_adjusted for pair in pairs]
    assert sum(p is not None and p < 0.05 for p in raw) == 2
    smallest = min(p for p in raw if p is not None)
    assert sorted(a for a in adjusted if a is not None)[:2] == pytest.approx([3 * smallest] * 2)


def test_interval_excludes_zero_exactly_when_decided():
    rng = np.random.default_rng(1)
    seen = dict.fromkeys(Decision, 0)
    for _ in range(300):
        studies, seeds = rng.integers(3, 7), rng.integers(1, 4)
        centres = rng.normal(0, 2, (4, 1, 1))
        table = np.round(centres + rng.normal(0, 0.3, (4, studies, 1)) + rng.normal(0, 0.3, (4, studies, seeds)), 1)
        for pair in compare(dict(zip("abcd", table, strict=True)), "min"):
            assert pair.interval is not None
            assert pair.p_adjusted is not None
            low, high = pair.interval
            assert (low > 0 or high < 0) == (pair.decision is not Decision.UNDECIDED)
            assert (pair.p_adjusted < 0.05) == (pair.decision is not Decision.UNDECIDED)
            if low > 0:
                assert pair.decision is Decision.B_BETTER
            seen[pair.decision] += 1
    assert min(seen.values()) > 200


def test_a_constant_difference_is_judged_by_sign_flips():
    # Three studies, always 0.1 apart: 2^(1 - 3). To pass 0.05 it takes 6 studies: 2^-5 = 0.031, 2^-4 = 0.0625.
    pair = only({"a": column(0.5, 0.6, 0.7), "b": column(0.4, 0.5, 0.6)})
    assert pair.p == pytest.approx(0.25)
    assert pair.decision is Decision.UNDECIDED
    assert pair.studies_to_decide == 6
    assert pair.reason is Reason.CONSTANT
    six = only({"a": np.full((6, 2), 1.0), "b": np.full((6, 2), 0.5)})
    assert six.p == pytest.approx(2**-5)
    assert six.decision is Decision.A_BETTER


def test_rounding_of_float32_is_no_evidence_of_precision():
    # In float32 the differences are 0.05 to within 6e-8; taken at face value, t would be of the order of 1e6.
    a, b = (np.array(values, dtype=np.float32)[:, None] for values in ([0.85, 0.9, 0.95], [0.8, 0.85, 0.9]))
    assert len(np.unique(a.astype(float) - b.astype(float))) > 1
    assert only({"a": a, "b": b}).p == pytest.approx(0.25)
    almost = only({"a": a, "b": np.nextafter(a, np.float32(1))})
    assert (almost.difference, almost.p) == (0.0, 1.0)


def test_identical_scores_are_a_tie():
    same = np.array([[0.5, 0.6], [0.7, 0.8], [0.9, 0.4]])
    pair = only({"a": same, "b": same})
    assert (pair.difference, pair.interval, pair.p, pair.effect_size) == (0.0, (0.0, 0.0), 1.0, 0.0)
    assert pair.decision is Decision.UNDECIDED
    assert pair.studies_to_decide is None
    assert only({"a": same * 0, "b": same * 0}).p == 1.0


def test_opposite_differences_cancel_and_no_number_of_studies_decides():
    pair = only({"a": column(1, 0, -1), "b": column(0, 0, 0)})
    assert (pair.difference, pair.p, pair.studies_to_decide) == (0.0, 1.0, None)


@pytest.mark.parametrize("diverged", [1e6, 1e30, 1e250])
def test_a_contender_that_always_diverges_loses_however_large_its_loss(diverged):
    # The difference varies by 1e-2 around -1e6 or -1e250; subtracting first would round that spread away.
    scores = {"good": column(0.31, 0.32, 0.33), "bad": np.full((3, 1), diverged)}
    assert only(scores, "min").decision is Decision.A_BETTER


def test_one_exploding_study_leaves_a_finite_undecided_pair():
    pair = only({"a": column(0.3, 0.3, 1e250), "b": column(0.5, 0.6, 0.7)}, "min")
    assert pair.decision is Decision.UNDECIDED
    assert pair.p == pytest.approx(1 - 1 / math.sqrt(3))  # d is (0, 0, x) to rounding: t = 1
    assert pair.interval is not None
    assert all(map(math.isfinite, pair.interval))


def test_studies_to_decide_by_a_published_table():
    # d = 0, 1, 2 has mean 1 and sd 1, hence an effect size of 1. A paired t test at 0.05 with a power of 0.8 then needs
    # 10 pairs (Cohen 1988, or G*Power: power 0.803 with 10, 0.748 with 9).
    assert only({"a": column(0, 1, 2), "b": column(0, 0, 0)}).studies_to_decide == 10
    # An effect size of 0.5 needs 34 (0.808), and 0.2 needs 199.
    assert only({"a": column(-0.5, 0.5, 1.5), "b": column(0, 0, 0)}).studies_to_decide == 34
    assert only({"a": column(-0.8, 0.2, 1.2), "b": column(0, 0, 0)}).studies_to_decide == 199
    # An effect size of 1.68 needs 6 (0.903): with 5 the power is 0.7991, a little short.
    assert only({"a": column(0.68, 1.68, 2.68), "b": column(0, 0, 0)}).studies_to_decide == 6
    # An effect of 0.05 would need 3142.
    assert only({"a": column(-0.95, 0.05, 1.05), "b": column(0, 0, 0)}).studies_to_decide is None


def test_studies_to_decide_is_at_the_level_the_pair_faced_and_only_for_undecided_pairs():
    alone = only({"a": column(0, 1, 2), "b": column(0, 0, 0)}).studies_to_decide
    scores = {"a": column(0, 1, 2), "b": column(0, 0, 0), "c": column(50, 51, 53)}
    ab, ac, bc = compare(scores, "max")
    assert ab.studies_to_decide == alone  # the other two were decided, so this pair faced the full 0.05
    assert ac.studies_to_decide is None
    assert bc.studies_to_decide is None
    more = compare({**scores, "c": column(0, 2, 1)}, "max")[0].studies_to_decide
    assert alone is not None
    assert more is not None
    assert more > alone


@pytest.mark.parametrize("studies", [1, 2])
def test_too_few_studies_give_a_difference_and_a_reason(studies):
    pair = only({"a": np.full((studies, 2), 3.0), "b": np.full((studies, 2), 1.0)})
    assert pair == Pair(
        "a",
        "b",
        2.0,
        None,
        None,
        None,
        Decision.UNDECIDED,
        None,
        None,
        Reason.FEW,
    )


def test_fewer_than_two_contenders_have_no_pairs():
    assert compare({"a": np.ones((3, 2))}, "max") == []
    assert compare({}, "max") == []


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ({"a": column(1, 2, math.nan), "b": column(1, 2, 3)}, {}, "Some scores of 'a' are not finite"),
        ({"a": column(1, 2, 3), "b": column(1, 2, math.inf)}, {}, "Some scores of 'b' are not finite"),
        ({"a": column(1, 2, 3), "b": column(1, 2)}, {}, "need one shape"),
        ({"a": np.ones(3), "b": np.ones(3)}, {}, "have shape \\(3,\\)"),
        ({"a": np.ones((3, 0)), "b": np.ones((3, 0))}, {}, "none of them 0"),
        ({"a": column(1, 2, 3), "b": column(1, 2, 3)}, {"alpha": 0}, "alpha is 0"),
        ({"a": column(1, 2, 3), "b": column(1, 2, 3)}, {"direction": "up"}, "direction is 'up'"),
    ],
)
def test_misuse_is_told(scores, options, message):
    with pytest.raises(ValueError, match=message):
        compare(scores, **{"direction": "max", **options})


def simulated(kind, rng, races, studies, seeds=3):
    """Scores [races, 5 contenders, studies, seeds] of equally good contenders, with luck of studies and of seeds."""
    shape = (races, 5, studies, seeds)
    luck = rng.normal(0, 1, (races, 5, studies, 1))
    if kind == "normal":
        return luck + rng.normal(0, 0.5, shape)
    return rng.binomial(100, np.clip(0.9 + 0.02 * luck, 0, 1) * np.ones(shape)) / 100


@pytest.mark.parametrize("studies", [3, 5])
@pytest.mark.parametrize("kind", ["normal", "accuracy"])
def test_equally_good_contenders_are_told_apart_in_at_most_5_percent_of_races(kind, studies):
    # With 1500 races the standard error of a rate of 0.05 is 0.0056; the bound allows three of them.
    races = 1500
    table = simulated(kind, np.random.default_rng(studies), races, studies)
    false = sum(
        any(pair.decision is not Decision.UNDECIDED for pair in compare(dict(zip("abcde", scores, strict=True)), "max"))
        for scores in table
    )
    assert false / races <= 0.05 + 3 * 0.0056


def test_real_differences_are_found():
    # b to e are equal; a is better by ten standard deviations of a study's luck, with five studies.
    table = simulated("normal", np.random.default_rng(7), 100, 5)
    table[:, 0] += 10
    found = false = 0
    for scores in table:
        for pair in compare(dict(zip("abcde", scores, strict=True)), "max"):
            if pair.a == "a":
                found += pair.decision is Decision.A_BETTER
            else:
                false += pair.decision is not Decision.UNDECIDED
    assert found >= 0.95 * 400
    assert false <= 0.05 * 600


def test_mean_interval_by_hand():
    # 1, 2, 3: mean 2, se 1/sqrt(3), t(0.975; 2) = 4.3027, so 2 +- 2.4841.
    mean, interval = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert interval == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # With 1 degree of freedom t(0.75) = 1: the half interval is the standard error, 1.
    assert mean_interval([3.0, 5.0], level=0.5) == (4.0, pytest.approx((3.0, 5.0)))
    assert mean_interval([3.0, 5.0], level=0.5, fewest=3) == (4.0, None)


def test_mean_interval_of_seeds_has_the_floor_of_the_test():
    # Studies' means 1, 1.1, 0.9: se between 0.1 / sqrt(3) = 0.0577. Within studies each variance is 2 (values 1 apart
    # from their mean on both sides): sqrt(2 / (3 * 2)) = 0.5774, which is the greater. t(0.975; 2) = 4.3027.
    scores = [[0.0, 2.0], [0.1, 2.1], [-0.1, 1.9]]
    mean, interval = mean_interval(scores)
    assert mean == pytest.approx(1)
    assert interval == pytest.approx((1 - 4.302653 * math.sqrt(1 / 3), 1 + 4.302653 * math.sqrt(1 / 3)), abs=1e-6)
    # Where studies differ by more than their seeds say, the seeds add nothing.
    apart = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    assert mean_interval(apart) == mean_interval([0.0, 1.0, 2.0])


def test_mean_interval_at_its_limits():
    assert mean_interval([0.7]) == (0.7, None)
    assert mean_interval([0.0, 0.0]) == (0.0, (0.0, 0.0))
    mean, interval = mean_interval([1e250, 3e250])
    assert mean == 2e250
    assert interval is not None
    assert interval[1] == pytest.approx(2e250 + 12.7062047 * 1e250)
    for values, message in (([1.0, math.nan], "not finite"), ([], r"shape \(0,\)"), ([[[1.0]]], r"\[studies, seeds\]")):
        with pytest.raises(ValueError, match=message):
            mean_interval(values)
    with pytest.raises(ValueError, match="level is 1"):
        mean_interval([1.0, 2.0], level=1)


def test_censor_takes_the_worse_of_the_declared_and_the_worst_seen():
    scores = {"a": [[0.9, None], [0.8, 0.7]], "b": [[math.nan, 0.6], [math.inf, -math.inf]]}
    arrays, censored = censor(scores, "max", 0.0)
    assert censored == 4
    assert arrays["a"].tolist() == [[0.9, 0.0], [0.8, 0.7]]
    assert arrays["b"].tolist() == [[0.0, 0.6], [0.0, 0.0]]
    assert censor(scores, "max", None)[0]["b"].tolist() == [[0.6, 0.6], [0.6, 0.6]]
    assert censor(scores, "min", None)[0]["b"].tolist() == [[0.9, 0.6], [0.9, 0.9]]
    assert censor(scores, "min", 0.5)[0]["a"].tolist() == [[0.9, 0.9], [0.8, 0.7]]
    assert censor(scores, "min", math.inf)[0]["a"].tolist() == [[0.9, 0.9], [0.8, 0.7]]


def test_censor_when_nothing_is_finite():
    arrays, censored = censor({"a": [[None], [None], [None]], "b": [[math.nan]] * 3}, "min", None)
    assert censored == 6
    assert compare(arrays, "min")[0].p == 1.0
    assert arrays["a"].tolist() == [[0.0], [0.0], [0.0]]
    assert censor({"a": [[None]]}, "max", -1.0)[0]["a"].tolist() == [[-1.0]]
    assert censor({}, "max", None) == ({}, 0)


def test_censor_tells_of_ragged_studies():
    with pytest.raises(ValueError, match=r"studies of 'a' have \[1, 2\] values"):
        censor({"a": [[1.0], [1.0, 2.0]]}, "max", None)
