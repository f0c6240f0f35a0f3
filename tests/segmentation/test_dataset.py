"""Which cases there are and what the network is given of them: the split, masks of every kind, faults told at once."""

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from conftest import ROOT
from PIL import Image

from cxr.settings import config
from segmentation import dataset, drawn_masks, header, transforms, validation

COHORT = ROOT.parent / "shared" / "cxr" / "cohort.csv"
NAMES = [f"JPCLN{i:03d}" for i in range(1, 155)] + [f"JPCNN{i:03d}" for i in range(1, 94)]
# The JSRT normals of the published cohort, in its order: 11 in the clean test set, 9 of those that chose the weights
PUBLISHED = """JPCNN015 JPCNN042 JPCNN043 JPCNN035 JPCNN085 JPCNN012 JPCNN016 JPCNN046 JPCNN090 JPCNN017 JPCNN093
JPCNN030 JPCNN026 JPCNN059 JPCNN054 JPCNN062 JPCNN066 JPCNN052 JPCNN025 JPCNN068""".split()


def chosen(*words):
    return config.load(header, ["resize_height=32", "resize_width=32", *words])[0]


def thorax(height=128, width=128):
    """Grey radiograph and labels, the left lung (2) on the right of the image."""
    labels = np.zeros((height, width), np.uint8)
    labels[height // 5 : -height // 5, width // 8 : 3 * width // 8] = 3
    labels[height // 5 : -height // 5, 5 * width // 8 : 7 * width // 8] = 2
    labels[height // 2 : -height // 5, 7 * width // 16 : 5 * width // 8] = 1
    shade = np.linspace(-60, 60, height)[:, None] + np.linspace(-30, 30, width)
    radiograph = np.array([120, 200, 60, 50])[labels] + shade + np.random.default_rng(0).normal(0, 8, labels.shape)
    return np.clip(radiograph, 0, 255).astype(np.uint8), labels


def write(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def write_jsrt(root, names, ending=".png"):
    radiograph, labels = thorax()
    for i, name in enumerate(names):
        write(root / "JSRT" / f"{name}{ending}", radiograph)
        for value, organ in enumerate(("heart", "left lung", "right lung"), 1):
            mask = (labels == value).astype(np.uint8) * 255
            write(root / "SCR" / f"fold{1 + i % 2}" / "masks" / organ / f"{name}.gif", mask)


def test_the_official_split():
    parts = dataset.official_split(NAMES, 407)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [197, 30, 20]
    assert sorted(sum(parts.values(), [])) == NAMES
    assert [name for name in parts["val"] + parts["test"] if name.startswith("JPCNN")] == PUBLISHED
    assert sum(name.startswith("JPCNN") for name in parts["test"]) == 11


@pytest.mark.skipif(not COHORT.exists(), reason="the table of the published cohort is not here")
def test_the_published_cohort_holds_the_same_names():
    table = pd.read_csv(COHORT)
    assert [name.removesuffix(".IMG") for name in table.filename[table.source == "JSRT"]] == PUBLISHED


# Near the image's own size and above it, float32 weights of the kernel cost a digit; radiographs are far larger.
@pytest.mark.parametrize(
    "size,tolerance", [((64, 96), 1e-3), ((100, 37), 1e-3), ((200, 256), 1e-2), ((300, 500), 0.01)]
)
def test_resize_is_pillows_bicubic(size, tolerance):
    image = np.random.default_rng(1).uniform(0, 255, (211, 317)).astype(np.float32)
    wanted = np.asarray(Image.fromarray(image).resize(size[::-1], Image.BICUBIC))
    got = transforms.resize(torch.from_numpy(image)[None], *size)[0].numpy()
    assert np.abs(got - wanted).max() < tolerance


def test_target_is_the_arg_max_with_half_for_background():
    heart, left, right = np.zeros((3, 64, 64), bool)
    heart[16:40, 16:40], left[16:40, 32:56], right[48:56, 8:16] = True, True, True
    left[0:2, 0:2] = True  # a quarter of a pixel of the target
    got = transforms.network_target([heart, left, right], (0, 64, 0, 64), chosen("resize_height=16", "resize_width=16"))
    assert got.dtype == np.uint8 and got.shape == (16, 16)
    assert (got[5:9, 5:9] == 1).all()  # where heart and left lung overlap, the first organ
    assert (got[5:9, 11:13] == 2).all() and got[12:14, 2:4].tolist() == [[3, 3], [3, 3]]
    assert got[0, 0] == 0 and got[15, 15] == 0


def test_left_lung_is_on_the_right_of_the_image(radiographs):
    for case in dataset.jsrt(radiographs):
        image, target = dataset.load(case, chosen())
        columns = [np.argwhere(target == organ)[:, 1].mean() for organ in (2, 3)]
        assert columns[0] > columns[1] + 8
        assert image.shape == (1, 32, 32) and image.dtype == torch.float32
        assert 0 <= image.min() and image.max() <= 255 and set(np.unique(target)) == {0, 1, 2, 3}


def test_fold_layout_and_copies(tmp_path):
    write_jsrt(tmp_path, ["JPCNN002", "JPCLN001"])
    write_jsrt(tmp_path, ["JPCNN001"], ".jpg")
    (tmp_path / "JSRT" / "notes.txt").write_text("not a radiograph")
    write(tmp_path / "JSRT" / "other.png", thorax()[0])
    cases = dataset.jsrt(tmp_path)
    assert [case.name for case in cases] == ["JPCLN001", "JPCNN001", "JPCNN002"]
    assert {case.masks["left"].parts[-4] for case in cases} == {"fold1", "fold2"}
    write(tmp_path / "JSRT" / "JPCLN001.jpeg", thorax()[0])
    with pytest.raises(dataset.BadData, match="JPCLN001.*JPCLN001.*keep one of each"):
        dataset.jsrt(tmp_path)
    with pytest.raises(dataset.BadData, match="make_phantom.py"):
        dataset.jsrt(tmp_path / "JSRT")


def test_img_and_png_copies_are_the_same_radiograph(tmp_path):
    radiograph = cv2.resize(thorax()[0], (2048, 2048)).astype(np.uint16) * 16
    write_jsrt(tmp_path, ["JPCLN001", "JPCLN002"])
    (tmp_path / "JSRT" / "JPCLN001.png").unlink()
    (4095 - radiograph).astype(">u2").tofile(tmp_path / "JSRT" / "JPCLN001.IMG")  # dark = high
    cv2.imwrite(str(tmp_path / "JSRT" / "JPCLN002.png"), radiograph)
    (raw, target), (copy, same) = (dataset.load(case, chosen()) for case in dataset.jsrt(tmp_path))
    torch.testing.assert_close(raw, copy, atol=1e-3, rtol=0)
    np.testing.assert_array_equal(target, same)


def test_every_faulty_file_is_named_at_once(tmp_path):
    names = [f"JPCLN{i:03d}" for i in range(1, 8)]
    write_jsrt(tmp_path, names)
    radiographs, masks = tmp_path / "JSRT", tmp_path / "SCR" / "fold1" / "masks"
    (radiographs / "JPCLN001.png").write_bytes((radiographs / "JPCLN001.png").read_bytes()[:900])
    (masks / "heart" / "JPCLN003.gif").unlink()
    write(masks / "left lung" / "JPCLN005.gif", np.zeros((128, 128), np.uint8))
    write(masks / "right lung" / "JPCLN007.gif", np.full((64, 64), 255, np.uint8))
    (tmp_path / "SCR" / "fold2" / "masks" / "heart" / "JPCLN006.gif").write_bytes(b"GIF89a but no more")
    with pytest.raises(dataset.BadData) as fault:
        dataset.Radiographs(dataset.jsrt(tmp_path), chosen())
    first, *lines = str(fault.value).splitlines()
    assert first == "5 of 7 cases cannot be used:" and len(lines) == 5
    for line, told in zip(
        lines,
        [
            ("JPCLN001.png", "truncated"),
            ("heart/JPCLN003.gif", "does not exist"),
            ("left lung/JPCLN005.gif", "no left"),
            ("heart/JPCLN006.gif", "cannot be read"),
            ("right lung/JPCLN007.gif", "differ in size"),
        ],
        strict=True,
    ):
        assert all(word in line for word in told), line


@pytest.mark.parametrize("cut", [3, 11, 14, 200, -1])
def test_a_damaged_mask_is_told_not_raised_through(tmp_path, cut):
    labels = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8) * 255
    for ending in ("gif", "png", "tif", "bmp"):
        path = tmp_path / f"mask.{ending}"
        write(path, labels)
        whole = path.read_bytes()
        path.write_bytes(whole[:cut])
        try:
            drawn_masks.read(path)  # a gif that lacks its last byte may still be read
        except dataset.BadData as fault:
            assert str(path) in str(fault)
        path.write_bytes(whole[: max(cut, 0)] + b"\xff\0" * 40 + whole[max(cut, 0) + 80 :])
        try:
            drawn_masks.read(path)
        except dataset.BadData as fault:
            assert str(path) in str(fault)


def test_label_masks_plain_palette_and_deep(tmp_path):
    radiograph, labels = thorax()
    palette = Image.fromarray(labels).convert("P")
    palette.putpalette([10, 10, 10, 200, 0, 0, 0, 0, 200, 200, 200, 0])
    write(tmp_path / "masks" / "a.png", labels)
    palette.save(tmp_path / "masks" / "b.png")
    write(tmp_path / "masks" / "c.png", labels.astype(np.uint16))
    write(tmp_path / "masks" / "d_mask.tif", labels)
    for name in "abcd":
        write(tmp_path / "images" / f"{name}.png", radiograph)
    settings = chosen()
    cases = dataset.image_folder(tmp_path / "images", tmp_path / "masks")
    assert [case.name for case in cases] == list("abcd")
    targets = [dataset.load(case, settings)[1] for case in cases]
    assert set(np.unique(targets[0])) == {0, 1, 2, 3}
    for target in targets[1:]:
        np.testing.assert_array_equal(target, targets[0])


@pytest.mark.parametrize("top,kind", [(255, np.uint8), (1, np.uint8), (128, np.uint8), (65535, np.uint16)])
def test_organ_masks_of_any_height(tmp_path, top, kind):
    radiograph, labels = thorax()
    write(tmp_path / "images" / "a.png", radiograph)
    for value, organ in enumerate(("heart", "left", "right"), 1):
        write(tmp_path / "masks" / organ / "a.png", ((labels == value) * top).astype(kind))
    (case,) = dataset.image_folder(tmp_path / "images", tmp_path / "masks")
    found = drawn_masks.truth(case.masks)
    for value, organ in enumerate(("heart", "left", "right"), 1):
        np.testing.assert_array_equal(found[organ], labels == value)


def test_lungs_against_nought_evaluate_but_do_not_train(tmp_path):
    radiograph, labels = thorax()
    write(tmp_path / "images" / "a.png", radiograph)
    write(tmp_path / "masks" / "a.png", np.where(labels >= 2, 255, 0).astype(np.uint8))
    (case,) = dataset.image_folder(tmp_path / "images", tmp_path / "masks")
    found = drawn_masks.truth(case.masks)
    assert list(found) == ["lungs"]
    np.testing.assert_array_equal(found["lungs"], labels >= 2)
    with pytest.raises(dataset.BadData, match="a.png needs masks of left and right lung.*not only of lungs"):
        dataset.load(case, chosen())


def test_without_a_heart_mask_the_rest_is_background_or_heart(tmp_path):
    radiograph, labels = thorax()
    write(tmp_path / "images" / "a.png", radiograph)
    for folder, value in (("left", 2), ("right", 3)):
        write(tmp_path / "masks" / folder / "a.png", ((labels == value) * 255).astype(np.uint8))
    (case,) = dataset.image_folder(tmp_path / "images", tmp_path / "masks")
    for augmented in (False, True):
        _, target = dataset.load(case, chosen(), augmented)
        assert set(np.unique(target)) == {2, 3, dataset.LUNGS_ONLY}
    target = torch.from_numpy(target.astype(np.int64))[None]
    logits = torch.randn(1, 4, *target.shape[1:], generator=torch.Generator().manual_seed(0))
    p = logits.softmax(1)
    outside = target == dataset.LUNGS_ONLY
    expected = -torch.where(outside, p[:, 0] + p[:, 1], p.gather(1, target.clamp(max=3)[:, None])[:, 0]).log().mean()
    found = validation.cross_entropy(logits.log_softmax(1), target, torch.ones(4))
    torch.testing.assert_close(found, expected)


def test_montgomery_layout(tmp_path):
    radiograph, labels = thorax()
    for name in ("MCUCXR_0001_0", "MCUCXR_0104_1"):
        write(tmp_path / "MontgomerySet" / "CXR_png" / f"{name}.png", radiograph)
        for folder, value in (("leftMask", 2), ("rightMask", 3)):
            mask = ((labels == value) * 255).astype(np.uint8)
            write(tmp_path / "MontgomerySet" / "ManualMask" / folder / f"{name}.png", mask)
    cases = dataset.montgomery(tmp_path)
    assert [case.name for case in cases] == ["MCUCXR_0001_0", "MCUCXR_0104_1"]
    found = drawn_masks.truth(cases[0].masks)
    assert set(found) == {"left", "right", "lungs"}
    np.testing.assert_array_equal(found["lungs"], labels >= 2)
    np.testing.assert_array_equal(found["left"], labels == 2)
    with pytest.raises(dataset.BadData, match="MontgomerySet/CXR_png does not exist"):
        dataset.montgomery(tmp_path / "nowhere")


def test_dotted_dicom_names_keep_their_last_number(tmp_path):
    _, labels = thorax()
    for name in ("1.2.840.10008.5", "1.2.840.10008.6"):
        write(tmp_path / "masks" / f"{name}.png", labels)
        dicom = pydicom.Dataset()
        dicom.file_meta = pydicom.dataset.FileMetaDataset()
        dicom.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        (tmp_path / "images").mkdir(exist_ok=True)
        dicom.save_as(tmp_path / "images" / name, enforce_file_format=False)
    cases = dataset.image_folder(tmp_path / "images", tmp_path / "masks")
    assert [case.name for case in cases] == ["1.2.840.10008.5", "1.2.840.10008.6"]
    assert all(case.masks["labels"].exists() for case in cases)


def test_mask_of_half_the_size_and_blank_border(tmp_path):
    """SCR drew at 1024 on radiographs of 2048; a blank border is cut off radiograph and masks alike."""
    radiograph, labels = thorax(256, 256)
    wide = np.zeros((256, 384), np.uint8)
    wide[:, 64:320] = radiograph
    for name, picture, truth in (
        ("a", radiograph, labels[::2, ::2]),
        ("b", wide, np.pad(labels[::2, ::2], ((0, 0), (32, 32)))),
    ):
        write(tmp_path / "images" / f"{name}.png", picture)
        write(tmp_path / "masks" / f"{name}.png", truth)
    cases = dataset.image_folder(tmp_path / "images", tmp_path / "masks")
    (plain, target), (cut, same) = (dataset.load(case, chosen()) for case in cases)
    assert (target == same).mean() > 0.98
    assert (plain - cut).abs().mean() < 5


def test_items_are_changed_anew_each_epoch_and_the_same_again(radiographs):
    cases = dataset.jsrt(radiographs)[:2]
    items = dataset.Radiographs(cases, chosen("augment=True"), augmented=True)
    items.epoch = 1
    image, target = items[1]
    assert image.shape == (1, 32, 32) and target.dtype == torch.int64
    items.epoch = 2
    assert not torch.equal(items[1][0], image)
    items.epoch = 1
    items[0]
    torch.testing.assert_close(items[1][0], image, atol=0, rtol=0)
    torch.testing.assert_close(items[1][1], target, atol=0, rtol=0)
    plain = dataset.Radiographs(cases, chosen())
    assert torch.equal(plain[1][0], plain[1][0]) and not torch.equal(plain[1][0], image)
