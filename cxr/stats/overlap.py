"""How much two masks overlap. Without pandas or scipy, since trainings import it."""

import math

import numpy as np


def jaccard(a, b, empty: float = math.nan) -> float:
    """Jaccard index |a and b| / |a or b| of two boolean arrays, or torch tensors, of one shape; `empty` if both are."""
    union = _count(a | b)
    return _count(a & b) / union if union else empty


def dice(a, b, empty: float = math.nan) -> float:
    """Dice coefficient 2 |a and b| / (|a| + |b|) of two boolean arrays or tensors of one shape; `empty` if both are."""
    total = _count(a) + _count(b)
    return 2 * _count(a & b) / total if total else empty


def _count(mask) -> int:
    # numpy sums booleans one by one and counts them by the word
    return int(np.count_nonzero(mask)) if isinstance(mask, np.ndarray) else int(mask.sum())
