"""How an error falls with the number of labelled cases: a power law.

error = a + b * n^-c, with the error a that more cases of the kind would leave (Hestness et al. 2017, "Deep learning
scaling is predictable, empirically", arXiv 1712.00409; Viering and Loog 2023, IEEE TPAMI 45(6):7799).
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from scipy.optimize import curve_fit

FULL, PLAIN = "a + b * n^-c", "b * n^-c"
_STEEPEST = 5.0  # of c; a steeper fit follows one size alone


def law(n: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """a + b * n^-c."""
    return a + b * np.asarray(n, float) ** -c


def fit(n: Sequence[float], error: Sequence[float]) -> dict | None:
    """The least-squares fit to points (n, error): formula, a, b, c, none below 0; None for fewer than two sizes.

    With fewer than four sizes, or where a cannot be told (no fall, no convergence, c at a bound), a is 0.
    """
    n, error = np.asarray(n, float), np.asarray(error, float)
    sizes = len(np.unique(n))
    if sizes < 2:
        return None
    start = max(error.mean(), 1e-6) * n.mean() ** 0.5, 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the covariance cannot be told, a is left out
        if sizes >= 4:
            with suppress(RuntimeError):  # no convergence
                first = 0.5 * error.min(), *start
                (a, b, c), spread = curve_fit(law, n, error, first, bounds=(0, [1, np.inf, _STEEPEST]))
                falls = b * (n.min() ** -c - n.max() ** -c) > 0.01 * error.mean()
                if np.isfinite(spread).all() and falls and 0.01 < c < 0.99 * _STEEPEST:
                    return {"formula": FULL, "a": float(a), "b": float(b), "c": float(c)}
        plain = curve_fit(lambda n, b, c: law(n, 0, b, c), n, error, start, bounds=(0, [np.inf, _STEEPEST]))
    b, c = plain[0]
    return {"formula": PLAIN, "a": 0.0, "b": float(b), "c": float(c)}
