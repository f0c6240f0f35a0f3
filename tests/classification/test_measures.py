"""The measures of one case: arrays whose values are known, and patches one by one."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classification.measuring import measures
from classification.patches import patch
from cxr.labels import HEART, LEFT, RIGHT
from segmentation import masks

PATIENT = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SMALL = SimpleNamespace(img_size=64, patch_size=16, repeat=30, sampling="random")


def chest(left=24, lower=40):
    """image, mask and labels: the right lung in columns 4 to 23, the left `left` wide from column 36, heart between."""
    labels = np.zeros((64, 64), np.uint8)
    labels[8:56, 4:24] = RIGHT
    labels[8:56, 36 : 36 + left] = LEFT
    labels[lower:52, 20:44] = HEART
    image = np.array([200, 200, 60, 100], np.float32)[labels]  # background, heart, left, right
    return image, (labels >= LEFT).astype(np.uint8), labels


def rng(seed=0):
    return np.random.default_rng(seed)


def test_known_areas_intensities_and_widths():
    image, mask, labels = chest()
    row = measures.measure(image, mask, labels, SMALL, rng())
    right, left = 20 * 48 - 4 * 12, 24 * 48 - 8 * 12  # less what the heart covers
    assert (row["area_right"], row["area_left"], row["area_lungs"]) == (right, left, right + left)
    assert row["lung_fraction"] == (right + left) / 64**2 and row["left_right_ratio"] == left / right
    assert row["lung_aspect"] == 48 / 56
    mean = (100 * right + 60 * left) / (right + left)
    assert row["lung_mean"] == pytest.approx(mean)
    assert row["lung_sd"] == pytest.approx(40 * math.sqrt(right * left) / (right + left))
    assert (row["heart_width"], row["thorax_width"], row["ctr"]) == (24, 56, 24 / 56)
    assert list(measures.square_millimetres(row, (0.5, 0.2)).values()) == pytest.approx(
        [0.1 * (right + left), 0.1 * left, 0.1 * right]
    )
    assert all(math.isnan(value) for value in measures.square_millimetres(row, None).values())
    assert set(row) | set(measures.square_millimetres(row, None)) == set(measures.COLUMNS)
    assert set(measures.MARKERS) <= set(measures.COLUMNS)


def test_what_cannot_be_known_is_nan():
    image, mask, labels = chest()
    row = measures.measure(image, mask, None, SMALL, rng())
    unknown = {name for name, value in row.items() if math.isnan(value)}
    assert unknown == {"area_left", "area_right", "left_right_ratio", "heart_width", "thorax_width", "ctr"}
    heartless = measures.measure(image, mask, np.where(labels == HEART, 0, labels), SMALL, rng())
    assert {name for name, value in heartless.items() if math.isnan(value)} == {"heart_width", "ctr"}
    labels = np.where(labels == LEFT, 0, labels)
    single = measures.measure(image, (labels == RIGHT).astype(np.uint8), labels, SMALL, rng())
    assert {n for n, v in single.items() if math.isnan(v)} == {"left_right_ratio", "thorax_width", "ctr"}
    assert single["area_left"] == 0
    with pytest.raises(ValueError, match="differ in shape"):
        measures.measure(image, mask, labels[1:], SMALL, rng())


def test_spread_of_an_even_and_of_a_halved_lung():
    image, mask, _ = chest()
    even = measures.spread(np.where(mask > 0, 100, 255).astype(np.float32), mask, SMALL, rng())
    assert even == {"spread_between": 0, "spread_within": 0}  # what lies outside the lung does not count
    halved = measures.spread(image, mask, SMALL, rng())  # each lung of one grey, and patches narrower than the gap
    assert halved["spread_within"] == pytest.approx(0, abs=1e-6)
    at = patch.centres(mask, SMALL.repeat, rng())
    assert halved["spread_between"] == pytest.approx(np.std(np.where(at[:, 1] < 30, 100, 60)))
    dotted = np.where(np.indices(mask.shape).sum(0) % 2, 110, 90).astype(np.float32)
    board = measures.spread(dotted, np.ones_like(mask), SMALL, rng())
    assert board["spread_within"] == pytest.approx(10, abs=0.2) and board["spread_between"] < 1


@settings(PATIENT)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from(patch.SAMPLING))
def test_spread_is_that_of_the_patches_one_by_one(seed, size, sampling):
    """Windows of any size at any place, at the border too, against cutting them out as the classifier does."""
    draw = rng(seed)
    image = draw.integers(0, 256, (48, 48)).astype(np.float32)
    mask = (draw.random((48, 48)) < draw.uniform(0.02, 0.9)).astype(np.uint8)
    mask[draw.integers(48), draw.integers(48)] = 1
    found = measures.spread(
        image, mask, SimpleNamespace(img_size=48, patch_size=size, repeat=9, sampling=sampling), rng(seed)
    )
    at = patch.centres(mask, 9, rng(seed), sampling)
    stack = torch.from_numpy(np.stack([image, mask]).astype(np.uint8))
    grey, lung = (patch.cut(stack, [which] * 9, at, size)[:, 0].numpy() for which in (0, 1))
    inside = [g[m > 0].astype(float) for g, m in zip(grey, lung, strict=True)]
    assert found["spread_between"] == pytest.approx(np.std([part.mean() for part in inside]), abs=1e-6)
    assert found["spread_within"] == pytest.approx(np.mean([part.std() for part in inside]), abs=1e-4)


def test_spread_does_not_depend_on_the_resolution_and_only_on_the_seed():
    image, mask, _ = chest()
    large = [np.kron(array, np.ones((3, 3), array.dtype)) for array in (image, mask)]
    first, again, other = (measures.spread(image, mask, SMALL, rng(seed)) for seed in (0, 0, 1))
    assert first == again and first != other
    many = SimpleNamespace(**vars(SMALL) | {"repeat": 2000})
    assert measures.spread(*large, many, rng())["spread_between"] == pytest.approx(
        measures.spread(image, mask, many, rng())["spread_between"], rel=0.05
    )


@settings(PATIENT)
@given(st.integers(0, 10_000))
def test_the_points_drawn_are_the_widths_measured(seed):
    draw = rng(seed)
    labels = np.where(draw.random((30, 40)) < 0.03, draw.integers(0, 4, (30, 40)), 0).astype(np.uint8)
    points, known = measures.widths(labels), masks.measures(labels)
    for name, organ in (("heart", labels == HEART), ("thorax", labels >= LEFT)):
        if math.isnan(known[f"{name}_width"]):
            assert name not in points
            continue
        assert points[name][1][1] - points[name][0][1] + 1 == known[f"{name}_width"]
        for row, column in points[name]:
            rows = np.flatnonzero(organ[:, column])
            assert rows.min() <= row <= rows.max()
    assert measures.widths(None) == {}


def test_the_picture_shows_both_widths():
    image, mask, labels = (np.kron(array, np.ones((4, 4), array.dtype)) for array in chest(lower=48))
    plain = measures.picture(image, mask, None)
    drawn = measures.picture(image, mask, labels)
    assert drawn.shape == (256, 256, 3) and drawn.dtype == np.uint8
    white = (drawn[100:, :] > 230).all(-1)  # below the text; the radiograph's brightest grey is 200
    assert white.any(1).sum() > 0 and white[:, 20:230].all(1).any()  # across the thorax
    assert not (plain[100:] > 230).all(-1).any()
    heart = (np.abs(drawn.astype(int) - (240, 110, 60)) < 25).all(-1)
    assert heart[:, 84:172].all(1).any()
    assert measures.picture(np.zeros((3000, 1500), np.float32), np.ones((3000, 1500), np.uint8), None).shape[0] == 1024
