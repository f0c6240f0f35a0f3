"""Patches: centred in the lung, evenly or uniformly, and cut exactly, with zeros beyond the image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from classification.patches import patch


@st.composite
def lungs(draw):
    """A lung of any shape, from one pixel to all."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lung = (rng.random((height, width)) < draw(st.sampled_from([0.02, 0.3, 0.9, 1.0]))).astype(np.uint8)
    lung[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = 1
    return lung


def thorax(side=256):
    """Two ellipses, the lungs of a (side, side) image."""
    row, column = np.mgrid[:side, :side] / side
    return (((row - 0.5) / 0.35) ** 2 + ((abs(column - 0.5) - 0.22) / 0.15) ** 2 < 1).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(lungs(), st.integers(1, 60), st.sampled_from(patch.SAMPLING), st.integers(0, 9))
def test_centres_are_on_the_lung_and_as_many_as_asked(lung, count, sampling, seed):
    got = patch.centres(lung, count, np.random.default_rng(seed), sampling)
    assert got.shape == (count, 2)
    assert lung[got[:, 0], got[:, 1]].all()
    again = patch.centres(lung, count, np.random.default_rng(seed), sampling)
    assert (got == again).all()


def test_random_centres_are_uniform_over_the_lung_in_row_and_column_together():
    # The lung is a diagonal of blocks: centres whose row and column were drawn apart would leave it.
    lung = np.kron(np.eye(4, dtype=np.uint8), np.ones((5, 5), np.uint8))
    got = patch.centres(lung, 20000, np.random.default_rng(407))
    counts = np.zeros(lung.shape, int)
    np.add.at(counts, tuple(got.T), 1)
    assert counts[lung == 0].sum() == 0
    assert stats.chisquare(counts[lung > 0]).pvalue > 0.001
    # a draw that prefers the upper half would be found out by the same test
    weights = np.where(np.nonzero(lung)[0] < 10, 1.1, 0.9)
    biased = np.random.default_rng(1).multinomial(20000, weights / weights.sum())
    assert stats.chisquare(biased).pvalue < 0.001


@pytest.mark.parametrize("count", [1, 2, 7, 25, 100, 400])
def test_a_grid_stands_alone_in_equal_parts_of_the_lung(count):
    lung = thorax()
    got = patch.centres(lung, count, None, "grid")
    assert len(np.unique(got, axis=0)) == count
    # each pixel of the lung is near a centre, and centres keep apart, as far as parts of this area allow
    side = np.sqrt(lung.sum() / count)
    distance = ndimage.distance_transform_edt(~_marked(lung.shape, got))[lung > 0]
    random = patch.centres(lung, count, np.random.default_rng(0))
    by_chance = ndimage.distance_transform_edt(~_marked(lung.shape, random))[lung > 0]
    assert distance.mean() < 0.62 * side + 1 or count < 3
    assert distance.mean() < 0.9 * by_chance.mean() or count == 1
    gaps = np.hypot(*(got[:, None] - got).T) + 1e9 * np.eye(count)
    assert gaps.min() > 0.4 * side


def _marked(shape, centres):
    marked = np.zeros(shape, bool)
    marked[tuple(centres.T)] = True
    return marked


def test_a_single_pixel_is_every_centre():
    lung = np.zeros((9, 11), np.uint8)
    lung[3, 7] = 1
    for sampling in patch.SAMPLING:
        got = patch.centres(lung, 5, np.random.default_rng(0), sampling)
        assert (got == (3, 7)).all() and len(got) == 5


def test_no_lung_and_unknown_sampling_are_told():
    with pytest.raises(ValueError, match="no pixel"):
        patch.centres(np.zeros((4, 4), np.uint8), 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="random or grid"):
        patch.centres(np.ones((4, 4), np.uint8), 1, np.random.default_rng(0), "hexagonal")


def plain_cut(image, row, column, size):
    """A patch the slow way, pixel by pixel."""
    patch = np.zeros((size, size), np.float32)
    for i in range(size):
        for j in range(size):
            r, c = row - size // 2 + i, column - size // 2 + j
            if 0 <= r < image.shape[0] and 0 <= c < image.shape[1]:
                patch[i, j] = image[r, c]
    return patch


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 17), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_patches_are_exact_copies_with_zeros_beyond_the_image(size, height, width, seed, zero_rotation):
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (3, height, width), dtype=np.uint8)  # no zeros inside
    count = 6
    which, flip = rng.integers(3, size=count), rng.random(count) < 0.5
    centres = np.stack([rng.integers(height, size=count), rng.integers(width, size=count)], 1)
    rotation = np.zeros(count) if zero_rotation else None
    got = patch.cut(torch.from_numpy(images), which, centres, size, rotation, flip).numpy()
    assert got.shape == (count, 1, size, size) and got.dtype == np.float32
    for piece, image, (row, column), mirrored in zip(got[:, 0], images[which], centres, flip, strict=True):
        want = plain_cut(image, row, column, size)
        assert (piece == (want[:, ::-1] if mirrored else want)).all()


@pytest.mark.parametrize("size", [31, 32])
def test_a_turned_patch_is_sampled_about_its_centre_from_the_image(size):
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.random((90, 100)), 2)
    image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    centres = np.array([[45, 50], [0, 0], [80, 99], [10, 60], [40, 40]])
    degrees = np.array([5.0, -30.0, 90.0, 45.0, 0.0])
    got = patch.cut(torch.from_numpy(image)[None], np.zeros(5, int), centres, size, degrees).numpy()[:, 0]
    away = np.arange(size) - size // 2
    for piece, (row, column), angle in zip(got, centres, np.deg2rad(degrees), strict=True):
        rows = row + np.sin(angle) * away + np.cos(angle) * away[:, None]
        columns = column + np.cos(angle) * away - np.sin(angle) * away[:, None]
        want = ndimage.map_coordinates(image.astype(float), [rows, columns], order=1, mode="grid-constant")
        assert np.abs(piece - want).max() < 0.05
    # 90 degrees counter-clockwise, by another road: what was right of the centre is now above it
    right = image[45, 50:60]
    turned = patch.cut(torch.from_numpy(image)[None], [0], [[45, 50]], size, [90.0])[0, 0].numpy()
    assert np.allclose(turned[size // 2 - np.arange(10), size // 2], right, atol=0.05)


def test_many_turned_patches_are_the_same_as_each_alone():
    rng = np.random.default_rng(5)
    images = torch.from_numpy(rng.integers(0, 256, (4, 60, 60), dtype=np.uint8))
    count = 2 * patch._CHUNK + 3
    which, centres, degrees = rng.integers(4, size=count), rng.integers(60, size=(count, 2)), rng.uniform(-5, 5, count)
    together = patch.cut(images, which, centres, 24, degrees)
    for i in (0, 70, count - 1):
        alone = patch.cut(images, which[i : i + 1], centres[i : i + 1], 24, degrees[i : i + 1])
        assert torch.allclose(together[i], alone[0], atol=0.01)


@settings(max_examples=40, deadline=None)
@given(lungs(), st.integers(1, 12), st.integers(1, 15), st.integers(0, 9))
def test_coverage_is_that_of_patches_painted_one_by_one(lung, count, size, seed):
    got = patch.centres(lung, count, np.random.default_rng(seed))
    painted = np.zeros(lung.shape, bool)
    for row, column in got:
        top, left = row - size // 2, column - size // 2
        painted[max(top, 0) : top + size, max(left, 0) : left + size] = True
    assert patch.coverage(lung, got, size) == pytest.approx(painted[lung > 0].mean())
