"""Overlap and boundary metrics of organ masks, and their means over cases.

A lung figure in the literature is sometimes the mean of left and right and sometimes their union: both are given,
as `*_lungs_mean` and `*_lungs_union`. Left and right are the patient's.
"""

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import KDTree

from cxr.labels import LEFT, ORGANS, RIGHT
from cxr.stats import bootstrap
from cxr.stats.overlap import dice, jaccard


def boundary(a, b, spacing=(1, 1)):
    """Distances between the boundaries of two boolean (H, W) masks, in the unit of spacing = (row, column).

    The boundary is every pixel of the mask with a 4-neighbour outside it or outside the image. Returns
    `hausdorff`, the greatest distance from a boundary pixel of either to the other boundary; `hausdorff95`, the greater
    of the two directed 95th percentiles; `mean_surface`, the mean over the pixels of both boundaries (average
    symmetric surface distance, Heimann et al. 2009, IEEE TMI 28(8):1251). All NaN when a mask is empty.
    """
    if not a.any() or not b.any():
        return dict.fromkeys(("hausdorff", "hausdorff95", "mean_surface"), float("nan"))
    points_a, points_b = _edge(a) * spacing, _edge(b) * spacing
    # Boundaries are thin: a tree over a few thousand points is twenty times faster than a distance transform.
    a_to_b, b_to_a = KDTree(points_b).query(points_a)[0], KDTree(points_a).query(points_b)[0]
    return {
        "hausdorff": float(max(a_to_b.max(), b_to_a.max())),
        "hausdorff95": float(max(np.percentile(a_to_b, 95), np.percentile(b_to_a, 95))),
        "mean_surface": float(np.concatenate([a_to_b, b_to_a]).mean()),
    }


def _edge(mask):
    """(n, 2) row and column of the boundary pixels of a mask that is not empty."""
    rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[rows, columns].astype(bool)
    edge = inside & ~ndimage.binary_erosion(inside)  # beyond the box counts as outside, so the image border does too
    return np.argwhere(edge) + (rows.start, columns.start)


def organs(predicted_labels, truth, boundary=False, spacing=(1, 1)):
    """Every metric of one case as a flat dict of floats.

    predicted_labels (H, W) 0 background, 1 heart, 2 left, 3 right lung. truth: dict of boolean (H, W) masks with any
    of "left", "right", "heart", "lungs" (the union, where the sides are not told apart). Keys: `jaccard_<organ>` and
    `dice_<organ>` for left, right, heart, lungs_union and lungs_mean (mean of left and right), as far as truth goes;
    with boundary=True also `hausdorff_`, `hausdorff95_` and `surface_<organ>` in the unit of spacing (row, column).
    Raises ValueError for an unknown organ or another shape.
    """
    unknown = sorted(set(truth) - {*ORGANS, "lungs"})
    if unknown:
        raise ValueError(f"Truth holds unknown organs {unknown}; use left, right, heart or lungs.")
    truth = {name: np.asarray(mask).astype(bool) for name, mask in truth.items()}
    for name, mask in truth.items():
        if mask.shape != predicted_labels.shape:
            raise ValueError(
                f"The true {name} is {mask.shape} and the predicted label map {predicted_labels.shape}; "
                "resize the prediction to the truth first."
            )
    compared = {name: (predicted_labels == label, truth[name]) for name, label in ORGANS.items() if name in truth}
    both = "left" in truth and "right" in truth
    if "lungs" in truth or both:
        union = truth["lungs"] if "lungs" in truth else truth["left"] | truth["right"]
        compared["lungs_union"] = ((predicted_labels == LEFT) | (predicted_labels == RIGHT), union)

    scores = {}
    for organ, (predicted, true) in compared.items():
        scores[f"jaccard_{organ}"] = jaccard(predicted, true)
        scores[f"dice_{organ}"] = dice(predicted, true)
        if boundary:
            distance = _boundary(predicted, true, spacing)
            scores[f"hausdorff_{organ}"] = distance["hausdorff"]
            scores[f"hausdorff95_{organ}"] = distance["hausdorff95"]
            scores[f"surface_{organ}"] = distance["mean_surface"]
    if both:
        for metric in sorted({key.rsplit("_left", 1)[0] for key in scores if key.endswith("_left")}):
            scores[f"{metric}_lungs_mean"] = (scores[f"{metric}_left"] + scores[f"{metric}_right"]) / 2
    return scores


_boundary = boundary  # organs() has a switch of the same name


def summarise(table, groups=None, repeats=bootstrap.RESAMPLES, seed=0):
    """One row a numeric column of a per-case table: metric, n, mean, sd (n - 1), low, high, median.

    low and high bound the mean's 95 % bootstrap interval, over groups (len(table),) where given. NaN is left out of n.
    """
    rows = []
    for metric in table.select_dtypes("number").columns:
        values = table[metric].astype(float)
        low, high = bootstrap.mean_interval(values, groups, repeats, seed)
        rows.append((metric, int(values.count()), values.mean(), values.std(), low, high, values.median()))
    return pd.DataFrame(rows, columns=["metric", "n", "mean", "sd", "low", "high", "median"])
