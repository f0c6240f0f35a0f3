"""A small model on what a network sees: logistic regression on frozen features, always tested on other patients.

Its figure is the balanced accuracy, the mean of the classes' sensitivities, with a 95 % bootstrap interval over
patients. Chance is one over the number of classes, however unequal they are.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classification.trust.part import Figure
from cxr.stats import scores

FOLDS = 5
LEAST = 2 * FOLDS  # patients of a value, below which it is left out
COMPONENTS = 64
PERMUTATIONS = 39  # the greatest of which chance exceeds one time in forty
NO_NETWORK = "Only a single network can be asked; name one with file_weights=FILE."
MODEL = f"logistic regression on {COMPONENTS} principal components, {FOLDS} folds by patient"


class Probed(NamedTuple):
    """What a small model reads from some cases."""

    figure: Figure  # balanced accuracy
    predicted: np.ndarray  # (n,) int
    chance: float

    def beats(self, floor: Figure) -> bool:
        """Whether this is more than chance: the interval begins above it, and no permuted labels reach the value. The
        interval alone is too narrow where cases are few, since folds share the cases that they are trained on."""
        return self.figure.low > self.chance and self.figure.value > floor.high


def fit(x: np.ndarray, y: np.ndarray):
    """A logistic regression, classes weighted to count alike, on standardised x (n, features) and y (n,) int."""
    x, components = np.asarray(x, np.float64), min(COMPONENTS, x.shape[1], len(x) - 1)
    regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    steps = StandardScaler(), PCA(components, random_state=0), regression
    return make_pipeline(*steps).fit(x, y)


def out_of_fold(
    x: np.ndarray, y: np.ndarray, patient: np.ndarray, seed: int, fit: Callable = fit, folds: int = FOLDS
) -> np.ndarray:
    """The probabilities (n, classes) that models trained on other patients give each case; y (n,) is 0, 1, ...; fit(x,
    y): a trained model."""
    p = np.zeros((len(y), y.max() + 1))
    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(x, y, patient):
        model = fit(x[train], y[train])
        p[np.ix_(test, model.classes_)] = model.predict_proba(x[test])
    return p


def read(x: np.ndarray, y: np.ndarray, patient: np.ndarray, seed: int, note: str = "") -> Probed:
    """How well the class y (n,), 0, 1, ..., can be read from x (n, features)."""
    p = out_of_fold(x, y, patient, seed)
    return Probed(figure(y, p.argmax(1), p, patient, note), p.argmax(1), 1 / p.shape[1])


def figure(y: np.ndarray, predicted: np.ndarray, p: np.ndarray, patient: np.ndarray, note: str = "") -> Figure:
    """The balanced accuracy of predictions (n,) with probabilities p (n, classes), without a name yet."""
    found = scores.classification(y, predicted, p, [str(c) for c in range(p.shape[1])], patient)
    entry = found["overall"]["sensitivity"]
    note = f"{note}{'; ' * bool(note)}chance {1 / len(set(y)):.2f}"
    return Figure("", entry["value"], entry["low"], entry["high"], found["cases"], found["patients"], note)


def floor(x: np.ndarray, y: np.ndarray, patient: np.ndarray, seed: int) -> Figure:
    """The balanced accuracy where labels are permuted among patients."""
    deals = permuted(y, patient, seed, PERMUTATIONS)
    drawn = [balanced_accuracy_score(some, out_of_fold(x, some, patient, seed).argmax(1)) for some in deals]
    return spread(drawn, patient)


def spread(drawn: list[float], patient: np.ndarray) -> Figure:
    """The mean of a value under permutations, their least and their greatest."""
    note = f"mean, least and greatest of {len(drawn)} permutations"
    return Figure("", *(float(told(drawn)) for told in (np.mean, min, max)), len(patient), len(set(patient)), note)


def named(figures: dict[str, Figure]) -> list[Figure]:
    """Figures with their names."""
    return [figure._replace(name=name) for name, figure in figures.items()]


def permuted(y: np.ndarray, patient: np.ndarray, seed: int, count: int) -> list[np.ndarray]:
    """Labels (n,) dealt out anew, `count` times: every patient gets the first label of some patient."""
    member, known = pd.factorize(patient)
    first = y[np.unique(member, return_index=True)[1]]
    rng = np.random.default_rng(seed)
    return [rng.permutation(first)[member] for _ in range(count)]


def coded(values, patient, least: int = LEAST) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Text values (n,) as classes: which cases have a value that `least` patients have, (n,) bool; those cases' values
    as 0, 1, ...; their names. All is empty where fewer than two values are left."""
    table = pd.DataFrame({"value": np.asarray(values, str), "patient": patient})
    counts = table[table.value != ""].groupby("value").patient.nunique()
    names = sorted(counts.index[counts >= least])
    kept = table.value.isin(names).to_numpy() if len(names) > 1 else np.zeros(len(table), bool)
    return kept, np.searchsorted(names, table.value[kept]), names if len(names) > 1 else []


def told(figure: Figure) -> str:
    """A figure in a sentence."""
    return f"{figure.value:.2f}" + (f" ({figure.low:.2f} to {figure.high:.2f})" if figure.low is not None else "")
