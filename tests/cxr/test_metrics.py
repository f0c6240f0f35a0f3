"""Metrics against their definitions, brute force and scipy; intervals against scipy and their coverage."""

import math
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist, directed_hausdorff

from cxr.stats import metrics, overlap

MASKS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def edge(mask):
    """Boundary pixels by their definition, one at a time."""
    padded = np.pad(mask, 1)
    return np.array(
        [
            (y, x)
            for y, x in np.argwhere(mask)
            if not (padded[y, x + 1] and padded[y + 2, x + 1] and padded[y + 1, x] and padded[y + 1, x + 2])
        ]
    )


@given(MASKS)
def test_overlap(masks):
    a, b = masks
    j, d = overlap.jaccard(a, b), overlap.dice(a, b)
    if not (a.any() or b.any()):
        assert math.isnan(j) and math.isnan(d)
        return
    assert j == overlap.jaccard(b, a) and d == overlap.dice(b, a)
    assert 0 <= j <= d <= 1
    assert j == pytest.approx(d / (2 - d))
    assert (j == 1) == np.array_equal(a, b)
    inside = {tuple(p) for p in np.argwhere(a)}, {tuple(p) for p in np.argwhere(b)}
    assert j == pytest.approx(len(inside[0] & inside[1]) / len(inside[0] | inside[1]))


@settings(deadline=None)
@given(MASKS, st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)))
def test_boundary_against_brute_force(masks, spacing):
    a, b = masks
    assume(a.any() and b.any())
    got = metrics.boundary(a, b, spacing)
    points = edge(a) * spacing, edge(b) * spacing
    distance = cdist(*points)
    both = distance.min(1), distance.min(0)
    assert got["hausdorff"] == pytest.approx(max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0]))
    assert got["hausdorff95"] == pytest.approx(max(np.percentile(d, 95) for d in both))
    assert got["mean_surface"] == pytest.approx(np.concatenate(both).mean())
    assert got == pytest.approx(metrics.boundary(b, a, spacing))


def test_boundary_of_known_shapes():
    a, b = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    a[10:30, 10:30] = True
    b[10:30, 14:34] = True
    assert metrics.boundary(a, b, (1, 0.5))["hausdorff"] == 2
    assert metrics.boundary(a, a) == {"hausdorff": 0, "hausdorff95": 0, "mean_surface": 0}
    assert all(math.isnan(v) for v in metrics.boundary(a, np.zeros_like(a)).values())


def test_boundary_is_fast_at_full_size():
    y, x = np.mgrid[:1024, :1024]
    a, b = (y - 500) ** 2 / 4 + (x - 300) ** 2 < 180**2, (y - 520) ** 2 / 4 + (x - 310) ** 2 < 190**2
    start = time.perf_counter()
    metrics.boundary(a, b)
    assert time.perf_counter() - start < 1.0  # about 0.02 s where nothing else runs


def thorax():
    labels = np.zeros((20, 30), np.uint8)
    labels[2:18, 2:10], labels[2:18, 20:28], labels[10:18, 10:18] = 3, 2, 1
    return labels


def test_organs_keys_and_values():
    labels = thorax()
    truth = {"left": labels == 2, "right": labels == 3, "heart": labels == 1}
    truth["left"] = np.roll(truth["left"], 1, axis=1)
    scores = metrics.organs(labels, truth, boundary=True, spacing=(2, 2))
    organs = ("left", "right", "heart", "lungs_mean", "lungs_union")
    names = ("jaccard", "dice", "hausdorff", "hausdorff95", "surface")
    assert set(scores) == {f"{name}_{organ}" for name in names for organ in organs}
    assert scores["jaccard_left"] == pytest.approx(7 / 9) and scores["jaccard_right"] == 1
    assert scores["jaccard_lungs_mean"] == pytest.approx((1 + 7 / 9) / 2)
    assert scores["jaccard_lungs_union"] == pytest.approx(15 / 17)
    assert scores["dice_heart"] == 1 and scores["hausdorff_heart"] == 0
    assert scores["hausdorff_left"] == 2 and scores["hausdorff_lungs_mean"] == 1
    assert all(type(value) is float for value in scores.values())


def test_organs_with_less_truth():
    labels = thorax()
    assert set(metrics.organs(labels, {"lungs": labels >= 2})) == {"jaccard_lungs_union", "dice_lungs_union"}
    assert set(metrics.organs(labels, {"heart": labels == 1})) == {"jaccard_heart", "dice_heart"}
    swapped = np.array([0, 1, 3, 2], np.uint8)[labels]
    scores = metrics.organs(swapped, {"left": (labels == 2) * 255, "right": labels == 3})
    assert scores["jaccard_left"] == 0 and scores["jaccard_lungs_union"] == 1
    nothing = metrics.organs(0 * labels, {"left": labels == 2, "right": labels == 3}, boundary=True)
    assert nothing["jaccard_left"] == 0 and math.isnan(nothing["hausdorff_lungs_mean"])
    with pytest.raises(ValueError, match="liver"):
        metrics.organs(labels, {"liver": labels == 1})
    with pytest.raises(ValueError, match="resize"):
        metrics.organs(labels, {"heart": labels[1:] == 1})


def test_summarise():
    table = pd.DataFrame({"case": list("abcde"), "jaccard_left": [0.9, 0.8, np.nan, 0.7, 1.0], "empty": [np.nan] * 5})
    summary = metrics.summarise(table)
    assert list(summary.columns) == ["metric", "n", "mean", "sd", "low", "high", "median"]
    assert list(summary.metric) == ["jaccard_left", "empty"]
    row = summary.iloc[0]
    assert row.n == 4 and row["mean"] == pytest.approx(0.85) and row["median"] == pytest.approx(0.85)
    assert row.sd == pytest.approx(np.std([0.9, 0.8, 0.7, 1.0], ddof=1))
    assert 0.7 < row.low < 0.85 < row.high < 1
    assert summary.iloc[1].n == 0 and math.isnan(summary.iloc[1]["mean"])
