"""Overlap and boundary metrics of organ masks, and their means over cases.

A lung figure in the literature is sometimes the mean of left and right and sometimes their union: both are given,
as `*_lungs_mean` and `*_lungs_union`. Left and right are the patient's.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.spatial import KDTree
from skimage.measure import regionprops
from skimage.segmentation import find_boundaries

from cxr.labels import LEFT, ORGANS, RIGHT
from cxr.stats import bootstrap, proportion
from cxr.stats.overlap import dice, jaccard


def boundary(a: np.ndarray, b: np.ndarray, spacing: Sequence[float] = (1, 1)) -> dict[str, float]:
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


def _edge(mask: np.ndarray) -> np.ndarray:
    """(n, 2) row and column of the boundary pixels of a mask that is not empty."""
    (region,) = regionprops(mask.astype(np.uint8))
    # Framed, so that what lies beyond the image counts as outside
    edge = find_boundaries(np.pad(region.image, 1), connectivity=1, mode="inner")[1:-1, 1:-1]
    return np.argwhere(edge) + region.bbox[:2]


def organs(
    predicted_labels: np.ndarray,
    truth: Mapping[str, np.ndarray],
    boundary: bool = False,
    spacing: Sequence[float] = (1, 1),
) -> dict[str, float]:
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


def outside_mediastinum(
    predicted_labels: np.ndarray, truth: dict[str, np.ndarray], mediastinum: np.ndarray
) -> dict[str, float]:
    """Two figures for readers who draw the lungs through the heart and to the spine, which others do not.

    jaccard_outside_mediastinum  of both lungs, without the pixels of the mediastinum in either mask
    recall_outer_half            share of the lateral half of each true lung, row by row, that the mask holds

    Arguments as organs(), with left and right in truth; mediastinum (H, W) boolean.
    """
    predicted, left, right = predicted_labels >= LEFT, truth["left"], truth["right"]
    lungs = left | right
    outer = np.zeros(predicted.shape, bool)
    for lung, laterally in ((left, 1), (right, -1)):  # the left lung's chest wall is on the right of the image
        first, last = lung.argmax(1), lung.shape[1] - 1 - lung[:, ::-1].argmax(1)
        beyond = laterally * (np.arange(lung.shape[1]) - (first + last)[:, None] / 2) > 0
        outer |= lung & beyond
    return {
        "jaccard_outside_mediastinum": jaccard(predicted & ~mediastinum, lungs & ~mediastinum),
        "recall_outer_half": float(predicted[outer].mean()) if outer.any() else float("nan"),
    }


def summarise(
    table: pd.DataFrame, groups: Sequence | None = None, repeats: int = bootstrap.RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One row a numeric column of a per-case table: metric, n, mean, sd (n - 1), low, high, median.

    low and high bound the mean's 95 % interval, over groups (len(table),) where given: the exact one of a proportion
    for the column flagged, else the bootstrap's. NaN is left out of n.
    """
    rows = []
    for metric in table.select_dtypes("number").columns:
        values = table[metric].astype(float)
        if metric == "flagged":
            low, high = proportion.of_cases(values == 1, range(len(table)) if groups is None else groups)
        else:
            low, high = bootstrap.mean_interval(values, groups, repeats, seed)
        rows.append((metric, int(values.count()), values.mean(), values.std(), low, high, values.median()))
    return pd.DataFrame(rows, columns=["metric", "n", "mean", "sd", "low", "high", "median"])
