"""Do classes differ in a number? Rank tests between classes, and how large the differences are, patient by patient.

The images of one patient are not independent, so a patient is one value: the mean of the patient's images of a class.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cxr.stats import bootstrap, proportion

KRUSKAL, MANN_WHITNEY = "kruskal-wallis", "mann-whitney"
ALL = "all"  # in the column source: over all of them
COLUMNS = [
    "marker", "source", "test", "class_a", "class_b", "n_a", "n_b", "median_a", "median_b", "statistic", "p", "p_holm",
    "effect", "low", "high",
]  # fmt: skip
LEAST = 3  # patients of a class, below which it is not compared: no test can tell anything of two
_AT_ONCE = 4_000_000  # counts in memory at a time, whatever the number of patients


def per_patient(images: pd.DataFrame, marker: str) -> dict[str, np.ndarray]:
    """{label: (n,) float values of its patients} of a table with a row an image: label, patient and the marker.

    A patient's value is the mean over the patient's images of that label; images without a value (NaN) or without a
    label are left out. Whoever has images of two labels counts in both.
    """
    means = images.groupby(["label", "patient"])[marker].mean().dropna()
    return {label: values.to_numpy(float) for label, values in means.groupby(level="label")}


def compare(
    images: pd.DataFrame,
    markers: Sequence[str],
    classes: Sequence[str],
    source: str = ALL,
    repeats: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Tests and effect sizes of every marker, as a table with COLUMNS; it is empty where nothing can be compared.

    images: row an image, with label, patient and the markers. classes: labels in the order to report. A class takes
    part in a marker's comparison with values of LEAST patients or more.

    A row `kruskal-wallis` a marker (Kruskal and Wallis 1952): H, p, p_holm over the markers of this table, effect
    epsilon squared = H / (n - 1), 0 to 1, without interval; n_a counts all patients. A row `mann-whitney` a pair of
    classes (two-sided; exact where groups are small and untied): U of class a, p, p_holm over the pairs of that marker
    (Holm 1979), effect Cliff's delta with its 95 % bootstrap interval over patients (see `cliffs_delta`, `interval`).
    """
    rows = []
    for marker in markers:
        values = per_patient(images, marker)
        values = {name: values[name] for name in classes if len(values.get(name, ())) >= LEAST}
        if len(values) < 2:
            continue
        rows.append({"marker": marker, "test": KRUSKAL} | _kruskal(list(values.values())))
        pairs = [_pair(values, a, b, repeats, seed) for a, b in combinations(values, 2)]
        for row, p in zip(pairs, holm([row["p"] for row in pairs]), strict=True):
            rows.append({"marker": marker, "test": MANN_WHITNEY} | row | {"p_holm": p})
    table = pd.DataFrame(rows, columns=COLUMNS).assign(source=source)
    overall = table.test == KRUSKAL
    table.loc[overall, "p_holm"] = holm(table.p[overall])
    return table.astype({"n_a": "Int64", "n_b": "Int64", "p_holm": float})


def within_sources(
    images: pd.DataFrame,
    markers: Sequence[str],
    classes: Sequence[str],
    repeats: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """`compare` in every source by itself, one table: there classes differ by disease and not by hospital.

    images has a column source besides; rows with an empty one are left out, and so is a source of one class.
    """
    names = sorted(name for name in images.source.dropna().unique() if name)
    tables = [compare(images[images.source == name], markers, classes, name, repeats, seed) for name in names]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else compare(images[:0], markers, classes)


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction of some p-values, as (n,) floats."""
    p = np.asarray(p, float)
    return multipletests(p, method="holm")[1] if len(p) > 1 else p


def cliffs_delta(a: np.ndarray, b: np.ndarray) -> float:
    """P(a > b) - P(a < b) for values a (n,) of one group and b (m,) of another, -1 to 1; 0: neither tends to be more.

    Cliff 1993, Psychological Bulletin 114:494. The same as the rank-biserial correlation 2 U / (n m) - 1, and as
    2 AUC - 1 of telling the groups by the value.
    """
    return float(_delta(*(counts[None] for counts in _counts(a, b)))[0])


def interval(a: np.ndarray, b: np.ndarray, repeats: int = bootstrap.RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """(low, high): 95 % bootstrap interval of `cliffs_delta`, drawing within each group (Efron and Tibshirani
    1993, chapters 8 and 13). Groups that do not overlap leave the bootstrap no width: there every of m pairs of
    different patients is in order, m being the smaller group, and m of m has an exact bound (proportion.py).

    A resample is a count for each value that occurs, so that thousands of them need no comparison of all with all.
    """
    delta, fewest = cliffs_delta(a, b), min(len(a), len(b))
    if abs(delta) == 1:
        bound = 2 * proportion.interval(fewest, fewest)[0] - 1
        return (bound, 1.0) if delta > 0 else (-1.0, -bound)
    counts, rng = _counts(a, b), np.random.default_rng(seed)
    drawn = [bootstrap.resamples(count, repeats, rng, _AT_ONCE // len(count)) for count in counts]
    return bootstrap.bounds(np.concatenate([_delta(*both) for both in zip(*drawn, strict=True)]))


def _counts(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    """How often each value that occurs in either group occurs in a and in b, by rising value: (m,) int each."""
    values, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    return tuple(np.bincount(part, minlength=len(values)) for part in (place[: len(a)], place[len(a) :]))


def _delta(count_a: np.ndarray, count_b: np.ndarray) -> np.ndarray:
    """(rows,) Cliff's delta of (rows, m) counts of the same rising values."""
    up_to = np.cumsum(count_b, 1)
    total = up_to[:, -1:]
    below, above = up_to - count_b, total - up_to
    return (count_a * (below - above)).sum(1) / (count_a.sum(1) * total[:, 0])


def _kruskal(groups: list[np.ndarray]) -> dict[str, float]:
    every = np.concatenate(groups)
    # Where all values are one, ranks do not exist and neither does a difference.
    h, p = stats.kruskal(*groups) if np.ptp(every) else (0.0, 1.0)
    return {"n_a": len(every), "median_a": np.median(every), "statistic": h, "p": p, "effect": h / (len(every) - 1)}


def _pair(values: Mapping[str, np.ndarray], name_a: str, name_b: str, repeats: int, seed: int) -> dict[str, Any]:
    a, b = values[name_a], values[name_b]
    u, p = stats.mannwhitneyu(a, b, alternative="two-sided") if np.ptp([*a, *b]) else (len(a) * len(b) / 2, 1.0)
    low, high = interval(a, b, repeats, seed)
    row = {"class_a": name_a, "class_b": name_b, "n_a": len(a), "n_b": len(b)}
    row |= {"median_a": np.median(a), "median_b": np.median(b), "statistic": u, "p": p}
    return row | {"effect": cliffs_delta(a, b), "low": low, "high": high}
