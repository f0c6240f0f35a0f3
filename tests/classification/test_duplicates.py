"""Near-duplicates: copies of one image are found, other images are not, and chains are followed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classification import header
from classification.splitting import duplicates


def picture(seed, shape=(300, 260)):
    """A smooth random picture (H, W) float32 0..255: structure at every scale, as a radiograph has."""
    rng = np.random.default_rng(seed)
    image = sum(
        cv2.resize(rng.normal(size=(n, n)), shape[::-1], interpolation=cv2.INTER_CUBIC) / n**0.5
        for n in (3, 6, 12, 24, 48)
    )
    image -= image.min()
    return (255 * image / image.max()).astype(np.float32)


def jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0)


COPIES = {
    "as it is": lambda image: image,
    "8 bits": lambda image: image.astype(np.uint8),
    "jpeg": jpeg,
    "smaller": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR),
    "darker": lambda image: 255 * (image / 255) ** 1.2,
    "cropped": lambda image: image[3:-3, 2:-2],
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found(copy):
    images = [picture(seed) for seed in range(6)]
    prints = [duplicates.fingerprint(image) for image in images]
    prints += [duplicates.fingerprint(COPIES[copy](image)) for image in images]
    radiographs = duplicates.clusters(prints, header.duplicate_distance)
    assert list(radiographs[:6]) == list(radiographs[6:])
    assert len(set(radiographs)) == 6


def test_the_hash_has_256_bits_of_which_strangers_share_half():
    prints = np.array([duplicates.fingerprint(picture(seed)) for seed in range(20)])
    assert prints.shape == (20, 4) and prints.dtype == np.uint64
    apart = [int(np.bitwise_count(a ^ b).sum()) for i, a in enumerate(prints) for b in prints[:i]]
    assert 80 < min(apart) and 115 < np.mean(apart) < 141


def test_a_constant_image_has_a_hash():
    assert duplicates.fingerprint(np.full((40, 50), 7.5, np.float32)).shape == (4,)


def bits(*rows):
    """Fingerprints whose first bits are given."""
    full = np.zeros((len(rows), duplicates.BITS), np.uint8)
    for row, ones in zip(full, rows, strict=True):
        row[list(ones)] = 1
    return np.packbits(full, axis=1).view(np.uint64)


def test_distance_counts_bits_in_all_words_and_chains_are_followed():
    prints = bits([], [0, 255], [0, 255, 64, 130], range(0, 200, 2))
    assert len(set(duplicates.clusters(prints, 1))) == 4
    radiographs = duplicates.clusters(
        prints, 2
    )  # the first and the third differ in four bits, and are joined by the second
    assert radiographs[0] == radiographs[1] == radiographs[2] != radiographs[3]
    assert len(set(duplicates.clusters(prints, 256))) == 1


def test_none_are_looked_for():
    prints = bits([], [], [3])
    assert len(set(duplicates.clusters(prints, -1))) == 3
    assert len(set(duplicates.clusters(prints, 0))) == 2
    assert len(duplicates.clusters(np.zeros((0, 4), np.uint64), 4)) == 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sets(st.integers(0, 255), max_size=5), min_size=1, max_size=30), st.integers(0, 6), st.integers(1, 8)
)
def test_clusters_are_those_of_comparing_one_by_one(rows, distance, block):
    prints = bits(*rows)
    expected = list(range(len(rows)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows[:i]):
            if len(a ^ b) <= distance:
                expected = [expected[j] if x == expected[i] else x for x in expected]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        radiographs = duplicates.clusters(prints, distance)
    assert [[x == y for y in radiographs] for x in radiographs] == [[x == y for y in expected] for x in expected]
