"""Metrics of a classification in resamples of its patients, and of the trainings that answered.

A resample is a whole number of copies of every case, and every metric here is a function of such weights: two
thousand resamples are a few matrix products instead of two thousand calls.
"""

from collections.abc import Iterator

import numpy as np

from cxr.stats import bootstrap

MACRO = ("precision", "sensitivity", "specificity", "f1", "auroc")  # whose mean over the classes is the overall value
_GROUPS = 200  # left out in turn; more patients tell no more of a statistic's skewness
_AT_ONCE = 300_000  # weights in memory at a time, whatever the size of the cohort


def metrics(
    truth: np.ndarray,
    predicted: np.ndarray,
    p: np.ndarray,
    member: np.ndarray,
    count: int,
    seed: int,
    training: np.ndarray | None = None,
) -> dict[str | tuple[str, int], np.ndarray]:
    """{metric or (metric, class): (1 + count,)}: the value of the cohort, then those of resamples of its patients. The
    resamples depend on seed, count and the number of patients only. member (n,): the number of each case's patient;
    training (n,): that of the training which gave the answer, where there were several."""
    training = np.zeros(len(truth), int) if training is None else training
    owns = [training == number for number in range(training.max() + 1)]
    found = {}
    for weights, copies in _resamples(member, len(owns), count, seed):
        each = [_metrics(truth[own], predicted[own], p[own], weights[:, own]) for own in owns]
        for key, values in _mean(each, copies).items():
            found.setdefault(key, []).append(values)
    return {key: np.concatenate(values) for key, values in found.items()}


def without(truth: np.ndarray, predicted: np.ndarray, p: np.ndarray, member: np.ndarray) -> dict:
    """{metric or (metric, class): (groups,)}: the values without each patient, or of many patients without each of
    _GROUPS groups of them."""
    group = member % _GROUPS
    return _metrics(truth, predicted, p, (group != np.arange(group.max() + 1)[:, None]).astype(float))


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
    for c in present:
        true, said, both = confusion[:, c].sum(1), confusion[:, :, c].sum(1), confusion[:, c, c]
        found["precision", c] = _ratio(both, said)
        found["sensitivity", c] = _ratio(both, true)
        found["specificity", c] = _ratio(total - true - said + both, total - true)
        found["f1", c] = np.where(true > 0, _ratio(2 * both, true + said), np.nan)
        found["auroc", c] = _auroc(truth == c, p[:, c], weights)
        found["brier", c] = weights @ (p[:, c] - (truth == c)) ** 2 / total
    for metric in MACRO:
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
