"""Tests and intervals of paired results."""

import math

import numpy as np
import pytest
from scipy import stats

from cxr.errors import BadData
from cxr.stats import paired


def test_mcnemar_is_the_binomial_test_of_what_differs():
    a, b = np.repeat([1, 0, 1, 0], [40, 10, 3, 12]), np.repeat([1, 0, 0, 1], [40, 10, 3, 12])
    found = paired.sign_test(a, b)
    assert found == {"better_a": 3, "better_b": 12, "p": pytest.approx(stats.binomtest(3, 15).pvalue)}
    thirds = np.array([sum([0.1, 0.2, 0.3]) / 3, 1]), np.array([0.6 / 3, 1])  # equal but for rounding
    assert paired.sign_test(*thirds) == {"better_a": 0, "better_b": 0, "p": 1.0}


@pytest.mark.parametrize("people,only_a,only_b", [(12, 0.05, 0.05), (40, 0.0, 0.05), (80, 0.02, 0.06), (80, 0, 0.01)])
def test_intervals_of_paired_shares_cover_the_truth(people, only_a, only_b):
    """Patients have one to three cases, which agree; of these the bootstrap covers as few as 56 %."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(500):
        kind = rng.choice([1.0, -1.0, 0.0], people, p=[only_b, only_a, 1 - only_a - only_b])
        patients = np.repeat(np.arange(people), rng.integers(1, 4, people))
        low, high = paired.share_interval(kind[patients], patients)
        covered += low <= only_b - only_a <= high
    assert covered / 500 >= 0.93


def test_intervals_of_paired_shares_agree_with_the_formula():
    """Bonett and Price 2012, eq. 5, of one case a patient."""
    gap = np.repeat([1, -1, 0], [9, 3, 48])
    n, p12, p21 = 62, 10 / 62, 4 / 62
    half = stats.norm.ppf(0.975) * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / n)
    assert paired.share_interval(gap, np.arange(60)) == pytest.approx((p12 - p21 - half, p12 - p21 + half))
    assert all(math.isnan(bound) for bound in paired.share_interval(gap, np.zeros(60)))


def test_the_signed_rank_test_is_scipys_and_1_where_nothing_differs():
    gap = np.random.default_rng(0).normal(0.3, 1, 25)
    assert paired.signed_rank(np.r_[gap, np.nan]) == stats.wilcoxon(gap).pvalue
    assert paired.signed_rank(np.zeros(5)) == 1


def test_cases_of_one_result_only_are_named():
    with pytest.raises(BadData, match="2 in common. A lacks 1: d; B lacks 1: a. Predict"):
        paired.match("abc", "bcd", ("A", "B"), common=False)
    assert paired.match("cab", "bcd", ("A", "B"), common=True) == ["b", "c"]
