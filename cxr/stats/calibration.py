"""Calibration error: how far probabilities are from how often what they tell of happens.

Cases are sorted by probability into bins of equal mass. The error found in a sample is never 0, even of a calibrated
network, and grows with the number of bins: `expected` says what it would be by chance, and `debiased` is without it.
"""

from collections.abc import Iterator

import numpy as np

from cxr.stats import bootstrap, proportion

BINS = 10
LEAST = 10  # patients to a bin: fewer patients have fewer bins
_AT_ONCE = 300_000  # numbers in memory at a time, whatever the size of the cohort


def bins(probability: np.ndarray, patients: int) -> np.ndarray:
    """The bin (n,) of each case, from 0: BINS of equally many cases, fewer where there are under LEAST patients to one.
    Cases of the same probability share a bin."""
    count = min(BINS, max(1, patients // LEAST))
    edges = np.sort(probability)[(np.arange(1, count) * len(probability) - 1) // count]
    return np.unique(np.searchsorted(edges, probability), return_inverse=True)[1]


def curve(happened: np.ndarray, probability: np.ndarray, member: np.ndarray) -> dict[str, np.ndarray]:
    """Of each bin: cases `count`, mean `probability`, `share` that happened, and its exact interval `low`, `high`.

    happened, probability and member (n,): the number of each case's patient, from 0.
    """
    which = bins(probability, member.max() + 1)
    count = np.bincount(which)
    mean, share = (np.bincount(which, values) / count for values in (probability, happened))
    bounds = [proportion.of_cases(happened[which == b], member[which == b]) for b in range(len(count))]
    low, high = np.transpose(bounds)
    return {"count": count, "probability": mean, "share": share, "low": low, "high": high}


def measure(
    happened: np.ndarray, probability: np.ndarray, member: np.ndarray, count: int, seed: int
) -> tuple[tuple[float, ...], ...]:
    """The error (value,), without its bias (value, low, high), and as expected by chance (mean, low, high), from
    `count` resamples and draws. Arguments as of `curve`."""
    rng, patients = np.random.default_rng(seed), int(member.max()) + 1
    which = bins(probability, patients)
    copies = bootstrap.resamples(np.ones(patients), count, rng, _AT_ONCE // patients)
    unbiased = debiased(happened - probability, which, member, copies)
    drawn = expected(probability, which, member, count, rng)
    found = float(error(happened - probability, which))
    return (found,), unbiased, (float(drawn.mean()), *bootstrap.bounds(drawn))


def error(excess: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Expected calibration error (Guo et al. 2017, eq. 3): over the bins, the mean of |share that happened - mean
    probability|, weighted by cases. excess (..., n): happened - probability; which (n,): bins; returns (...)."""
    return np.abs(excess @ np.eye(which.max() + 1)[which]).sum(-1) / len(which)


def expected(
    probability: np.ndarray, which: np.ndarray, member: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(count,) calibration errors of a calibrated network: what happens is drawn with the probabilities (n,) given, by
    one number a patient, since the cases of a patient are alike."""
    rows, patients = max(1, _AT_ONCE // len(member)), int(member.max()) + 1
    portions = (rng.random((min(rows, count - first), patients)) for first in range(0, count, rows))
    return np.concatenate([error((drawn[:, member] < probability) - probability, which) for drawn in portions])


def debiased(
    excess: np.ndarray, which: np.ndarray, member: np.ndarray, copies: Iterator[np.ndarray]
) -> tuple[float, float, float]:
    """Root mean squared calibration error over the bins without its bias, and its 95 % interval: (value, low, high).

    The square is Kumar, Liang and Ma's unbiased estimate (NeurIPS 2019, definition 4.1), over pairs of different
    patients, since those of one patient are alike; below 0 it is taken for 0. excess, which and member (n,); copies:
    resamples (rows, m) of patients. To them the cohort's own error is the truth, so that the interval is that of their
    deviations from it (Davison and Hinkley 1997, section 5.2: basic). NaN for a single patient.
    """
    sums, sizes = (np.zeros((member.max() + 1, which.max() + 1)) for _ in range(2))
    np.add.at(sums, (member, which), excess)
    np.add.at(sizes, (member, which), 1.0)
    one = np.ones((1, len(sums)))
    square, truth = (float(_square(one, sums, sizes, unbiased)[0]) for unbiased in (True, False))
    drawn = np.concatenate([_square(some, sums, sizes, unbiased=True) for some in copies])
    low, high = bootstrap.bounds(truth + square - drawn)
    return tuple(np.sqrt(np.maximum(0, (square, low, high))).tolist())


def _square(copies: np.ndarray, sums: np.ndarray, sizes: np.ndarray, unbiased: bool) -> np.ndarray:
    """(rows,) mean squared error over the bins of resamples (rows, m); sums of the excess and sizes (m, bins)."""
    total, cases = copies @ sums, copies @ sizes
    products, pairs = total**2, cases**2
    if unbiased:  # without the pairs of a patient with itself
        products, pairs = products - copies @ sums**2, pairs - copies @ sizes**2
    known = np.where(pairs > 0, cases, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(known * products / pairs, 1) / known.sum(1)
