"""Metrics of a classification, each with a bootstrap interval over patients (bootstrap.py).

A resample is a whole number of copies of every case, and every metric here is a function of such weights: two
thousand resamples are a few matrix products instead of two thousand calls.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import pandas as pd

from cxr.stats import bootstrap

BINS = 15  # of equal width over 0..1, for the calibration error
OVERALL = ("accuracy", "precision", "sensitivity", "specificity", "f1", "auroc", "brier", "ece")
_MACRO = ("precision", "sensitivity", "specificity", "f1", "auroc")  # whose mean over the classes is the overall value
PER_CLASS = (*_MACRO, "brier", "ece")
_AT_ONCE = 300_000  # weights in memory at a time, whatever the size of the cohort


def classification(
    truth: Sequence[int],
    predicted: Sequence[int],
    p: np.ndarray,
    names: Sequence[str],
    patients: Sequence[Hashable],
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    networks: Sequence[Hashable] | None = None,
) -> dict:
    """Every metric of a classification, with its 95 % interval, as plain types that JSON takes.

    truth (n,) and predicted (n,) int, indices into `names`; p (n, classes) probabilities, a row's sum being 1;
    patients (n,) of any hashable kind. Returns

        cases, patients     how many
        resamples, seed     of the bootstrap
        confusion           classes x classes counts, rows the truth, columns the prediction
        overall             {metric: {value, low, high, undefined}}
        per_class           {class: {cases, patients, metric: {value, low, high, undefined}}} of classes in the truth

    precision, sensitivity (recall), specificity, f1 and auroc (one class against the rest) of `overall` are macro
    averages, each class that the truth holds counting as much. A class that is never predicted has no precision, and
    counts 0 in the macro average. brier is the sum over classes of squared differences to the truth (0 to 2; Brier
    1950). ece is the expected calibration error of the greatest probability, whatever the vote predicted, in 15 bins
    of equal width (Guo et al. 2017, eq. 3). Those of a class are of its own probability, as that of an event which
    happens or not: brier its squared difference to 1 or 0 (0 to 1), ece in the same bins (Nixon et al. 2019).
    A value that does not exist, such as the sensitivity for a class of which a resample holds no case, is left out of
    its interval, and `undefined` counts these resamples; a value or bound that does not exist at all is None.

    networks (n,): which of several trainings gave each answer, where the same cases were answered by more than one. A
    metric is then its mean over the trainings, and the bootstrap has two levels (Davison and Hinkley 1997, section
    3.8): a resample draws trainings, with replacement, and patients, the same for all of them. `cases` counts answers.
    Raises ValueError for lengths that differ, classes out of range, and probabilities that are none.
    """
    truth, predicted, p = np.asarray(truth, int), np.asarray(predicted, int), np.asarray(p, float)
    _check(truth, predicted, p, names, patients)
    member, known = pd.factorize(np.asarray(patients, dtype=object))
    training, trainings = pd.factorize(np.zeros(len(truth)) if networks is None else np.asarray(networks, dtype=object))
    found = {}
    for weights, copies in _resamples(member, len(trainings), resamples, seed):
        each = [
            _metrics(truth[own], predicted[own], p[own], weights[:, own])
            for own in (training == number for number in range(len(trainings)))
        ]
        for key, values in _mean(each, copies).items():
            found.setdefault(key, []).append(values)
    # The first row of weights is the cohort itself: its values are the ones reported.
    found = {key: np.concatenate(values) for key, values in found.items()}
    present = [c for c in range(len(names)) if (truth == c).any()]
    one = len(known) < 2
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (truth, predicted), 1)
    return {
        "cases": len(truth),
        "patients": len(known),
        "resamples": resamples,
        "seed": seed,
        "confusion": confusion.tolist(),
        "overall": {metric: _interval(found[metric], one) for metric in OVERALL},
        "per_class": {
            names[c]: {"cases": int((truth == c).sum()), "patients": len(set(member[truth == c]))}
            | {metric: _interval(found[metric, c], one) for metric in PER_CLASS}
            for c in present
        },
    }


def calibration(truth: Sequence[int], p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often the most probable class is right, in 15 bins of its probability: (count, mean probability, share right)
    of each bin, (15,) each, NaN where a bin is empty."""
    truth, p = np.asarray(truth, int), np.asarray(p, float)
    top, right = p.max(1), (p.argmax(1) == truth).astype(float)
    which = _bins(top)
    count = np.bincount(which, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return count, *(np.bincount(which, values, BINS) / count for values in (top, right))


def lines(scores: dict) -> list[str]:
    """The metrics as a table in text, for a person: a row a class, the macro average last."""
    rows = [(name, row["cases"], row["patients"], row) for name, row in scores["per_class"].items()]
    rows.append(("macro average", scores["cases"], scores["patients"], scores["overall"]))
    width = max(len(name) for name, *_ in rows)
    text = [f"{'':<{width}} {'cases':>6} {'patients':>9}" + "".join(f"  {metric:<16}" for metric in _MACRO).rstrip()]
    for name, cases, patients, row in rows:
        numbers = "".join(f"  {_told(row[metric]):<16}" for metric in _MACRO)
        text.append(f"{name:<{width}} {cases:>6} {patients:>9}{numbers}".rstrip())
    text.append(", ".join(f"{metric} {_told(scores['overall'][metric])}" for metric in ("accuracy", "brier", "ece")))
    return text


def _told(entry: dict) -> str:
    if entry["value"] is None:
        return "undefined"
    told = f"{entry['value']:.2f}"
    return told if entry["low"] is None else f"{told} ({entry['low']:.2f}-{entry['high']:.2f})"


def _check(truth: np.ndarray, predicted: np.ndarray, p: np.ndarray, names: Sequence[str], patients: Sequence) -> None:
    if not len(truth) == len(predicted) == len(p) == len(patients) or not len(truth):
        raise ValueError(
            f"{len(truth)} true classes, {len(predicted)} predicted, {len(p)} rows of probabilities and "
            f"{len(patients)} patients; give every case one of each, and one case at least."
        )
    if p.shape[1:] != (len(names),) or not np.isfinite(p).all() or p.min() < 0 or abs(p.sum(1) - 1).max() > 1e-3:
        raise ValueError(f"The probabilities must be {len(names)} numbers a case, from 0, with the sum 1.")
    if min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) >= len(names):
        raise ValueError(f"The classes must be from 0 to {len(names) - 1}.")


