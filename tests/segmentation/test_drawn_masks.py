"""Masks of every kind that people draw: read, refused by name with the remedy, turned with their radiograph."""

import cv2
import numpy as np
import pytest
from PIL import Image

from cxr.reading import turn
from segmentation import drawn_masks, transforms
from segmentation.drawn_masks import BadData

REMEDY = "save labels as a grey or palette PNG with 0 background, 1 heart, 2 left and 3 right lung"


def labels(height=96, width=80):
    drawn = np.zeros((height, width), np.uint8)
    drawn[20:70, 8:30], drawn[24:76, 50:70], drawn[50:72, 34:52] = 3, 2, 1
    return drawn


def save(folder, array, mode=None, **options):
    path = folder / "mask.png"
    image = Image.fromarray(array) if mode is None else Image.fromarray(array, mode)
    image.save(path, **options)
    return path


def one(path):
    return drawn_masks.truth({"labels": path})


LUNGS = labels() >= 2
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
SIX = labels() + np.where(labels(), 2, 0).astype(np.uint8)
SIX[2:9, 2:60], SIX[10:14, 2:60] = 1, 2
NOT_UNDERSTOOD = {
    "six labels": (SIX, r"holds the values 0, 1, 2, 3, 4, 5, which are not understood"),
    "labels drawn bright": (labels() * 85, r"holds the values 0, 85, 170, 255, which are not understood"),
    "colours": (COLOURS[labels()], "is a mask in colours"),
    "alpha": (np.dstack([np.full(LUNGS.shape, 255, np.uint8)] * 3 + [LUNGS.astype(np.uint8) * 255]), "transparency"),
    "grey and alpha": (np.dstack([LUNGS.astype(np.uint8) * 255, LUNGS.astype(np.uint8) * 255]), "transparency"),
    "lungs as 1 and 2": (
        np.where(labels() >= 2, labels() - 1, 0).astype(np.uint8),
        "holds the labels 0, 1, 2, so a left",
    ),
    "left and right exchanged": (np.array([0, 1, 3, 2], np.uint8)[labels()], "from left .* left, heart, right, where"),
    "1 left, 2 right, 3 heart": (np.array([0, 3, 1, 2], np.uint8)[labels()], "left, right, heart, where"),
    "1 right, 2 heart, 3 left": (np.array([0, 2, 3, 1], np.uint8)[labels()], "heart, left, right, where"),
    "inverted": (255 - LUNGS.astype(np.uint8) * 255, "is inverted: it has lungs all along the border"),
    "inverted labels": (3 - labels(), "is inverted: it has right"),
    "empty": (labels() * 0, "holds no lung"),
}


