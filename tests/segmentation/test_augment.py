"""Augmentation: the same draws give the same, image and target stay together, left and right stay the patient's."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from cxr.run import engine
from segmentation import header
from segmentation.augment import augment, brighten, mirror_labels

STILL = dict.fromkeys(("rotation", "scale", "shift", "opacity", "objects", "copies", "exposure", "flip"), 0.0)
AS_SHIPPED = {name: getattr(header, name) for name in STILL}


def chest(height=96, width=96):
    """A picture and its labels: the left lung (2) on the right of the image, each organ with a grey of its own."""
    target = np.zeros((height, width), np.uint8)
    target[20:80, 12:36], target[24:84, 60:80], target[50:80, 40:62] = 3, 2, 1
    return np.array([0.6, 0.7, 0.3, 0.2], np.float32)[target], target


def change(image, target, seed=0, **settings):
    return augment(image, target, SimpleNamespace(**STILL | settings), np.random.default_rng(seed))


def test_nothing_allowed_changes_nothing():
    image, target = chest()
    for seed in range(4):
        changed, labels = change(image, target, seed)
        np.testing.assert_array_equal(labels, target)
        np.testing.assert_allclose(changed, image, atol=1e-6)
    grey = np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_allclose(brighten(grey, SimpleNamespace(contrast=0.0), np.random.default_rng(0)), grey, atol=1e-3)


def test_keyed_by_seed_epoch_and_case():
    image, target = chest()
    allowed = SimpleNamespace(**AS_SHIPPED | {"flip": 0.5})

    def one(*key):
        return augment(image.copy(), target.copy(), allowed, engine.generator(*key))

    first, again = one(407, "augment", 3, "JPCLN001"), one(407, "augment", 3, "JPCLN001")
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    others = [(408, "augment", 3, "JPCLN001"), (407, "augment", 4, "JPCLN001"), (407, "augment", 3, "JPCLN002")]
    for other in others:
        assert not np.array_equal(one(*other)[0], first[0])


def test_the_input_is_left_alone():
    image, target = chest()
    before = image.copy(), target.copy()
    for seed in range(5):
        change(image, target, seed, **AS_SHIPPED | {"flip": 1.0, "opacity": 1.0})
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(target, before[1])


@pytest.mark.parametrize(
    "settings",
    [
        {"rotation": 15.0},
        {"scale": 0.2},
        {"shift": 0.1},
        {"flip": 1.0},
        {"rotation": 10.0, "scale": 0.15, "shift": 0.08, "flip": 0.5},
    ],
)
def test_image_and_target_move_together(settings):
    target = np.zeros((96, 128), np.uint8)
    target[40:52, 70:86] = 2  # a marker, bright where it is labelled
    image = np.where(target, 1, 0).astype(np.float32)
    moved = 0
    for seed in range(12):
        changed, labels = change(image, target, seed, **settings)
        bright, marked = changed > 0.5, labels > 0
        assert marked.any()
        inside, here = np.argwhere(bright).mean(0), np.argwhere(marked).mean(0)
        assert np.abs(inside - here).max() < 0.75
        assert (bright & marked).sum() > 0.8 * (bright | marked).sum()
        moved += np.abs(here - np.argwhere(target).mean(0)).max() > 1
    assert moved > 3


def test_flip_exchanges_the_lungs_and_mirrors_the_heart():
    image, target = chest()
    _, labels = change(image, target, flip=1.0)
    np.testing.assert_array_equal(labels, mirror_labels(target))
    columns = np.arange(96)
    left, right = (np.average(columns, weights=(labels == organ).sum(0)) for organ in (2, 3))
    assert left > right  # the left lung still lies on the right of the image
    assert (labels == 2).sum() == (target == 3).sum() and (labels == 3).sum() == (target == 2).sum()
    np.testing.assert_array_equal(labels == 1, (target == 1)[:, ::-1])
    np.testing.assert_array_equal(mirror_labels(labels), target)


def test_opacities_brighten_lungs_and_leave_the_target():
    image, target = chest()
    brighter = 0
    for seed in range(6):
        changed, labels = change(image, target, seed, opacity=1.0)
        np.testing.assert_array_equal(labels, target)
        brighter += (changed - image)[target >= 2].mean() > 0.02
    assert brighter >= 5


@effort(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(32, 80),
    width=st.integers(32, 80),
    kind=st.integers(0, 3),
    flip=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_always_finite_grey_and_known_labels(seed, height, width, kind, flip):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 4, (height, width)).astype(np.uint8) if kind else np.zeros((height, width), np.uint8)
    image = [
        rng.uniform(0, 1, (height, width)),
        np.zeros((height, width)),
        np.ones((height, width)),
        np.where(rng.random((height, width)) < 0.5, 0, 1),
    ][kind].astype(np.float32)
    strong = {name: 2 * value for name, value in AS_SHIPPED.items()} | {"opacity": 1.0, "flip": flip, "copies": 1.0}
    changed, labels = augment(image, target, SimpleNamespace(**strong), rng)
    assert changed.dtype == np.float32 and labels.dtype == np.uint8
    assert changed.shape == labels.shape == (height, width)
    assert np.isfinite(changed).all() and changed.min() >= 0 and changed.max() <= 1
    assert labels.max(initial=0) <= 3
