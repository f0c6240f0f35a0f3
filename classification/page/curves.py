"""The curves of the report as points and bars from 0 to 1, for a template to draw."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_curve

from cxr.stats import scores


def roc(truth: np.ndarray, p: np.ndarray, names: Sequence[str]) -> list[dict]:
    """The ROC curve of each class against the rest, where the cases allow one: {class, index, points}, the points being
    [1 - specificity, sensitivity] from [0, 0] to [1, 1].

    truth (n,) int, p (n, classes) probabilities.
    """
    found = []
    for index, name in enumerate(names):
        positive = truth == index
        if positive.any() and not positive.all():
            wrong, right, _ = roc_curve(positive, p[:, index])  # points on a straight line are left out
            points = np.stack([wrong, right], 1).round(4).tolist()
            found.append({"class": name, "index": index, "points": points})
    return found


def reliability(truth: np.ndarray, p: np.ndarray) -> list[dict]:
    """How often the most probable class is right against its probability, for bins that hold cases: {low, high, count,
    mean, right}, mean being that of the probability, right the share. See scores.calibration()."""
    edges = np.linspace(0, 1, scores.BINS + 1)
    count, mean, right = scores.calibration(truth, p)
    return [
        {
            "low": float(edges[b]),
            "high": float(edges[b + 1]),
            "count": int(count[b]),
            "mean": float(mean[b]),
            "right": float(right[b]),
        }
        for b in np.flatnonzero(count)
    ]
