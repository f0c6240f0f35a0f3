"""The shift suite: keyed by its random numbers, true to its kind, and what it names is what it does."""

import cv2
import numpy as np
import pytest

from cxr.shifts import copies, exposure, geometry, objects, opacities, suite


def chest(height=160, width=140):
    """A drawn thorax: bright tissue, dark lungs with ribs, and its label map."""
    labels = np.zeros((height, width), np.uint8)
    labels[30:120, 20:58], labels[34:124, 84:122], labels[76:124, 56:94] = 3, 2, 1
    rows, columns = np.mgrid[:height, :width]
    ribs = 12 * np.sin(rows / 4.0)
    image = np.where(labels >= 2, 70 + ribs, 180) + 10 * np.cos(columns / 9.0)
    return image.round().astype(np.uint8), labels


@pytest.mark.parametrize("shift", suite.SUITE, ids=lambda shift: shift.name)
def test_a_shift_is_what_its_kind_says(shift):
    pixels, labels = chest()
    changed, moved = suite.shifted(shift, pixels, labels, np.random.default_rng(5))
    again, _ = suite.shifted(shift, pixels, labels, np.random.default_rng(5))
    np.testing.assert_array_equal(changed, again)
    assert changed.dtype == np.uint8 and changed.shape == moved.shape
    assert moved.dtype == np.uint8 and set(np.unique(moved)) == {0, 1, 2, 3}
    same_place = shift.kind != "geometry" and not shift.name.startswith("border")
    assert np.array_equal(moved, labels) == same_place
    if shift.kind == "opacity":
        lungs = cv2.dilate((labels >= 2).astype(np.uint8), np.ones((15, 15))) > 0
        np.testing.assert_allclose(changed[~lungs].astype(int), pixels[~lungs], atol=1)  # nothing happens elsewhere
        assert (changed.astype(int) - pixels)[labels >= 2].mean() > 5  # soft tissue is brighter than lung
        assert changed[labels >= 2].max() < 235


@pytest.mark.parametrize("shift", [s for s in suite.SUITE if s.name in ("noise 0.06", "JPEG 30", "effusion 0.4")])
def test_sixteen_bits_stay_sixteen_bits(shift):
    pixels, labels = chest()
    changed, _ = suite.shifted(shift, pixels.astype(np.uint16) * 16, labels, np.random.default_rng(0))
    assert changed.dtype == np.uint16 and changed.max() > 60000


def test_opacities_need_lungs():
    shift = suite.choose(["white-out 0.6"])[0]
    with pytest.raises(ValueError, match="where the lungs are"):
        suite.shifted(shift, chest()[0], None, np.random.default_rng(0))
    pixels, labels = chest()
    for change in (opacities.effuse, opacities.white_out, opacities.collapse, opacities.haze, opacities.consolidate):
        image, _ = change(suite.unit(pixels), np.zeros_like(labels), 0.5, np.random.default_rng(0))
        np.testing.assert_array_equal(image, suite.unit(pixels))  # no lung, no opacity


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_an_opacity_covers_its_share_of_one_lung(share):
    pixels, labels = chest()
    image = suite.unit(pixels)
    for change in (opacities.effuse, opacities.white_out, opacities.collapse):
        changed, _ = change(image, labels, share, np.random.default_rng(2))
        covered = (changed - image > 0.15) & (labels >= 2)
        sides = [covered[labels == side].mean() for side in (2, 3)]
        assert min(sides) < 0.05 and abs(max(sides) - share) < 0.2, change.__name__


def test_shifts_are_chosen_by_name_beginning_or_kind():
    assert suite.choose([]) == list(suite.SUITE) and len({shift.name for shift in suite.SUITE}) == len(suite.SUITE)
    assert [shift.name for shift in suite.choose(["JPEG"])] == ["JPEG 60", "JPEG 30"]
    assert {shift.kind for shift in suite.choose(["copy", "JPEG 30"])} == {"copy"}
    with pytest.raises(ValueError, match="there is no shift 'jpg'.*JPEG"):
        suite.choose(["jpg"])


def test_copies_do_what_they_are_called():
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    detail = [np.abs(np.diff(change, axis=0)).mean() for change in (image, copies.resample(image, 32))]
    assert detail[1] < 0.4 * detail[0]
    smooth = cv2.GaussianBlur(np.random.default_rng(0).random((600, 600), np.float32), (0, 0), 3)
    for sharper in (copies.unsharp(smooth, 2), copies.enhance_edges(smooth, 2)):
        assert np.abs(np.diff(sharper)).mean() > 1.2 * np.abs(np.diff(smooth)).mean()
    assert len(np.unique(copies.jpeg(smooth, 30))) <= 256


def test_exposures_clip_the_shares_they_name():
    image = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    narrow, burnt = exposure.narrow_window(image, 0.1), exposure.burn_out(image, 0.25)
    assert abs((narrow == 0).mean() - 0.1) < 0.03 and abs((narrow == 1).mean() - 0.1) < 0.03
    assert abs((burnt == 0).mean() - 0.25) < 0.05 and (burnt == 1).mean() < 0.01


def test_image_and_labels_move_together():
    image = np.zeros((100, 100), np.float32)
    labels = np.zeros((100, 100), np.uint8)
    image[40:60, 30:50], labels[40:60, 30:50] = 1, 2
    for change, strength in (
        (geometry.rotate, 10),
        (geometry.magnify, 1.2),
        (geometry.off_centre, 0.1),
        (geometry.squeeze, 0.8),
        (objects.border, 0.1),
    ):
        moved, drawn = change(image, labels, strength, np.random.default_rng(1))
        if change is objects.border:
            moved = np.where(drawn > 0, moved, 0)  # the frame may be white
        inside, here = (np.argwhere(found > 0.5).mean(0) for found in (moved, drawn))
        assert np.abs(inside - here).max() < 1, change.__name__


def test_collimation_never_crosses_the_lungs():
    pixels, labels = chest()
    for seed in range(8):
        changed, _ = objects.collimate(suite.unit(pixels), labels, 0.3, np.random.default_rng(seed))
        np.testing.assert_array_equal(changed[labels >= 2], suite.unit(pixels)[labels >= 2])
