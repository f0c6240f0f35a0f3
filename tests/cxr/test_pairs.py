"""The .npy contract: what is saved loads, what is broken is named, and a kill leaves no half pair."""

import gc
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from conftest import ROOT

from cxr import pairs, writing

DOTTED = "1.CXRCTThoracicimagesofCOVID-19fromSingapore.pdf-000-fig1b"


def example(shape=(40, 30), seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 255, shape).astype(np.float32)
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    return image, (labels >= 2).astype(np.uint8), labels


def test_saved_is_loaded(tmp_path):
    image, mask, labels = example()
    pairs.save(tmp_path / "new" / "folder", DOTTED, image, mask, labels)
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == [
        DOTTED + end for end in (".image.npy", ".labels.npy", ".mask.npy")
    ]
    got_image, got_mask = pairs.load(folder, DOTTED)
    assert got_image.dtype == np.float32 and got_mask.dtype == np.uint8
    np.testing.assert_array_equal(got_image, image)
    np.testing.assert_array_equal(got_mask, mask)
    np.testing.assert_array_equal(pairs.load_labels(folder, DOTTED), labels)
    assert pairs.find(folder) == [DOTTED] and pairs.halves(folder) == [] and pairs.is_complete(folder, DOTTED)


def test_uint8_rounds_and_a_second_save_replaces_the_labels(tmp_path):
    image, mask, labels = example()
    pairs.save(tmp_path, "a", image, mask, labels, image_dtype="uint8")
    stored = np.load(tmp_path / "a.image.npy")
    assert stored.dtype == np.uint8
    assert np.abs(stored - image).max() <= 0.5
    pairs.save(tmp_path, "a", image, mask)
    assert pairs.load_labels(tmp_path, "a") is None
    with pytest.raises(ValueError, match="image_dtype"):
        pairs.save(tmp_path, "a", image, mask, image_dtype="float16")


@pytest.mark.parametrize("image_type", [np.float64, np.float32, np.float16, np.uint8, np.int32, ">f8"])
@pytest.mark.parametrize(
    "mask_type,top", [(bool, 1), (np.float64, 1), (np.uint8, 255), (np.uint8, 1), (np.int64, 1), (np.float32, 255)]
)
def test_pairs_of_others_load(tmp_path, image_type, mask_type, top):
    image, mask, _ = example()
    np.save(tmp_path / "x.y.image.npy", np.asfortranarray(image.astype(image_type)))
    np.save(tmp_path / "x.y.mask.npy", (mask.astype(float) * top).astype(mask_type))
    got_image, got_mask = pairs.load(tmp_path, "x.y")
    assert got_image.dtype == np.float32 and got_mask.dtype == np.uint8
    np.testing.assert_array_equal(got_image, image.astype(image_type).astype(np.float32))
    np.testing.assert_array_equal(got_mask, mask)


LUNGS = np.zeros((40, 30), np.uint8)
LUNGS[8:32, 3:12], LUNGS[8:32, 18:27] = 3, 2
SOFT = cv2.GaussianBlur((LUNGS > 0).astype(np.float32), (5, 5), 1)
HEART = (np.arange(30) // 6 == 2).astype(np.uint8) * (LUNGS == 0)


@pytest.mark.parametrize("mask", [LUNGS, LUNGS + HEART, SOFT, 0.998 * SOFT + 0.001, np.rint(255 * SOFT)])
def test_lungs_of_label_maps_soft_edges_and_probabilities(tmp_path, mask):
    np.save(tmp_path / "a.image.npy", example()[0])
    np.save(tmp_path / "a.mask.npy", mask)
    np.testing.assert_array_equal(pairs.load(tmp_path, "a")[1] > 0, LUNGS > 0 if mask.max() == 3 else SOFT > 0.5)


def spoilt():
    image, mask, _ = example()
    nan, infinite, high, low = (image.copy() for _ in range(4))
    nan[3, 3], infinite[3, 3], high[3, 3], low[3, 3] = np.nan, np.inf, 256, -1
    return {
        "three dimensions": (image[None], mask[None]),
        "another shape": (image, mask[1:]),
        "not finite": (nan, mask),
        "infinite": (infinite, mask),
        "too bright": (high, mask),
        "negative": (low, mask),
        "empty mask": (image, 0 * mask),
        "negative mask": (image, -mask.astype(int)),
        "NaN mask": (image, mask * np.float32(np.nan)),
        "1 left, 2 right": (image, np.array([0, 0, 2, 1])[LUNGS]),
        "127 left, 254 right": (image, np.array([0, 0, 254, 127], np.uint8)[LUNGS]),
        "no pixels": (image[:0], mask[:0]),
        "text": (image.astype(str), mask),
        "complex": (image + 1j, mask),
    }


@pytest.mark.parametrize("fault", spoilt())
def test_faults_name_the_case(tmp_path, fault):
    image, mask = spoilt()[fault]
    with pytest.raises(pairs.BadPair, match=r"^case\.7: .*\.$"):
        pairs.save(tmp_path, "case.7", image, mask)
    assert not list(tmp_path.iterdir())
    np.save(tmp_path / "case.7.image.npy", image)
    np.save(tmp_path / "case.7.mask.npy", mask)
    with pytest.raises(pairs.BadPair, match=r"^case\.7: "):
        pairs.load(tmp_path, "case.7")


def test_empty_mask_only_where_allowed(tmp_path):
    image, mask, _ = example()
    pairs.save(tmp_path, "a", image, 0 * mask, allow_empty=True)
    with pytest.raises(pairs.BadPair, match="a: the mask is empty"):
        pairs.load(tmp_path, "a")
    assert not pairs.load(tmp_path, "a", allow_empty=True)[1].any()


def test_broken_files_name_the_case(tmp_path):
    image, mask, labels = example()
    pairs.save(tmp_path, "a", image, mask, labels)
    whole = (tmp_path / "a.image.npy").read_bytes()
    pickled = np.empty(1, object)
    pickled[0] = {"not": "numbers"}
    shape = b"(40, 30)"
    assert whole.count(shape) == 1
    for content in (
        b"",
        whole[:50],
        whole[:-9],
        b"PK\x03\x04nothing",
        b"\x93NUMPY\x01\x00\xff\xff{",
        whole.replace(shape, b"(40, 30 "),
        whole.replace(shape, b"(9**9,9)"),
        whole.replace(shape + b", }    ", b"(4000000000000,)}"),
    ):
        (tmp_path / "a.image.npy").write_bytes(content)
        with pytest.raises(pairs.BadPair, match="^a: "):
            pairs.load(tmp_path, "a")
    np.save(tmp_path / "a.image.npy", pickled, allow_pickle=True)
    with pytest.raises(pairs.BadPair, match="^a: "):
        pairs.load(tmp_path, "a")
    with pytest.raises(pairs.BadPair, match="^b: .*missing"):
        pairs.load(tmp_path, "b")
    for bad in (labels + 1.5, labels[None], labels + 4):
        np.save(tmp_path / "a.labels.npy", bad)
        with pytest.raises(pairs.BadPair, match="^a: the label map"):
            pairs.load_labels(tmp_path, "a")


def test_halves_and_leftovers(tmp_path):
    image, mask, _ = example()
    pairs.save(tmp_path, "whole", image, mask)
    np.save(tmp_path / "image.only.image.npy", image)
    np.save(tmp_path / "mask.only.mask.npy", mask)
    np.save(tmp_path / "alone.labels.npy", mask)
    for end in (".image.npy", ".mask.npy"):
        (tmp_path / f"killed{end}{writing.TEMPORARY}").write_bytes(b"half")
    assert pairs.find(tmp_path) == ["whole"]
    assert pairs.halves(tmp_path) == ["image.only", "mask.only"]
    assert not pairs.is_complete(tmp_path, "killed") and not pairs.is_complete(tmp_path, "mask.only")
    pairs.save(tmp_path, "killed", image, mask)
    assert pairs.find(tmp_path) == ["killed", "whole"]
    assert not list(tmp_path.glob("*" + writing.TEMPORARY))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pairs.find(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "../up"])
