"""The bootstrap over patients, against scipy's and theory."""

import math

import numpy as np
import pytest
from scipy import stats

from cxr.stats import bootstrap


def test_an_interval_of_a_mean_agrees_with_scipy_and_theory():
    values = np.random.default_rng(3).normal(0.9, 0.05, 60)
    low, high = bootstrap.mean_interval(values)
    oracle = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=2e-3)
    error = values.std() / math.sqrt(60)
    assert (low, high) == pytest.approx(stats.norm.interval(0.95, values.mean(), error), abs=0.15 * error)
    assert bootstrap.mean_interval(np.r_[values, np.nan]) == (low, high)
    assert bootstrap.mean_interval(values) == (low, high) != bootstrap.mean_interval(values, seed=1)


def test_it_is_wider_over_patients_whose_images_agree():
    patient = np.repeat(np.arange(20), 10)
    values = np.random.default_rng(0).normal(size=20)[patient]
    by_case = np.ptp(bootstrap.mean_interval(values))
    by_patient = np.ptp(bootstrap.mean_interval(values, [f"p{p}" for p in patient], 1000))
    assert by_patient == pytest.approx(by_case * math.sqrt(10), rel=0.25)
    assert bootstrap.mean_interval(values, np.arange(200)) == bootstrap.mean_interval(values)


def test_it_covers_the_mean_of_patients_of_unequal_size_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(5), 0
    for _ in range(200):
        patient = np.repeat(np.arange(40), rng.integers(1, 6, 40))
        values = rng.normal(size=40)[patient] + rng.normal(size=len(patient))
        low, high = bootstrap.mean_interval(values, patient, 400)
        hits += low < 0 < high
    assert 0.89 < hits / 200 <= 0.99


def test_portions_change_no_resample():
    sizes = np.array([1.0, 2, 3])
    whole = np.concatenate(list(bootstrap.resamples(sizes, 50, np.random.default_rng(0), 100)))
    parts = np.concatenate(list(bootstrap.resamples(sizes, 50, np.random.default_rng(0), 7)))
    assert (whole == parts).all() and (whole.sum(1) == 6).all() and len(whole) == 50


@pytest.mark.parametrize("values,groups", [([], None), ([0.5], None), ([np.nan, 0.5], None), ([1.0, 2, 3], "aaa")])
def test_too_little_gives_nan(values, groups):
    assert all(math.isnan(bound) for bound in bootstrap.mean_interval(values, groups and list(groups)))
    assert all(math.isnan(bound) for bound in bootstrap.bounds(np.array([np.nan])))


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="groups"):
        bootstrap.mean_interval([1.0, 2, 3], ["a", "b"])
    with pytest.raises(ValueError, match="no group"):
        bootstrap.mean_interval([1.0, 2, 3], ["a", None, "b"])


def test_a_corrected_interval_is_scipys():
    values = np.random.default_rng(2).exponential(size=15)
    plain = stats.bootstrap((values,), np.var, n_resamples=1500, method="percentile", rng=1)
    oracle = stats.bootstrap((values,), np.var, n_resamples=0, method="BCa", bootstrap_result=plain).confidence_interval
    drawn, without = plain.bootstrap_distribution, np.array([np.var(np.delete(values, i)) for i in range(15)])
    assert bootstrap.corrected(np.var(values), np.r_[drawn, np.nan], without) == pytest.approx(
        (oracle.low, oracle.high)
    )
    assert bootstrap.corrected(0.5, drawn, np.full(3, np.nan)) == bootstrap.bounds(drawn)
