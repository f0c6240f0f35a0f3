"""Pairs as masked images, and their cache."""

import threading
from collections import Counter

import numpy as np
import pytest
from drawn_pairs import write

from classification import header
from classification.cases import dataset, finder
from cxr import pairs
from cxr.errors import BadData
from cxr.settings import config


def chosen(*words):
    return config.load(header, ["img_size=32", "patch_size=16", "num_workers=2", *words])[0]


def test_a_prepared_image_is_masked_resized_and_rounded():
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (64, 64)).astype(np.float32)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 5:30] = 1
    got, lung = dataset.prepare(image, mask, 64)  # no resize: to the pixel
    assert got.dtype == lung.dtype == np.uint8
    assert (got == np.rint(image * mask)).all() and (lung == mask).all()
    got, lung = dataset.prepare(np.full((64, 96), 200, np.float32), np.ones((64, 96), np.uint8), 32)
    assert got.shape == lung.shape == (32, 32) and (got == 200).all() and (lung == 1).all()


def test_bicubic_overshoot_stays_within_grey_levels():
    image = np.kron([[0, 255], [255, 0]], np.ones((8, 8))).astype(np.float32)
    got, _ = dataset.prepare(image, np.ones((16, 16), np.uint8), 64)
    assert got.min() == 0 and got.max() == 255
    assert got[:24, :24].max() < 40  # what overshoots below zero has not wrapped round to 255


@pytest.mark.parametrize("pixel", [(0, 0), (199, 299), (77, 130)])
def test_a_lung_of_one_pixel_survives(pixel):
    mask = np.zeros((200, 300), np.uint8)
    mask[pixel] = 1
    _, lung = dataset.prepare(np.full(mask.shape, 100, np.float32), mask, 20)
    assert np.argwhere(lung).tolist() == [[pixel[0] // 10, pixel[1] // 15]]


@pytest.fixture
def cases(tmp_path):
    for i in range(7):
        write(tmp_path / "normal", f"case{i}", seed=i)
    return finder.find([tmp_path]).cases


@pytest.fixture
def reads(monkeypatch):
    """How often each case is read from disk."""
    counts, lock, load = Counter(), threading.Lock(), pairs.load

    def counted(place, case):
        with lock:
            counts[case] += 1
        return load(place, case)

    monkeypatch.setattr(pairs, "load", counted)
    return counts


def wanted(case):
    return dataset.prepare(*pairs.load(case.place, case.case), 32)


def equal(got, case):
    return all((a == b).all() and a.dtype == b.dtype for a, b in zip(got, wanted(case), strict=True))


def test_images_are_read_once_while_they_fit(cases, reads):
    images = dataset.Images(cases, chosen())
    batches = [[0, 1, 1], [2, 0], [6, 5, 4, 3]]
    for _ in range(2):
        for indices, got in zip(batches, images.stream(batches), strict=True):
            assert len(got) == len(indices)
    assert set(reads.values()) == {1} and len(reads) == 7
    assert all(equal(got, cases[i]) for i, got in zip(batches[2], images.batch(batches[2]), strict=True))


def test_what_does_not_fit_is_read_again_and_not_kept(cases, reads):
    one = 32 * 32 + 32 * 32 // 8
    images = dataset.Images(cases, chosen(f"cache_gb={2.5 * one / 1e9}"))
    for _ in range(3):
        for indices, got in zip([[i] for i in range(7)], images.stream([i] for i in range(7)), strict=True):
            assert len(got) == len(indices)
    assert len(images._read) == 2 and images._room < one
    kept = [cases[i].case for i in images._read]
    before = dict(reads)
    images.batch(range(7))
    assert all(reads[case] == before[case] for case in kept)
    assert all(reads[case.case] == before[case.case] + 1 for case in cases if case.case not in kept)


def test_a_stream_reads_ahead_and_no_further(cases, reads):
    images = dataset.Images(cases, chosen("cache_gb=0"))
    asked = []

    def batches():
        for i in range(7):
            asked.append(i)
            yield [i]

    stream = images.stream(batches(), ahead=2)
    next(stream)
    assert asked == [0, 1, 2]
    next(stream)
    assert asked == [0, 1, 2, 3]
    assert [len(items) for items in stream] == [1] * 5


def test_a_global_image_has_the_size_of_a_patch(cases):
    ((image, lung),) = dataset.Images(cases, chosen("approach=global")).batch([0])
    assert image.shape == lung.shape == (16, 16)


def test_every_bad_pair_is_named_at_once(cases):
    (cases[2].place / "case2.mask.npy").write_bytes(b"no array")
    np.save(cases[4].place / "case4.image.npy", np.zeros((3, 3), np.float32))
    images = dataset.Images(cases, chosen("cache_gb=0"))
    with pytest.raises(BadData, match="2 of 7") as fault:
        images.check()
    assert "case2" in str(fault.value) and "case4" in str(fault.value)
    with pytest.raises(pairs.BadPair, match="case4"):
        images.batch([3, 4])
    (good, bad), (last,) = images.stream([[1, 2], [6]], faults=True)
    assert equal(good, cases[1]) and isinstance(bad, pairs.BadPair) and equal(last, cases[6])
    write(cases[2].place, "case2", seed=2)  # mended: nothing remembers the fault
    assert equal(images.batch([2])[0], cases[2])
