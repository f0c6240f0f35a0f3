"""Outlines of organs over a radiograph: where they belong, for images of any size and kind."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from cxr.figures import contours


def coloured(picture, colour):
    return np.abs(picture.astype(int) - colour).max(-1) < 40


def test_overlay_draws_each_organ_where_it_is():
    labels = np.zeros((600, 500), np.uint8)
    labels[100:400, 50:200], labels[100:400, 300:450], labels[300:450, 210:290] = 3, 2, 1
    image = np.full(labels.shape, 90.0)
    picture = contours.overlay(image, labels)
    assert picture.shape == (600, 500, 3) and picture.dtype == np.uint8
    for organ, colour in contours.COLOURS.items():
        rows, columns = np.nonzero(coloured(picture, colour))
        inside_rows, inside_columns = np.nonzero(labels == organ)
        for seen, true in ((rows, inside_rows), (columns, inside_columns)):
            assert abs(seen.min() - true.min()) <= 2 and abs(seen.max() - true.max()) <= 2
    assert (picture[250, 125] == 90).all()  # inside the lung the radiograph itself is seen
    with_truth = contours.overlay(image, labels, np.roll(labels, 20, axis=1))
    changed = (with_truth != picture).any(-1)
    assert changed[:, 318:324].any() and not changed[:, 475:].any()
    assert coloured(with_truth, (255, 255, 255)).any() and not coloured(picture, (255, 255, 255)).any()


@pytest.mark.parametrize(
    "shape,expected", [((3000, 1500), (1024, 512)), ((100, 2048), (50, 1024)), ((7, 5), (7, 5)), ((1, 5000), (1, 1024))]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_overlay_of_any_size(shape, expected, dtype):
    labels = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint8)
    assert contours.overlay(np.zeros(shape, dtype), labels, labels).shape == (*expected, 3)


def test_overlay_refuses_another_shape():
    with pytest.raises(ValueError, match="shape"):
        contours.overlay(np.zeros((5, 5)), np.zeros((5, 6), np.uint8))


def test_segmentation_starts_without_matplotlib():
    code = "import sys; from segmentation import inference; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
