"""Do two results on the same cases differ? Which cases both hold, and exact and rank tests of paired values."""

from collections.abc import Collection, Hashable

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from cxr.errors import BadData

_NAMED = 5  # cases in an error


def match(a: Collection[Hashable], b: Collection[Hashable], names: tuple[str, str], common: bool) -> list:
    """The cases that both results hold, sorted. Raises BadData where one lacks cases of the other, unless `common`, and
    where they share none. A case is text, or a tuple of texts."""
    a, b = set(a), set(b)
    if not a & b:
        raise BadData(f"{names[0]} and {names[1]} have no case in common.")
    if a != b and not common:
        told = [
            f"{name} lacks {len(lost)}: {', '.join(_text(case) for case in sorted(lost)[:_NAMED])}"
            + (" ..." if len(lost) > _NAMED else "")
            for name, lost in zip(names, (b - a, a - b), strict=True)
            if lost
        ]
        raise BadData(
            f"the results are of different cases, with {len(a & b)} in common. {'; '.join(told)}. Predict the same "
            "cases with both, or compare those that both hold with --common."
        )
    return sorted(a & b)


def _text(case: Hashable) -> str:
    return case if isinstance(case, str) else "/".join(case)


def sign_test(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """How many of the pairs are better in a (n,), in b (n,), and the p of McNemar's exact test (two-sided):
    {better_a, better_b, p}; 1 where none differs. More is better."""
    gap = np.round(b - a, 9)  # means of equal answers are equal
    better_a, better_b = int((gap < 0).sum()), int((gap > 0).sum())
    p = mcnemar([[0, better_a], [better_b, 0]], exact=True).pvalue if better_a + better_b else 1.0
    return {"better_a": better_a, "better_b": better_b, "p": float(p)}


def share_interval(gap: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """The 95 % interval (low, high) of the difference of two shares, of cases with gap (n,): 1 where only b has it, -1
    where only a has it, else 0, or means of these over several answers.

    Bonett and Price 2012 (J. Educ. Behav. Stat. 37:479): Wald's interval after a patient of either kind was added.
    The bootstrap has no width where no case differs, and too little where few do. Patients, and not their cases, are
    independent: the variance is that between patients. (NaN, NaN) for fewer than two.
    """
    member, known = pd.factorize(np.asarray(patients, object))
    if len(known) < 2:
        return float("nan"), float("nan")
    mean = len(gap) / len(known)
    sums, sizes = np.r_[np.bincount(member, gap), mean, -mean], np.r_[np.bincount(member), mean, mean]
    middle = sums.sum() / sizes.sum()
    half = stats.norm.ppf(0.975) * np.sqrt(((sums - middle * sizes) ** 2).sum()) / sizes.sum()
    return float(max(-1, middle - half)), float(min(1, middle + half))


def signed_rank(differences: np.ndarray) -> float:
    """The two-sided p of Wilcoxon's signed-rank test (1945) of differences (n,); 1 where all are 0, NaN left out."""
    differences = differences[~np.isnan(differences)]
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def of_patients(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(m,) means over the values (n,) of each patient, by the patient's first place."""
    return pd.Series(values).groupby(np.asarray(patients, object), sort=False).mean().to_numpy()
