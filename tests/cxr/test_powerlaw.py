"""The power law of an error: found again where it is known, plain where the data say no more."""

import numpy as np
import pytest

from cxr.stats import powerlaw

N = np.repeat([10, 20, 40, 80, 160], 5)


def test_a_known_law_is_found_again():
    noise = np.random.default_rng(1).normal(0, 0.002, len(N))
    found = powerlaw.fit(N, powerlaw.law(N, 0.05, 0.9, 0.7) + noise)
    assert found["formula"] == powerlaw.FULL
    assert [found[name] for name in "abc"] == pytest.approx([0.05, 0.9, 0.7], rel=0.15)


@pytest.mark.parametrize(
    "n,error,c",
    [
        ([10, 20, 40], [0.4, 0.2, 0.1], 1.0),  # three sizes cannot tell three numbers
        ([10, 20, 40, 80], [0.3, 0.3, 0.3, 0.3], 0.0),  # no fall: a and b are the same thing
        ([10, 20, 40, 80], [0.1, 0.2, 0.3, 0.4], 0.0),  # the more, the worse
    ],
)
def test_without_a_where_it_cannot_be_told(n, error, c):
    found = powerlaw.fit(n, error)
    assert found["formula"] == powerlaw.PLAIN and found["a"] == 0
    assert found["c"] == pytest.approx(c, abs=0.01) and np.isfinite(found["b"])


def test_one_size_has_no_law():
    assert powerlaw.fit([10, 10], [0.3, 0.4]) is None
