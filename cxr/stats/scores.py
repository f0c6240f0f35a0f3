"""Metrics of a classification, each with an interval over patients: proportions an exact one (proportion.py), the
others by the bootstrap (resampled.py)."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from cxr.stats import bootstrap, calibration, proportion, resampled
from cxr.stats.resampled import MACRO

_ECE = ("ece", "ece_debiased", "ece_expected")
OVERALL = ("accuracy", "precision", "sensitivity", "specificity", "f1", "auroc", "brier", *_ECE)
PER_CLASS = (*MACRO, "brier", *_ECE)


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
    1950); that of a class is the squared difference of its own probability to 1 or 0 (0 to 1).

    ece is the expected calibration error of the greatest probability, whatever the vote predicted, or of a class's own
    probability (Nixon et al. 2019), without interval; ece_expected what it would be if the network were calibrated,
    with the range of 95 in 100 draws; ece_debiased the root of the squared error without bias (calibration.py).

    Intervals of proportions and of a class's f1 are exact (see `_exact`), the others bootstrap.corrected().
    A value that does not exist, such as the sensitivity for a class of which a resample holds no case, is left out of
    its interval, and `undefined` counts these resamples; a value or bound that does not exist at all is None.

    networks (n,): which of several trainings gave each answer, where the same cases were answered by more than one. A
    metric is then its mean over the trainings, and the bootstrap has two levels (Davison and Hinkley 1997, section
    3.8): a resample draws trainings, with replacement, and patients, the same for all of them. Intervals are then
    percentiles, exact only where all or none are right, and `cases` counts answers.
    Raises ValueError for lengths that differ, classes out of range, and probabilities that are none.
    """
    truth, predicted, p = np.asarray(truth, int), np.asarray(predicted, int), np.asarray(p, float)
    _check(truth, predicted, p, names, patients)
    member, known = pd.factorize(np.asarray(patients, dtype=object))
    training, trainings = pd.factorize(np.zeros(len(truth)) if networks is None else np.asarray(networks, dtype=object))
    found = resampled.metrics(truth, predicted, p, member, resamples, seed, training)
    present = [c for c in range(len(names)) if (truth == c).any()]
    less = resampled.without(truth, predicted, p, member) if len(trainings) == 1 < len(known) else {}
    told = {}
    for key, values in found.items():
        bounds = bootstrap.corrected(values[0], values[1:], less.get(key, np.empty(0)))
        told[key] = _entry(values[0], *bounds, np.isnan(values[1:]).sum())
    for key, bounds in _exact(truth, predicted, member, told, present).items():
        if len(trainings) == 1 or told[key]["value"] in (0, 1):
            told[key] = _entry(told[key]["value"], *bounds, told[key]["undefined"])
    events = {None: (p.argmax(1) == truth, p.max(1))} | {c: (truth == c, p[:, c]) for c in present}
    for c, event in events.items():
        values = calibration.measure(*event, member, resamples, seed)
        told |= {key if c is None else (key, c): _entry(*held) for key, held in zip(_ECE, values, strict=True)}
    if len(known) < 2:
        told = {key: _entry(entry["value"], None, None, entry["undefined"]) for key, entry in told.items()}
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (truth, predicted), 1)
    return {
        "cases": len(truth),
        "patients": len(known),
        "resamples": resamples,
        "seed": seed,
        "confusion": confusion.tolist(),
        "overall": {metric: told[metric] for metric in OVERALL},
        "per_class": {
            names[c]: {"cases": int((truth == c).sum()), "patients": len(set(member[truth == c]))}
            | {metric: told[metric, c] for metric in PER_CLASS}
            for c in present
        },
    }


def lines(scores: dict) -> list[str]:
    """The metrics as a table in text, for a person: a row a class, the macro average last."""
    rows = [(name, row["cases"], row["patients"], row) for name, row in scores["per_class"].items()]
    rows.append(("macro average", scores["cases"], scores["patients"], scores["overall"]))
    width = max(len(name) for name, *_ in rows)
    text = [f"{'':<{width}} {'cases':>6} {'patients':>9}" + "".join(f"  {metric:<16}" for metric in MACRO).rstrip()]
    for name, cases, patients, row in rows:
        numbers = "".join(f"  {_told(row[metric]):<16}" for metric in MACRO)
        text.append(f"{name:<{width}} {cases:>6} {patients:>9}{numbers}".rstrip())
    text.append(", ".join(f"{metric} {_told(scores['overall'][metric])}" for metric in ("accuracy", "brier", *_ECE)))
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


def _exact(truth: np.ndarray, predicted: np.ndarray, member: np.ndarray, told: dict, present: list[int]) -> dict:
    """{metric or (metric, class): exact (low, high)} of all that are proportions, and of the others that are 0 or 1.

    f1 is 2 J / (1 + J) of the proportion J of the cases that are of a class and called so, among those that are
    either. An auroc of 1 says that m pairs of different patients are all in order, m being the patients of the smaller
    side; a macro average of 1 that m patients, of classes drawn at random, are all right, m being the fewest patients
    of a class. So m of m bound either.
    """

    def sums(happened: np.ndarray) -> np.ndarray:
        return np.bincount(member, happened)

    bounds, units = {"accuracy": proportion.of_cases(truth == predicted, member)}, {}
    for c in present:
        true, said = truth == c, predicted == c
        shares = {"precision": (true, said), "sensitivity": (said, true), "specificity": (~said, ~true)}
        for metric, (hit, among) in (shares | {"f1": (true & said, true | said)}).items():
            bounds[metric, c] = proportion.of_sums(sums(hit & among), sums(among))
            units[metric, c] = (sums(among) > 0).sum()
        bounds["f1", c] = tuple(2 * bound / (1 + bound) for bound in bounds["f1", c])
        units["auroc", c] = min((sums(true) > 0).sum(), (sums(~true) > 0).sum())
    for metric in MACRO:
        units[metric] = min(units[metric, c] for c in present)
        for key in (metric, *((metric, c) for c in present)):
            if key not in bounds and told[key]["value"] in (0, 1):
                bounds[key] = proportion.interval(told[key]["value"] * units[key], units[key])
    return bounds


def _entry(value: float | None, low: float | None = None, high: float | None = None, undefined: int = 0) -> dict:
    plain = [None if number is None or np.isnan(number) else round(float(number), 6) for number in (value, low, high)]
    return dict(zip(("value", "low", "high"), plain, strict=True)) | {"undefined": int(undefined)}
