"""The exact interval of a proportion: of so many patients, so many had it. Patients are the units, not their images.

The bootstrap gives no width at 0 % and 100 %, however few patients there are, and too little of it for a dozen.
Clopper and Pearson's interval (Biometrika 26:404, 1934) covers the true proportion at least as often as it says, for
every proportion and number.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


def interval(hits: float, count: float, level: float = LEVEL) -> tuple[float, float]:
    """(low, high) of the proportion hits / count, in 0..1; (NaN, NaN) where count is 0.

    count need not be whole: it may be an effective number. Raises ValueError for what is no proportion.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no proportion; give 0 <= hits <= count.")
    if not count:
        return float("nan"), float("nan")
    low, high = proportion_confint(hits, count, 1 - level, "beta")
    return max(float(low), 0.0), min(float(high), 1.0)


def of_cases(happened: Sequence[bool], patients: Sequence[Hashable], level: float = LEVEL) -> tuple[float, float]:
    """The interval of the share of cases to which something happened; happened (n,) and patients (n,) of each.

    As `of_sums`. Raises ValueError for lengths that differ, and for a case without a patient.
    """
    member = _members(happened, patients)
    return of_sums(np.bincount(member, np.asarray(happened, bool)), np.bincount(member), level)


def of_sums(hits: np.ndarray, sizes: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The interval of sum(hits) / sum(sizes), where each patient has hits (m,) of sizes (m,) cases; 0 cases are none.

    Cases of one patient are alike, so they count as the number of independent ones whose proportion would vary as much
    (Korn and Graubard, Survey Methodology 24:193, 1998), and never as more than there are patients: as many where each
    has one case, and where all or none were hit. (NaN, NaN) without a case, and where the only patient was hit in part.
    """
    hits, sizes = (np.asarray(part, float)[np.asarray(sizes) > 0] for part in (hits, sizes))
    patients, cases = len(sizes), sizes.sum()
    if not patients:
        return float("nan"), float("nan")
    share = hits.sum() / cases
    if share in (0, 1):
        return interval(share * patients, patients, level)
    if patients < 2:
        return float("nan"), float("nan")
    variance = patients / (patients - 1) * ((hits - share * sizes) ** 2).sum() / cases**2
    spread = share * (1 - share) / (patients - 1)  # the variance if each patient had one case
    effective = patients * spread / max(variance, spread)
    return interval(share * effective, effective, level)


def _members(happened: Sequence[bool], patients: Sequence[Hashable]) -> np.ndarray:
    if len(happened) != len(patients):
        raise ValueError(f"{len(happened)} cases have {len(patients)} patients; give one patient a case.")
    member, _ = pd.factorize(np.asarray(patients, object))
    if (member < 0).any():
        raise ValueError("A case has no patient; name the patient of every case.")
    return member
