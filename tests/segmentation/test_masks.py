"""Cleaning, measuring and judging label maps: drawn cases, random maps, and the true masks where they are at hand."""

import math
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from segmentation import masks

SHARED = ROOT.parent / "shared" / "cxr"
EIGHT = np.ones((3, 3), int)


def thorax(side=256):
    """A plausible label map: two lungs, left on the right of the image, and a heart between, more to its right."""
    labels = np.zeros((side, side), np.uint8)
    for label, centre, axes in (
        (2, (0.72, 0.45), (0.15, 0.32)),
        (3, (0.28, 0.45), (0.16, 0.34)),
        (1, (0.55, 0.62), (0.17, 0.15)),
    ):
        cv2.ellipse(labels, [round(c * side) for c in centre], [round(a * side) for a in axes], 0, 0, 360, label, -1)
    return labels


@st.composite
def label_maps(draw):
    """Noise, blobs of noise, or a thorax with blobs pasted in: any shape from 1 x 1."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "sparse", "thorax"]))
    if kind == "thorax":
        labels = thorax(64)
        for _ in range(draw(st.integers(0, 12))):
            y, x = rng.integers(0, 60, 2)
            labels[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = rng.integers(0, 4)
        return labels
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    if kind == "blobs":
        labels = np.repeat(np.repeat(labels, 3, 0), 2, 1)
    return labels * (rng.random(labels.shape) < 0.5) if kind == "sparse" else labels


@settings(deadline=None, max_examples=300)
@given(label_maps(), st.booleans())
@example(np.zeros((1, 1), np.uint8), False)
@example(np.full((3, 1), 2, np.uint8), False)
@example(np.array([[1, 2, 3, 0]], np.uint8), True)
def test_any_label_map(labels, transposed):
    labels = labels.T if transposed else labels  # not C-contiguous
    before = labels.copy()
    cleaned = masks.clean(labels)
    assert np.array_equal(labels, before)
    assert cleaned.dtype == np.uint8 and cleaned.shape == labels.shape
    np.testing.assert_array_equal(masks.clean(cleaned), cleaned)
    for organ in (1, 2, 3):
        assert ndimage.label(cleaned == organ, EIGHT)[1] == (organ in labels)  # one piece, none lost, none invented
    pockets, count = ndimage.label(cleaned == 0)
    for pocket in range(1, count + 1):  # background that one organ encloses is gone
        ring = ndimage.binary_dilation(pockets == pocket) & (pockets != pocket)
        inside = pocket not in np.r_[pockets[0], pockets[-1], pockets[:, 0], pockets[:, -1]]
        assert not (inside and len(np.unique(cleaned[ring])) == 1)
    reasons = masks.quality(labels, cleaned, margin=0.95)
    assert all(isinstance(reason, str) and "nan" not in reason for reason in reasons)
    values = masks.measures(cleaned, spacing_mm=0.5)
    assert all(isinstance(value, float) for value in values.values())
    assert set(values) == set(masks.measures(cleaned))


def test_clean_leaves_a_clean_map():
    labels = thorax()
    np.testing.assert_array_equal(masks.clean(labels), labels)


def test_what_becomes_of_fragments_and_holes():
    truth = thorax()
    labels = truth.copy()
    labels[100:110, 180:190] = 3  # right-lung label inside the left lung
    labels[130:134, 140:144] = 2  # left-lung label inside the heart
    labels[5:15, 5:15] = 2  # in the corner
    labels[240:250, 100:110] = 1
    labels[60:70, 70:80] = 0  # a hole
    labels[55:57, 60:62] = 1  # a speck of heart in the right lung
    np.testing.assert_array_equal(masks.clean(labels), truth)


def test_half_a_lung_called_the_other_side_is_not_lost():
    truth = thorax()
    labels = truth.copy()
    labels[130:][truth[130:] == 2] = 3  # the network calls the lower half of the left lung right
    np.testing.assert_array_equal(masks.clean(labels), truth)


def test_an_organ_inside_another_is_not_stolen():
    labels = np.zeros((40, 40), np.uint8)
    labels[5:35, 5:35] = 2
    labels[10:20, 10:20] = 1
    labels[25:28, 25:28] = 0
    labels[0:4, 0:4] = 3
    cleaned = masks.clean(labels)
    assert (cleaned[10:20, 10:20] == 1).all() and (cleaned[25:28, 25:28] == 2).all() and (cleaned[:4, :4] == 3).all()


@pytest.mark.parametrize("bad", [np.full((4, 4), 4), np.full((4, 4), -1), np.zeros((2, 4, 4))])
def test_clean_refuses_what_is_no_label_map(bad):
    with pytest.raises(ValueError, match="label map"):
        masks.clean(bad)


def test_clean_and_quality_are_fast_at_full_size():
    labels = thorax(2048)
    labels[1000:1040, 1500:1540] = 3
    start = time.perf_counter()
    masks.quality(labels, masks.clean(labels))
    assert time.perf_counter() - start < 1.5  # about 0.1 s where nothing else runs


def test_measures():
    labels = np.zeros((50, 100), np.uint8)
    labels[10:40, 10:40], labels[10:40, 60:91], labels[30:40, 45:60] = 3, 2, 1
    labels[35, 60:63] = 1  # the widest row is not what counts, but the heart's first and last column
    got = masks.measures(labels, spacing_mm=(2, 0.5))
    assert got["area_right"] == 900 and got["area_left"] == 927 and got["area_heart"] == 153
    assert got["heart_width"] == 18 and got["thorax_width"] == 81 and got["ctr"] == pytest.approx(18 / 81)
    assert got["area_right_mm2"] == 900 and got["heart_width_mm"] == 9 and got["thorax_width_mm"] == 40.5
    assert masks.measures(labels, 0.5)["area_heart_mm2"] == 153 / 4
    assert math.isnan(masks.measures(labels)["area_left_mm2"])
    one_lung = masks.measures(np.where(labels == 2, 0, labels))
    assert one_lung["area_left"] == 0 and one_lung["heart_width"] == 18
    assert math.isnan(one_lung["thorax_width"]) and math.isnan(one_lung["ctr"])


def judged(labels, margin=None):
    return masks.quality(labels, masks.clean(labels), margin)


def test_quality_of_good_and_bad_masks():
    good = thorax()
    assert judged(good) == []
    assert judged(good, 0.95) == []
    assert judged(0 * good) == ["no lung found"]
    assert judged(np.where(good == 1, 1, 0)) == ["no lung found"]
    assert judged(np.where(good == 1, 0, good)) == ["heart missing"]
    assert "left lung missing" in judged(np.where(good == 2, 0, good))
    assert "left and right lung swapped" in judged(np.array([0, 1, 3, 2])[good])
    half = good.copy()
    half[100:][good[100:] == 2] = 0
    assert [r.split(" area")[0] for r in judged(half)] == ["left over right lung"]
    broken = good.copy()
    broken[105:120][good[105:120] == 3] = 0
    assert any(r.startswith("fragmented right lung") for r in judged(broken))
    assert any(r.startswith("mean probability margin 0.40") for r in judged(good, 0.4))
    assert any(r.startswith("mean probability margin") for r in judged(good, math.nan))


def test_quality_of_position_and_size():
    good = thorax()
    small = np.zeros((1024, 1024), np.uint8)
    small[400:656, 400:656] = good
    assert any(r.startswith("lungs over image area") for r in judged(small))
    assert any(r.startswith("lungs cut by the border") for r in judged(good[100:]))
    assert [r[:24] for r in judged(np.pad(good, ((0, 768), (0, 0))))] == ["centre of the lungs, row"]
    assert any(r.startswith("centre of the lungs, column") for r in judged(np.pad(good, ((0, 0), (0, 204)))))


def true_labels():
    """(case, label map) of every true mask of JSRT, at half its size, and Montgomery."""
    for heart in sorted(SHARED.glob("SCR/fold?/masks/heart/*.gif")):
        labels = np.zeros((512, 512), np.uint8)
        for organ, name in ((3, "right lung"), (2, "left lung"), (1, "heart")):  # overlaps go to the first organ
            labels[read_gif(heart.parents[1] / name / heart.name)] = organ
        yield heart.stem, labels
    for left in sorted(SHARED.glob("MontgomerySet/ManualMask/leftMask/*.png")):
        sides = [
            cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127
            for path in (left, left.parents[1] / "rightMask" / left.name)
        ]
        yield left.stem, np.where(sides[0], 2, np.where(sides[1], 3, 0)).astype(np.uint8)


def read_gif(path):
    return np.asarray(Image.open(path).convert("L"))[::2, ::2] > 127


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real masks are not on this machine")
def test_true_masks_pass_and_stay():
    cases, faults, changed = 0, {}, {}
    for case, labels in true_labels():
        cleaned = masks.clean(labels)
        reasons = [r for r in masks.quality(labels, cleaned) if r != "heart missing" or (labels == 1).any()]
        difference = np.count_nonzero(cleaned != labels)
        cases += 1
        if reasons:
            faults[case] = reasons
        if difference > 20:
            changed[case] = difference
    assert cases == 247 + 138
    assert faults == {} and changed == {}
