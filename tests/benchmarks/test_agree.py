"""What the benchmarks call agreement: equal results pass, and every difference that matters is seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import agree
from cxr import pairs
from cxr.labels import LEFT
from segmentation import masks, segment

RADIOGRAPH = Path("radiograph.png")
NET, SIDE = 32, 160  # pixels a side of the network's answer and of the radiograph


@pytest.mark.parametrize("stage,name", [("equalise", "image"), ("network", "p"), ("vote", "p"), ("saliency", "map")])
def test_a_difference_is_seen(stage, name):
    values = np.random.default_rng(0).random((1, 4, 8, 8) if stage == "network" else (8, 8))
    other = values[:, ::-1] if stage != "saliency" else values + 0.01
    assert getattr(agree, stage)({name: values}, {name: values}, True)[1]
    assert not getattr(agree, stage)({name: values}, {name: other}, True)[1]


def test_a_difference_of_gradients_is_seen():
    first = {"loss": 1.0, "weight": np.ones(4), "bias": np.zeros(2)}
    assert agree.step(first, first, True)[1]
    assert not agree.step(first, first | {"loss": 1.001}, True)[1]
    assert not agree.step(first, first | {"bias": np.full(2, 0.01)}, True)[1]
    assert agree.step(first, first | {"bias": np.full(2, 0.01)}, False)[1]
    assert not agree.step(first, first | {"weight": -first["weight"]}, False)[1]


def test_a_faster_setting_may_not_vote_otherwise():
    one, other = np.eye(2)[[0] * 90 + [1] * 10], np.eye(2)[[0] * 85 + [1] * 15]
    assert agree.vote({"p": one}, {"p": one}, False)[1] and not agree.vote({"p": one}, {"p": other}, False)[1]


def answer():
    """Log-probabilities (4, NET, NET) of a heart, a left lung with a hole in it, a right one and a fragment of it."""
    rows, columns = np.mgrid[:NET, :NET] + 0.5
    places = [(20, 17, 5, 5), (14, 24, 9, 5), (14, 8, 11, 6)]
    heights = [2 - 2 * np.hypot((rows - row) / tall, (columns - column) / wide) for row, column, tall, wide in places]
    heights[1] -= 4 * np.exp(-((rows - 12) ** 2 + (columns - 25) ** 2) / 2)
    heights[2] = np.maximum(heights[2], 2 - np.hypot(rows - 29, columns - 28))
    return torch.from_numpy(np.stack([np.zeros((NET, NET)), *heights])).float().log_softmax(0)


@pytest.fixture
def written(tmp_path):
    """A function that writes one radiograph as both sides do, and says whether they agree, exactly or not."""
    image = np.full((SIDE, SIDE - 10), 100.0, np.float32)

    def write(exact=True, spoil=lambda labels: labels):
        p = answer().exp()
        labels = segment.label_map(p, segment.Prepared(image, (0, SIDE, 0, SIDE - 10), None, None))[1]
        labels = spoil(labels)
        pairs.save(tmp_path / "project", RADIOGRAPH.stem, image, labels >= 2, labels, allow_empty=True)
        coarse = p.argmax(0).numpy().astype(np.uint8)
        coarse = cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_NEAREST)
        pairs.save(tmp_path / "plain", RADIOGRAPH.stem, image, coarse >= 2)
        np.save(tmp_path / "plain" / f"{RADIOGRAPH.stem}.answer.npy", p.log().numpy())
        return agree.masks([RADIOGRAPH], tmp_path / "plain", tmp_path / "project", exact)

    return write


def swapped(one, other):
    table = np.arange(4, dtype=np.uint8)
    table[[one, other]] = other, one
    return lambda labels: table[labels]


def grown(labels):
    """A tenth larger, about the middle."""
    height, width = labels.shape
    part = labels[height // 20 : height - height // 20, width // 20 : width - width // 20]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST)


FAULTS = {
    "shifted": lambda labels: np.roll(labels, 1, 0),
    "shifted far": lambda labels: np.roll(labels, SIDE // 3, 1),
    "mirrored": lambda labels: np.ascontiguousarray(labels[:, ::-1]),
    "grown": grown,
    "no heart": swapped(0, 1),
    "heart and left": swapped(1, 2),
    "heart and right": swapped(1, 3),
    "left and right": swapped(2, 3),
}


def test_masks_of_both_sides_agree(written):
    for exact in (True, False):
        words, same = written(exact)
        assert same and words.startswith("labels and masks equal in 100.0000 % of pixels; cleaning changed "), words
    assert "cleaning changed 0.0 %" not in words  # it had something to clean


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("exact", [True, False])
def test_faults_of_the_project_s_own_way_to_full_size_are_seen(written, monkeypatch, fault, exact):
    """They are in what the benchmark computes itself with the project's functions as well as in what was written."""
    whole = segment.largest
    monkeypatch.setattr(segment, "largest", lambda p, size: FAULTS[fault](whole(p, size)))
    words, same = written(exact)
    assert not same, words


@pytest.mark.parametrize("fault", FAULTS)
def test_cleaning_may_only_clean(written, monkeypatch, fault):
    whole = masks.clean
    monkeypatch.setattr(masks, "clean", lambda labels: FAULTS[fault](whole(labels)))
    words, same = written(False)
    assert not same, words


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_what_was_written_are_seen(written, fault):
    assert not written(False, FAULTS[fault])[1]


def test_edges_lie_on_edges(written, monkeypatch):
    """Middles of the outermost pixels on each other instead: the usual mistake in enlarging, half a pixel of the
    network's at the radiograph's edge."""

    def corners(p, size):
        large = F.interpolate(torch.from_numpy(p)[None], size[::-1], mode="bilinear", align_corners=True)
        return large[0].argmax(0).numpy().astype(np.uint8)

    monkeypatch.setattr(segment, "largest", corners)
    assert not written(False)[1]


def test_a_mask_beside_right_labels_is_compared_too(written, tmp_path):
    written()
    file = tmp_path / "project" / f"{RADIOGRAPH.stem}.mask.npy"
    labels = np.load(tmp_path / "project" / f"{RADIOGRAPH.stem}.labels.npy")
    np.save(file, (labels == LEFT).astype(np.uint8))
    assert not agree.masks([RADIOGRAPH], tmp_path / "plain", tmp_path / "project", False)[1]


def test_what_cleaning_may_change():
    labels = np.zeros((8, 10), np.uint8)
    labels[1:7, 1:6] = 2
    labels[3, 3] = 0  # a hole
    labels[6, 8:] = 2  # a fragment
    labels[1, 9] = 3  # the only piece of its organ
    assert [tuple(map(int, at)) for at in np.argwhere(agree.loose(labels))] == [(3, 3), (6, 8), (6, 9)]
    assert not agree.loose(np.zeros((4, 4), np.uint8)).any()
