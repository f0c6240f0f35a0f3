"""Other copies of what a patch shows; one resolution for all; and the part of a lung that a patch needs."""

from types import SimpleNamespace

import numpy as np
import torch

from classification.cases import dataset, packed
from classification.patches import changes, patch
from cxr.resize import resize


def test_nothing_allowed_changes_nothing():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    still = SimpleNamespace(copies=0.0, contrast=0.0, img_size=64)
    assert changes.change(image, still, np.random.default_rng(0)) is image


def test_changes_are_keyed_and_keep_their_type():
    image = np.random.default_rng(1).integers(0, 255, (120, 120)).astype(np.uint8)
    allowed = SimpleNamespace(copies=1.0, contrast=0.3, img_size=480, resolution=0, approach="local")
    seen = [changes.change(image, allowed, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3, 4, 5, 6, 7, 8)]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert all(one.dtype == np.uint8 and one.shape == image.shape for one in seen)
    assert all(not np.array_equal(seen[0], other) for other in seen[2:])


def test_one_resolution_makes_copies_of_all_sizes_alike():
    coarse = torch.from_numpy(np.random.default_rng(0).random((1, 40, 40)).astype(np.float32))
    image = (255 * resize(coarse, 512, 512)[0].clamp(0, 1)).numpy()
    copy = resize(torch.from_numpy(image)[None], 128, 128)[0].clamp(0, 255).numpy()
    far, near = (
        np.abs(
            dataset.prepare(image, np.ones((512, 512), np.uint8), 256, resolution)[0].astype(int)
            - dataset.prepare(copy, np.ones((128, 128), np.uint8), 256, resolution)[0]
        ).mean()
        for resolution in (0, 64)
    )
    assert near <= far and near < 1


def test_the_window_of_a_packed_lung_is_the_window_of_the_lung():
    rng = np.random.default_rng(3)
    lung = (rng.random((37, 43)) < 0.5).astype(np.uint8)
    small = packed.pack(lung)
    for row, column, reach in ((0, 0, 5), (36, 42, 9), (18, 20, 4), (5, 40, 50)):
        expected = patch.window(lung, row, column, reach)
        np.testing.assert_array_equal(packed.window(small, row, column, reach), expected)
