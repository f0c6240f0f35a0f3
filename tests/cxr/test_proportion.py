"""Exact intervals of proportions: against scipy, and how often they cover the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cxr.stats import proportion

COUNTS = st.integers(1, 300).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


@given(COUNTS)
def test_clopper_pearson_is_scipys_exact_interval_and_holds_the_proportion(counts):
    hits, count = counts
    exact = stats.binomtest(hits, count).proportion_ci(0.95, "exact")
    low, high = proportion.interval(hits, count)
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-7)
    assert 0 <= low <= hits / count <= high <= 1 and low < high


@pytest.mark.parametrize("count", [1, 12, 40])
@pytest.mark.parametrize("true", [0.02, 0.5, 0.7, 0.95])
def test_it_covers_the_truth_at_least_as_often_as_it_says(count, true):
    bounds = [proportion.of_cases(np.arange(count) < hits, range(count)) for hits in range(count + 1)]
    assert bounds == [pytest.approx(proportion.interval(hits, count), abs=1e-9) for hits in range(count + 1)]
    chance = stats.binom.pmf(np.arange(count + 1), count, true)
    assert sum(chance[hits] for hits, (low, high) in enumerate(bounds) if low <= true <= high) >= 0.95


def test_patients_are_the_units():
    """20 patients with ten images that agree: counted by image, the interval would miss the truth far too often."""
    rng, covered = np.random.default_rng(2), {"patients": 0, "images": 0}
    for _ in range(400):
        sick = rng.random(20) < 0.3
        patients = np.repeat(np.arange(20), 10)
        found = proportion.of_cases(sick[patients], [f"p{p}" for p in patients])
        assert found == pytest.approx(proportion.interval(int(sick.sum()), 20))
        by_image = proportion.interval(int(sick[patients].sum()), 200)
        covered["patients"] += found[0] <= 0.3 <= found[1]
        covered["images"] += by_image[0] <= 0.3 <= by_image[1]
    assert covered["patients"] / 400 > 0.93 and covered["images"] / 400 < 0.6


@pytest.mark.parametrize("true", [0.95, 0.8])
def test_it_covers_the_share_of_patients_of_unequal_size(true):
    """25 patients with one to five images, whose shares differ."""
    rng, covered = np.random.default_rng(4), 0
    for _ in range(400):
        sizes = rng.integers(1, 6, 25)
        hits = rng.binomial(sizes, rng.beta(4 * true, 4 * (1 - true), 25))
        low, high = proportion.of_sums(hits, sizes)
        covered += low <= true <= high
    assert covered / 400 >= 0.93


def test_all_or_none_is_told_of_patients_and_not_of_images():
    patients = np.repeat(np.arange(12), 5)
    assert proportion.of_cases(np.ones(60), patients) == proportion.interval(12, 12)
    assert proportion.of_cases(np.zeros(60), patients) == proportion.interval(0, 12)
    assert proportion.of_sums([3, 0], [3, 0]) == proportion.interval(1, 1)  # no case is no patient
    # Nothing varies between these, and they are 12 all the same
    assert proportion.of_cases([True, False] * 12, np.repeat(np.arange(12), 2)) == proportion.interval(6, 12)


def test_what_is_no_proportion_is_refused():
    assert all(math.isnan(bound) for bound in proportion.interval(0, 0))
    assert all(math.isnan(bound) for bound in proportion.of_cases([], []))
    assert all(math.isnan(bound) for bound in proportion.of_cases([True, False], ["a", "a"]))
    with pytest.raises(ValueError, match="3 of 2 is no proportion"):
        proportion.interval(3, 2)
    with pytest.raises(ValueError, match="one patient a case"):
        proportion.of_cases([True], ["a", "b"])
    with pytest.raises(ValueError, match="has no patient"):
        proportion.of_cases([True], [None])
