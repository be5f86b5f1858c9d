"""Curves beside the verdict, by hand: medians of neighbours, bands over studies, and honest thinning."""

from __future__ import annotations

import numpy as np
import pytest

from gradrace.verdict import Direction
from gradrace.verdict.curves import band, binned_median, thinned

NAN = float("nan")


def test_medians_of_neighbouring_rates() -> None:
    """Five trials in two bins: rates 1, 10, 100 (their geometric mean is 10) and 1000, 100000 (10000)."""
    rates = [1000, 1, 100, 10, 100_000]
    values = [0.8, 0.1, 0.3, 0.9, 0.4]
    centres, medians = binned_median(rates, values, "max", 2)
    assert centres == pytest.approx([10, 10_000])
    assert medians == pytest.approx([0.3, 0.6])


@pytest.mark.parametrize(("direction", "median"), [("max", 0.1), ("min", 0.9)])
def test_diverged_trials_are_worse_than_any_other(direction: Direction, median: float) -> None:
    """Of three, one diverged: the median is the worse of the other two. Of two, one diverged: there is none."""
    _, medians = binned_median([1, 2, 3], [0.1, NAN, 0.9], direction, 1)
    assert medians == pytest.approx([median])
    _, medians = binned_median([1, 2], [0.1, NAN], direction, 1)
    assert np.isnan(medians).all()


def test_no_trials_give_no_line() -> None:
    centres, medians = binned_median([], [], "max", 5)
    assert centres.size == medians.size == 0


def test_the_order_of_trials_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rates, values = np.exp(rng.normal(size=40)), rng.normal(size=40)
    order = rng.permutation(40)
    np.testing.assert_allclose(
        binned_median(rates, values, "min", 7), binned_median(rates[order], values[order], "min", 7)
    )


def test_bands_are_of_studies_and_not_of_seeds() -> None:
    """Medians over three seeds are 2, 5 and 8, whatever the outer seeds are."""
    values = np.array([[1, 2, 3], [-90, 5, 90], [7, 8, 9]], dtype=float)[:, :, None]
    found = band(values, "min")
    assert (found.median, found.low, found.high) == (5, 2, 8)


def test_a_diverged_study_opens_the_band_on_the_worse_side() -> None:
    values = np.array([[[1.0]], [[2.0]], [[NAN]]])
    less, more = band(values, "min"), band(values, "max")
    assert (less.median[0], less.low[0]) == (2, 1)
    assert np.isnan(less.high[0])
    assert (more.median[0], more.high[0]) == (1, 2)
    assert np.isnan(more.low[0])


def test_thinned_curves_keep_ends_and_extremes() -> None:
    values = [0.5, *np.linspace(0.4, 0.6, 97).tolist(), 0.5]
    values[13], values[77], values[50] = 0.1, 0.9, None
    kept = thinned(values, 9)
    assert {0, 13, 77, 98} <= set(kept)
    assert len(kept) <= 9
    assert kept == sorted(set(kept))
    # The even ones: seven from 0 to 98.
    assert {0, 16, 33, 49, 65, 82, 98} <= set(kept)


def test_short_curves_stay_whole() -> None:
    assert thinned([0.1, None, 0.3], 4) == [0, 1, 2]
    assert thinned([], 4) == []
    assert thinned([None] * 10, 4) == [0, 9]