def test_case_names_stay_in_the_folder(tmp_path, name):
    image, mask, _ = example()
    with pytest.raises(ValueError, match="cannot name a case"):
        pairs.save(tmp_path, name, image, mask)


def test_a_full_disk_leaves_the_old_pair_and_no_rubbish(tmp_path, monkeypatch):
    image, mask, labels = example()
    pairs.save(tmp_path, "a", image, mask, labels)
    written = []

    def full(file, array, **options):
        written.append(array)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)  # a disk cannot be filled in a test
    with pytest.raises(OSError):
        pairs.save(tmp_path, "a", image / 2, mask, labels)
    np.testing.assert_array_equal(pairs.load(tmp_path, "a")[0], image)
    assert not list(tmp_path.glob("*" + writing.TEMPORARY))


@pytest.mark.parametrize("step", range(4))
def test_stopped_between_any_two_renames(tmp_path, monkeypatch, step):
    image, mask, labels = example()
    pairs.save(tmp_path, "a", image, mask, labels)
    done, replace = [], os.replace

    def stop(source, target):
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)  # a kill cannot be timed to a system call
    try:
        pairs.save(tmp_path, "a", image / 2, 1 - mask, 3 - labels)
    except KeyboardInterrupt:
        assert pairs.find(tmp_path) == [] and pairs.halves(tmp_path) == ["a"]
    else:
        assert step == 3
        np.testing.assert_array_equal(pairs.load(tmp_path, "a")[0], image / 2)


WRITER = """
import sys
import numpy as np
from cxr import pairs, writing
print("ready", flush=True)
for step in range(1, 10**6):
    value = step % 255 + 1
    shape = (200 + step % 3, 300)   # the grid changes, so that a mixture of two runs would not load
    image = np.full(shape, value, np.float32)
    mask = np.zeros(shape, np.uint8)
    mask[: value % 100 + 1] = 1
    pairs.save(sys.argv[1], f"case.{step % 4}", image, mask, mask * 2)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_leaves_no_half_pair(tmp_path):
    found = kill = 0
    while kill < 8 or (found < 8 and kill < 60):  # a busy machine writes few pairs before each
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(random.Random(kill).uniform(0.01, 0.06))
        kill += 1
        writer.kill()
        writer.wait()
        writer.stdout.close()
        for case in pairs.find(tmp_path):
            image, mask = pairs.load(tmp_path, case)
            assert (image == image[0, 0]).all()
            assert mask[:, 0].sum() == int(image[0, 0]) % 100 + 1  # image and mask of one and the same save
            np.testing.assert_array_equal(pairs.load_labels(tmp_path, case), mask * 2)
            found += 1
    assert found >= 8


def test_threads_read_side_by_side(tmp_path):
    """Python 3.11's parser, with which numpy reads a header, loses count where a garbage collection lets another
    thread parse; collections that come often and take their time make it happen in a dozen of 2,000 reads."""
    pairs.save(tmp_path, "case", *example())
    threshold, callback = gc.get_threshold(), lambda phase, info: time.sleep(1e-5)
    gc.callbacks.append(callback)
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda _: pairs.load_labels(tmp_path, "case"), range(2000)))
    finally:
        gc.callbacks.remove(callback)
        gc.set_threshold(*threshold)
    assert all((labels == example()[2]).all() for labels in read)
