"""The interval of a proportion: of so many patients, so many had it. Patients are the units, not their images.

Wilson's score interval (1927) covers the true proportion about as often as it says, on average over proportions;
Clopper and Pearson's (1934) at least as often, for every proportion, and is wider for that. Neither collapses to
nothing at 0 % and 100 %, as the bootstrap does (Brown, Cai and DasGupta, Statistical Science 16, 2001).
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

METHODS = {"wilson": "wilson", "clopper-pearson": "beta"}  # by the names that statsmodels has for them


def interval(hits: int, count: int, method: str = "wilson", level: float = 0.95) -> tuple[float, float]:
    """(low, high) of the proportion hits / count, in 0..1; (NaN, NaN) where count is 0.

    method: wilson, or clopper-pearson where the level must be reached whatever the proportion is. Raises ValueError
    for another method, and for counts that are no proportion.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; it is {' or '.join(METHODS)}.")
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no proportion; give whole numbers with 0 <= hits <= count.")
    if not count:
        return float("nan"), float("nan")
    low, high = proportion_confint(hits, count, 1 - level, METHODS[method])
    return max(float(low), 0.0), min(float(high), 1.0)


def of_patients(
    happened: Sequence[bool], patients: Sequence[Hashable], method: str = "wilson", level: float = 0.95
) -> dict[str, float | int]:
    """The share of patients to whom something happened in any of their images: {value, low, high, hits, patients}.

    happened (n,) and patients (n,) of each image. Images of one patient count once, because ten images of a patient
    tell little more than one, and an interval over images would be too narrow. Raises ValueError for lengths that
    differ, and for an image without a patient.
    """
    if len(happened) != len(patients):
        raise ValueError(f"{len(happened)} images have {len(patients)} patients; give one patient an image.")
    member, known = pd.factorize(np.asarray(patients, object))
    if (member < 0).any():
        raise ValueError("An image has no patient; name the patient of every image.")
    hits = int((np.bincount(member, np.asarray(happened, bool), len(known)) > 0).sum())
    low, high = interval(hits, len(known), method, level)
    value = hits / len(known) if len(known) else float("nan")
    return {"value": value, "low": low, "high": high, "hits": hits, "patients": len(known)}