@pytest.mark.parametrize("kind", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_refused_by_name_with_the_remedy(tmp_path, kind):
    array, words = NOT_UNDERSTOOD[kind]
    path = save(tmp_path, array)
    with pytest.raises(BadData, match=words) as caught:
        one(path)
    assert str(caught.value).startswith(f"{path} ") and REMEDY in str(caught.value) and str(caught.value)[-1] == "."


@pytest.mark.parametrize("kind", ["TIFF", "GIF"])
def test_an_organ_a_page_is_not_taken_for_the_lungs(tmp_path, kind):
    pages = [Image.fromarray((labels() == organ).astype(np.uint8) * 255) for organ in (2, 3, 1)]
    pages[0].save(tmp_path / "mask", kind, save_all=True, append_images=pages[1:])
    with pytest.raises(BadData, match="mask holds 3 pictures; save labels as"):
        one(tmp_path / "mask")


def test_lungs_in_the_folders_of_each_other(tmp_path):
    for organ, label in (("left", 3), ("right", 2)):
        Image.fromarray(labels() == label).save(tmp_path / f"{organ}.png")
    with pytest.raises(BadData, match="gives, from left to right of the image, left, right, where"):
        drawn_masks.truth({organ: tmp_path / f"{organ}.png" for organ in ("left", "right")})


def test_white_is_zero(tmp_path):
    path = save(tmp_path, 65535 - LUNGS.astype(np.uint16), format="TIFF", tiffinfo={262: 0})
    with Image.open(path) as file:
        assert file.mode == "I;16" and file.tag_v2[262] == 0
    assert np.array_equal(one(path)["lungs"], LUNGS)


UNDERSTOOD = {
    "0 and 255": LUNGS.astype(np.uint8) * 255,
    "0 and 1": LUNGS.astype(np.uint8),
    "boolean": LUNGS,
    "16 bits": LUNGS.astype(np.uint16) * 65535,
    "grey in three channels": np.dstack([LUNGS.astype(np.uint8) * 255] * 3),
    "all opaque": np.dstack([LUNGS.astype(np.uint8) * 255] * 3 + [np.full(LUNGS.shape, 255, np.uint8)]),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_lungs_against_nought(tmp_path, kind):
    found = one(save(tmp_path, UNDERSTOOD[kind]))
    assert list(found) == ["lungs"] and np.array_equal(found["lungs"], LUNGS)


def test_soft_edges_are_cut_at_half(tmp_path):
    large = np.kron(LUNGS, np.ones((8, 8), bool))
    soft = cv2.GaussianBlur(large.astype(np.uint8) * 255, (0, 0), 1.5)
    assert len(np.unique(soft)) > 50
    assert (one(save(tmp_path, soft))["lungs"] == large).mean() > 0.999


def test_labels_without_a_heart_do_not_say_that_there_is_none(tmp_path):
    found = one(save(tmp_path, np.where(labels() == 1, 0, labels()).astype(np.uint8)))
    assert set(found) == {"left", "right", "lungs"} and np.array_equal(found["left"], labels() == 2)


def test_an_organ_alone_is_known_alone(tmp_path):
    path = save(tmp_path, (labels() == 1).astype(np.uint8) * 255)
    found = drawn_masks.truth({"heart": path})
    assert list(found) == ["heart"] and np.array_equal(found["heart"], labels() == 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_on_the_stored_pixels_are_turned_with_their_radiograph(tmp_path, orientation):
    for scale in (1, 2):  # a mask may be smaller than its radiograph
        small = labels()[::scale, ::scale]
        path = save(tmp_path, turn.upright(small, {6: 8, 8: 6}.get(orientation, orientation)))
        assert np.array_equal(drawn_masks.truth({"labels": path}, (96, 80), orientation)["left"], small == 2)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_that_fits_the_upright_radiograph_alone_stays(tmp_path, orientation):
    found = drawn_masks.truth({"labels": save(tmp_path, labels())}, labels().shape, orientation)
    assert np.array_equal(found["left"], labels() == 2)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("own,of_radiograph", [*((n, n) for n in range(2, 9)), (6, 3)])
def test_a_mask_that_says_how_it_is_stored_is_turned_by_that(tmp_path, own, of_radiograph, kind):
    square = np.pad(labels(), ((0, 0), (8, 8)))
    exif = Image.Exif()
    exif[274] = own
    path = save(tmp_path, turn.upright(square, {6: 8, 8: 6}.get(own, own)), format=kind, exif=exif)
    assert np.array_equal(drawn_masks.truth({"labels": path}, (96, 96), of_radiograph)["left"], square == 2)


def test_a_damaged_png_is_no_mask(tmp_path):
    path = save(tmp_path, np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8))
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"IDAT") + 30] ^= 8
    path.write_bytes(whole)
    with pytest.raises(BadData, match=r"mask.png cannot be read as a mask: .*; save it as a grey PNG\."):
        one(path)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_labels_come_to_a_smaller_grid_without_a_shift(factor):
    small = labels()
    large = np.kron(small, np.ones((factor, factor), np.uint8))
    organs = large == np.array([1, 2, 3])[:, None, None]
    assert np.array_equal(transforms.resized_labels(organs, *small.shape), small)
    moved = np.roll(large, 1, axis=(0, 1)) == np.array([1, 2, 3])[:, None, None]
    there = transforms.resized_labels(moved, *small.shape)
    mirrored = transforms.resized_labels(moved[:, ::-1, ::-1], *small.shape)
    assert np.array_equal(there, mirrored[::-1, ::-1])  # a shift would go the other way
