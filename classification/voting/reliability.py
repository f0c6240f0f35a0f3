"""How far to trust probabilities and sets: what metrics.json says of calibration, coverage and abstention."""

from collections.abc import Mapping, Sequence

import numpy as np

from classification.voting import calibration
from cxr.stats import bootstrap, proportion, scores
from cxr.stats import calibration as calibration_error

METRICS = ("brier", "ece", "ece_debiased", "ece_expected")
STEPS = 10  # of the abstention curve


def calibrated(
    truth: np.ndarray,
    predicted: np.ndarray,
    p: np.ndarray,
    names: Sequence[str],
    patients: np.ndarray,
    measured: Mapping,
    found: Mapping,
) -> dict:
    """The calibration in numbers, as plain types that JSON takes.

    p (n, classes) as calibrated by `found`, the others as scores.classification() takes them; measured: what it gives
    of them. Returns

        temperature, level
        before, after       overall brier and calibration errors, and the bins of the reliability diagram
        coverage            {class: share() of its cases whose set holds it}
        set_size            mean number of classes in a set, {value, low, high} with a bootstrap interval over patients
        empty_sets          how many sets hold no class
    """
    raw, told = calibration.undo(p, found), {name: found[name] for name in ("temperature", "level")}
    member = np.unique(np.asarray(patients, str), return_inverse=True)[1]
    before = scores.classification(truth, predicted, raw, names, patients)
    for name, values, of in (("before", raw, before), ("after", p, measured)):
        told[name] = {metric: of["overall"][metric] for metric in METRICS}
        told[name]["reliability"] = bins(truth, values, member)
    inside = calibration.sets(p, found)
    size = inside.sum(1)
    told["coverage"] = {name: share(inside[truth == c, c], patients[truth == c]) for c, name in enumerate(names)}
    bounds = _plain(size.mean(), *bootstrap.mean_interval(size, patients))
    told["set_size"] = dict(zip(("value", "low", "high"), bounds, strict=True))
    return told | {"empty_sets": int((size == 0).sum())}


def bins(truth: np.ndarray, p: np.ndarray, member: np.ndarray) -> list[dict]:
    """The bins of the reliability diagram: cases, their mean greatest p, and the share that is right, with bounds."""
    held = calibration_error.curve(p.argmax(1) == truth, p.max(1), member)
    names = ("cases", "p", "right", "low", "high")
    return [dict(zip(names, _plain(*row), strict=True)) for row in zip(*held.values(), strict=True)]


def share(happened: np.ndarray, patients: np.ndarray) -> dict:
    """{value, low, high, cases, patients} of the cases to which something happened, with an exact interval."""
    value = happened.mean() if len(happened) else np.nan
    told = dict(zip(("value", "low", "high"), _plain(value, *proportion.of_cases(happened, patients)), strict=True))
    return told | {"cases": len(happened), "patients": len(set(patients))}


def told(about: Mapping) -> str:
    """What calibrated() found, in a line for a person."""
    before, after = (about[when]["brier"]["value"] for when in ("before", "after"))
    held = ", ".join(f"{name} {one['value']:.2f}" for name, one in about["coverage"].items() if one["cases"])
    return (
        f"calibrated: temperature {about['temperature']:.2f}, brier {before:.2f} before and {after:.2f} after; "
        f"sets of {about['set_size']['value']:.1f} classes on average hold the truth of {held}"
    )


def _plain(*values: float) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def abstention(right: np.ndarray, entropy: np.ndarray, patients: np.ndarray) -> list[dict]:
    """The accuracy of the cases that are kept where those above a vote_entropy are passed over: rows of vote_entropy
    (the highest kept), kept (share of the cases) and accuracy (share()), from few cases to all.

    right (n,) bool, entropy (n,), patients (n,). Cases of one entropy are kept or passed over together.
    """
    limits = np.unique(np.quantile(entropy, np.arange(1, STEPS + 1) / STEPS, method="inverted_cdf"))
    found = []
    for limit in limits:
        kept = entropy <= limit
        row = {"vote_entropy": round(float(limit), 6), "kept": round(float(kept.mean()), 6)}
        found.append(row | {"accuracy": share(right[kept], patients[kept])})
    return found