def _resamples(member: np.ndarray, trainings: int, count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Copies of every case (rows, n) float and of every training (rows, trainings): a first row of ones, then `count`
    resamples, in portions. One training changes nothing about the resamples of patients."""
    yield np.ones((1, len(member))), np.ones((1, trainings))
    sizes, rngs = (np.ones(int(member.max()) + 1), np.ones(trainings)), (seed, (seed, 1))
    drawn = [
        bootstrap.resamples(size, count, np.random.default_rng(rng), _AT_ONCE // len(member))
        for size, rng in zip(sizes, rngs, strict=True)
    ]
    for patients, copies in zip(*drawn, strict=True):
        yield patients[:, member].astype(float), copies


def _mean(each: list[dict], copies: np.ndarray) -> dict:
    """The metrics of several trainings, as _metrics() gives them, averaged by the copies (rows, trainings) of each;
    what a training leaves undefined is left out."""
    if len(each) == 1:
        return each[0]
    found, nothing = {}, np.full(len(copies), np.nan)
    for key in dict.fromkeys(key for one in each for key in one):
        values = np.stack([one.get(key, nothing) for one in each], 1)
        shares = np.where(np.isnan(values), 0, copies)
        found[key] = _ratio((shares * np.nan_to_num(values)).sum(1), shares.sum(1))
    return found


def _metrics(truth: np.ndarray, predicted: np.ndarray, p: np.ndarray, weights: np.ndarray) -> dict:
    """{metric or (metric, class): (rows,)} of weights (rows, n), NaN where a value does not exist."""
    classes = p.shape[1]
    total = weights.sum(1)
    present = [c for c in range(classes) if (truth == c).any()]
    # (rows, classes, classes): every resample's confusion matrix by one product
    confusion = (weights @ np.eye(classes**2)[truth * classes + predicted]).reshape(-1, classes, classes)
    found = {"accuracy": np.trace(confusion, axis1=1, axis2=2) / total}
    found["brier"] = weights @ ((p - np.eye(classes)[truth]) ** 2).sum(1) / total
    found["ece"] = _calibration_error(p.max(1), p.argmax(1) == truth, weights) / total
    for c in present:
        true, said, both = confusion[:, c].sum(1), confusion[:, :, c].sum(1), confusion[:, c, c]
        found["precision", c] = _ratio(both, said)
        found["sensitivity", c] = _ratio(both, true)
        found["specificity", c] = _ratio(total - true - said + both, total - true)
        found["f1", c] = np.where(true > 0, _ratio(2 * both, true + said), np.nan)
        found["auroc", c] = _auroc(truth == c, p[:, c], weights)
        found["brier", c] = weights @ (p[:, c] - (truth == c)) ** 2 / total
        found["ece", c] = _calibration_error(p[:, c], truth == c, weights) / total
    for metric in _MACRO:
        each = np.array([found[metric, c] for c in present])
        if metric == "precision":  # 0 for a class never predicted, undefined only where a resample lost the class
            lost = np.isnan([found["sensitivity", c] for c in present])
            each = np.where(lost, np.nan, np.nan_to_num(each))
        found[metric] = each.mean(0)
    return found


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _auroc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each row of weights: the share of pairs (positive, negative) in which the positive
    has the higher score, ties counting half (Mann-Whitney)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # where another score begins
    weights, positive = weights[:, order], positive[order]
    above, below = (np.add.reduceat(weights * which, starts, axis=1) for which in (positive, ~positive))
    lower = np.cumsum(below, axis=1) - below
    return _ratio((above * (lower + below / 2)).sum(1), above.sum(1) * below.sum(1))


def _bins(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * BINS).astype(int), BINS - 1)


def _calibration_error(probability: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """By each row of weights, the sum over the bins of |how often it happened - how often it should have|."""
    which, excess = _bins(probability), happened - probability
    return sum(np.abs(weights[:, which == b] @ excess[which == b]) for b in np.unique(which))


def _interval(values: np.ndarray, one_patient: bool) -> dict:
    """Value and percentile interval of the first and the other entries of (1 + resamples,) values."""
    drawn = values[1:]
    low, high = (np.nan, np.nan) if one_patient else bootstrap.bounds(drawn)
    plain = [None if np.isnan(number) else round(float(number), 6) for number in (values[0], low, high)]
    return dict(zip(("value", "low", "high"), plain, strict=True)) | {"undefined": int(np.isnan(drawn).sum())}
