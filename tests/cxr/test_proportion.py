"""Intervals of proportions: against their formulas, and how often they cover the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cxr.stats import proportion

COUNTS = st.integers(1, 300).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


@given(COUNTS)
def test_wilson_is_its_formula(counts):
    hits, count = counts
    z, p = stats.norm.ppf(0.975), hits / count
    middle = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    assert proportion.interval(hits, count) == pytest.approx((max(middle - half, 0), min(middle + half, 1)), abs=1e-9)


@given(COUNTS)
def test_clopper_pearson_is_scipys_exact_interval_and_holds_the_proportion(counts):
    hits, count = counts
    exact = stats.binomtest(hits, count).proportion_ci(0.95, "exact")
    low, high = proportion.interval(hits, count, "clopper-pearson")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-7)
    assert 0 <= low <= hits / count <= high <= 1 and low < high


@pytest.mark.parametrize("count", [10, 40, 200])
@pytest.mark.parametrize("true", [0.02, 0.1, 0.5, 0.9])
def test_they_cover_the_truth_as_often_as_they_say(count, true):
    drawn = np.random.default_rng(count).binomial(count, true, 4000)
    covered = {}
    for method in proportion.METHODS:
        bounds = {hits: proportion.interval(int(hits), count, method) for hits in np.unique(drawn)}
        covered[method] = np.mean([bounds[hits][0] <= true <= bounds[hits][1] for hits in drawn])
    assert covered["clopper-pearson"] >= 0.945  # 95 % at least, less the chance of the simulation
    assert covered["wilson"] >= 0.9


def test_over_proportions_wilson_covers_95_in_100():
    rng = np.random.default_rng(1)
    hits = [(rng.binomial(60, true), true) for true in rng.uniform(0.02, 0.98, 6000)]
    bounds = {k: proportion.interval(k, 60) for k in range(61)}
    assert np.mean([bounds[k][0] <= true <= bounds[k][1] for k, true in hits]) == pytest.approx(0.95, abs=0.01)


def test_patients_are_the_units():
    """20 patients with ten images that agree: counted by image, the interval would miss the truth far too often."""
    rng, covered = np.random.default_rng(2), {"patients": 0, "images": 0}
    for _ in range(400):
        sick = rng.random(20) < 0.3
        patients = np.repeat(np.arange(20), 10)
        found = proportion.of_patients(sick[patients], [f"p{p}" for p in patients])
        assert found["patients"] == 20 and found["hits"] == sick.sum() and found["value"] == sick.mean()
        by_image = proportion.interval(int(sick[patients].sum()), 200)
        covered["patients"] += found["low"] <= 0.3 <= found["high"]
        covered["images"] += by_image[0] <= 0.3 <= by_image[1]
    assert covered["patients"] / 400 > 0.92 and covered["images"] / 400 < 0.6


def test_one_image_is_enough_for_its_patient():
    assert proportion.of_patients([True, False, False, False], ["a", "a", "b", "c"])["hits"] == 1
    assert proportion.interval(0, 30)[0] == 0 and 0.08 < proportion.interval(0, 30)[1] < 0.15  # no width by bootstrap


def test_what_is_no_proportion_is_refused():
    assert all(math.isnan(bound) for bound in proportion.interval(0, 0))
    assert math.isnan(proportion.of_patients([], [])["value"])
    with pytest.raises(ValueError, match="wilson or clopper-pearson"):
        proportion.interval(1, 2, "wald")
    with pytest.raises(ValueError, match="3 of 2 is no proportion"):
        proportion.interval(3, 2)
    with pytest.raises(ValueError, match="one patient an image"):
        proportion.of_patients([True], ["a", "b"])
    with pytest.raises(ValueError, match="has no patient"):
        proportion.of_patients([True], [None])
