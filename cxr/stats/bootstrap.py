"""The bootstrap over patients: one draw of resamples for every interval of the project.

The images of one patient are not independent, so patients are drawn, with replacement, and all their cases come along
(a cluster bootstrap: Davison and Hinkley 1997, section 3.8; percentile interval: Efron and Tibshirani 1993, chapter
13). A resample is a whole number of copies of every patient, so that a statistic that is a function of such weights
needs a few matrix products for thousands of resamples.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 2000


def resamples(sizes: np.ndarray, count: int, rng: np.random.Generator, at_once: int) -> Iterator[np.ndarray]:
    """`count` resamples as copies (rows, m) int, in portions of `at_once` rows at most.

    sizes (m,): how many patients share each entry, all 1 where an entry is a patient. As many are drawn as there are.
    """
    total = int(sizes.sum())
    for first in range(0, count, max(1, at_once)):
        yield rng.multinomial(total, sizes / total, min(max(1, at_once), count - first))


def bounds(drawn: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval (low, high) of a statistic's resamples, NaN left out; NaN where none is left."""
    drawn = drawn[~np.isnan(drawn)]
    tail = round(50 * (1 - level), 9)  # percent
    low, high = np.percentile(drawn, (tail, 100 - tail)) if len(drawn) else (np.nan, np.nan)
    return float(low), float(high)


def corrected(value: float, drawn: np.ndarray, without: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The interval (low, high) of a statistic by its resamples and its values without each patient, NaN left out:
    percentiles that are shifted for its bias and its skewness (BCa: Efron and Tibshirani 1993, section 14.3)."""
    drawn, without = (values[~np.isnan(values)] for values in (drawn, without))
    gap = without.mean() - without if len(without) else without
    if not len(drawn) or not gap.any():
        return bounds(drawn, level)
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    skewness = (gap**3).sum() / (6 * (gap**2).sum() ** 1.5)
    at = bias + stats.norm.ppf(((1 - level) / 2, (1 + level) / 2))
    low, high = np.percentile(drawn, 100 * stats.norm.cdf(bias + at / (1 - skewness * at)))
    return float(low), float(high)


def mean_interval(
    values: Sequence, groups: Sequence | None = None, count: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """The interval (low, high) of the mean of values (n,), NaN left out.

    groups (n,): the patient of each value, of any hashable kind; each value is one by itself where they are not given.
    (NaN, NaN) for fewer than two patients. Raises ValueError for groups that do not fit the values.
    """
    values = np.asarray(values, float)
    groups = np.arange(len(values)) if groups is None else np.asarray(groups, object)
    if len(groups) != len(values):
        raise ValueError(f"{len(values)} values have {len(groups)} groups; give one group a value.")
    known = ~np.isnan(values)
    member, patients = pd.factorize(groups[known])
    if (member < 0).any():
        raise ValueError("A value has no group; name the patient of every case.")
    if len(patients) < 2:
        return np.nan, np.nan
    sums, sizes = np.bincount(member, values[known]), np.bincount(member)
    rng = np.random.default_rng(seed)
    drawn = resamples(np.ones(len(patients)), count, rng, at_once=1_000_000 // len(patients))
    return bounds(np.concatenate([copies @ sums / (copies @ sizes) for copies in drawn]), level)
