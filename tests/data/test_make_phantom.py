"""The synthetic cohort: formats, layouts, polarity, sides, lesions, seeds; drawn small, read back from disk."""

import json
import subprocess
import sys
from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from conftest import ROOT
from PIL import Image
from scipy import ndimage

from data import make_phantom
from data.thorax import anatomy, cases, chance, exposure, formats

ORGANS = ("heart", "left lung", "right lung", "left clavicle", "right clavicle")
SMALL = ["--jsrt", "5", "--per-class", "4", "--size", "160", "--lateral", "2", "--workers", "1"]


def draw(out, *words):
    args = make_phantom.parse_arguments(["-o", str(out), *map(str, words)])
    return make_phantom.make_phantom(args)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "set"
    return out, draw(out, *SMALL)


def read_radiograph(path):
    """Grey of a radiograph in 0..1, bone bright, read without the project's own reader."""
    if path.suffix == ".dcm":
        dataset = pydicom.dcmread(path)
        grey = dataset.pixel_array / 4095
        return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels / np.iinfo(pixels.dtype).max


def read_labels(out, case):
    return cv2.imread(str(out / case.masks["labels"]), cv2.IMREAD_UNCHANGED)


def of_cohort(phantom):
    out, drawn = phantom
    return out, [case for case in drawn if case.set == "cohort"]


def test_jsrt_layout_and_masks(phantom):
    out, _ = phantom
    names = sorted(path.stem for path in (out / "JSRT").iterdir())
    assert names == ["JPCLN001", "JPCLN002", "JPCLN003", "JPCNN001", "JPCNN002"]
    for name in names:
        radiograph = cv2.imread(str(out / "JSRT" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert radiograph.shape == (160, 160) and radiograph.dtype == np.uint16 and len(np.unique(radiograph)) > 256
        fold = "fold1" if int(name[-3:]) % 2 else "fold2"
        masks = {}
        for organ in ORGANS:
            mask = Image.open(out / "SCR" / fold / "masks" / organ / f"{name}.gif")
            assert mask.format == "GIF" and mask.size == (1024, 1024)
            masks[organ] = np.array(mask.convert("L"))
            assert set(np.unique(masks[organ])) == {0, 255}
        assert not ((masks["heart"] > 0) & ((masks["left lung"] > 0) | (masks["right lung"] > 0))).any()
        assert not ((masks["left lung"] > 0) & (masks["right lung"] > 0)).any()
        column = {organ: np.nonzero(mask)[1].mean() for organ, mask in masks.items()}
        assert column["right lung"] < column["heart"] < column["left lung"]  # the patient's left is image right
        assert column["right clavicle"] < 512 < column["left clavicle"]
        assert column["heart"] > (column["right lung"] + column["left lung"]) / 2 - 5
    assert len(list((out / "SCR").rglob("*.gif"))) == 5 * len(names)
    assert {path.stem for path in (out / "lesions" / "JSRT").iterdir()} == {"JPCLN001", "JPCLN002", "JPCLN003"}


def test_a_raw_img_is_big_endian_12_bit_and_dark_is_high(tmp_path):
    case = cases.plan_jsrt(1, 2048)[0]
    cases.write_case(case, tmp_path, 407)
    path = tmp_path / "JSRT" / "JPCLN001.IMG"
    assert path.stat().st_size == 2048 * 2048 * 2
    raw = np.fromfile(path, ">u2").reshape(2048, 2048)
    assert raw.max() <= 4095 and len(np.unique(raw)) > 1000
    organ = {name: np.array(Image.open(tmp_path / case.masks[name]).convert("L")) > 0 for name in ORGANS}
    halved = raw.astype(float).reshape(1024, 2, 1024, 2).mean((1, 3))
    for lung in ("left lung", "right lung"):
        assert np.median(halved[organ[lung]]) > np.median(halved[organ["heart"]]) + 300
    assert cv2.imread(str(tmp_path / case.lesion), cv2.IMREAD_UNCHANGED).shape == (1024, 1024)
    with pytest.raises(ValueError, match="2048 x 2048"):
        formats.write_image(tmp_path / "small.IMG", np.zeros((64, 64)), "img")


def test_cohort_holds_every_format_and_both_polarities(phantom):
    out, cohort = of_cohort(phantom)
    assert Counter(case.folder for case in cohort) == dict.fromkeys(cases.CLASSES, 4)
    assert {path.name for path in (out / "cohort").iterdir()} == set(cases.CLASSES)
    depths, photometric = set(), set()
    for case in cohort:
        path = out / case.file
        if path.suffix == ".dcm":
            dataset = pydicom.dcmread(path)
            photometric.add(dataset.PhotometricInterpretation)
            assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
            assert (dataset.BitsAllocated, dataset.BitsStored, dataset.PixelRepresentation) == (16, 12, 0)
            assert dataset.PatientID == f"PHANTOM-{case.number}" and dataset.ViewPosition in ("PA", "AP")
            assert float(dataset.WindowWidth) > 100 and 0 < dataset.pixel_array.max() <= 4095
            spacing = anatomy.UNIT_MM * 1024 / min(case.shape)
            assert float(dataset.ImagerPixelSpacing[0]) == pytest.approx(spacing, abs=1e-4)
        else:
            depths.add((path.suffix, cv2.imread(str(path), cv2.IMREAD_UNCHANGED).dtype.name))
        radiograph, labels = read_radiograph(path), read_labels(out, case)
        assert radiograph.shape == labels.shape == case.shape and labels.dtype == np.uint8
        assert set(np.unique(labels)) == {0, 1, 2, 3}
        assert np.median(radiograph[labels > 1]) < np.median(radiograph[labels == 1])  # lungs darker than the heart
    assert photometric == {"MONOCHROME1", "MONOCHROME2"}
    assert {(".png", "uint8"), (".png", "uint16"), (".jpg", "uint8")} <= depths
    assert len({case.shape for case in cohort}) >= 4


def test_lesions_lie_in_the_lungs_and_whiten_them(phantom):
    out, cohort = of_cohort(phantom)
    assert not (out / "lesions" / "normal").exists()
    rise = []
    for case in cohort:
        if case.folder == "normal":
            continue
        labels, radiograph = read_labels(out, case), read_radiograph(out / case.file)
        lesion = cv2.imread(str(out / case.lesion), cv2.IMREAD_UNCHANGED) > 0
        assert lesion.any() and (labels[lesion] > 1).all()
        sides = set(np.unique(labels[lesion]))
        if case.folder in ("COVID-19", "virus"):
            assert sides == {2, 3}
        if case.folder == "bacteria":
            assert len(sides) == 1
            assert lesion.sum() < 0.4 * (labels > 1).sum()
        if case.folder == "Tuberculosis":
            rows = np.nonzero(labels > 1)[0]
            assert np.nonzero(lesion)[0].mean() < rows.mean()
        if case.folder in ("COVID-19", "bacteria"):
            lungs = (labels > 1) & ~lesion
            rise.append(radiograph[lesion].mean() - radiograph[lungs].mean())
    assert np.median(rise) > 0.05


@pytest.mark.filterwarnings("ignore:The xlrd engine")
def test_metadata_matches_the_radiographs_one_to_one(phantom):
    out, drawn = phantom
    sheets = pd.read_excel(out / "metadata.xls", sheet_name=None, engine="xlrd")
    table = pd.concat(sheets.values())
    assert list(table.columns) == "source filename patientid offset sex age finding Class view license".split()
    assert all((sheet.source == name).all() for name, sheet in sheets.items())
    radiographs = [path.name for part in ("cohort", "lateral") for path in (out / part).rglob("*.*")]
    assert sorted(table.filename) == sorted(radiographs) and table.filename.is_unique
    assert set(table.Class) == {path.name for path in (out / "cohort").iterdir()}
    assert (table.view == "L").sum() == 2 and {"PA", "AP Supine"} <= set(table.view)
    by_patient = table[table.view != "L"].groupby("patientid")
    assert by_patient.size().max() > 1  # patients with several images ...
    assert (by_patient[["sex", "age", "source", "Class"]].nunique() == 1).all(axis=None)  # ... who stay themselves
    manifest = json.loads((out / "phantom.json").read_text())
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written == {*manifest["files"], "phantom.json"}


def test_same_seed_same_bytes_whatever_the_counts(phantom, tmp_path):
    out, _ = phantom
    smaller = tmp_path / "smaller"
    draw(smaller, "--jsrt", 2, "--per-class", 2, "--size", 160, "--lateral", 1, "--workers", 2)
    files = [path.relative_to(smaller) for path in smaller.rglob("*") if path.is_file()]
    compared = [name for name in files if name.name not in ("metadata.xls", "phantom.json")]
    assert len(compared) > 30
    for name in compared:
        assert (smaller / name).read_bytes() == (out / name).read_bytes(), name
    rows = [cases.describe(case, 407) for case in cases.plan_class("normal", 3, 160, 407)]
    for copy in ("one.xls", "two.xls"):
        formats.write_metadata(tmp_path / copy, rows)
    assert (tmp_path / "one.xls").read_bytes() == (tmp_path / "two.xls").read_bytes()
    other = tmp_path / "other"
    draw(other, "--jsrt", 1, "--per-class", 0, "--size", 160, "--seed", 408, "--workers", 1)
    assert (other / "JSRT" / "JPCLN001.png").read_bytes() != (out / "JSRT" / "JPCLN001.png").read_bytes()


def test_hospital_is_tied_to_class_only_where_asked():
    def sources(confounded):
        return {
            folder: {case.hospital.name for case in cases.plan_class(folder, 20, 256, 407, confounded)}
            for folder in cases.CLASSES
        }

    assert all(len(names) == len(exposure.HOSPITALS) for names in sources(False).values())
    tied = list(sources(True).values())
    assert all(len(names) == 1 for names in tied) and len(set.union(*tied)) == 5


def test_bodies_vary_and_every_organ_is_one_piece():
    ratios, areas = [], []
    for number in range(60):
        patient = chance.draw_patient(chance.keyed_rng(1, number))
        pose = chance.draw_pose(chance.keyed_rng(1, number, "pose"), "AP Supine" if number % 4 == 0 else "PA")
        body = anatomy.shape_body(patient, pose)
        labels = anatomy.label_organs(anatomy.measure(body, *anatomy.locate((192, 192), pose)))
        assert all(ndimage.label(labels == organ)[1] == 1 for organ in (1, 2, 3)), number
        assert body.tops["right"] < body.tops["left"]  # the right dome stands higher
        heart, thorax = np.nonzero(labels == 1)[1], np.nonzero(labels > 1)[1]
        ratios.append(np.ptp(heart) / np.ptp(thorax))
        areas.append([(labels == organ).mean() for organ in (1, 2, 3)])
    assert 0.35 < min(ratios) < 0.42 and 0.52 < max(ratios) < 0.63
    # near what the SCR masks of 93 normal radiographs cover: 0.093, 0.137 and 0.167 of the radiograph
    np.testing.assert_allclose(np.mean(areas, 0), [0.093, 0.137, 0.167], rtol=0.12)
    assert (np.std(areas, 0) > 0.008).all()


def test_points_and_pixels_are_inverse():
    pose = chance.draw_pose(chance.keyed_rng(3, "pose"))
    x, y = anatomy.locate((300, 360), pose)
    rows, columns = np.array([10, 150, 290]), np.array([350, 180, 5])
    points = np.stack([x[rows, columns], y[rows, columns]], 1)
    np.testing.assert_allclose(anatomy.place(points, (300, 360), pose), np.stack([columns, rows], 1), atol=1e-3)


def test_an_alien_folder_is_refused_and_an_own_one_replaced(tmp_path):
    script = [
        sys.executable,
        str(ROOT / "data" / "make_phantom.py"),
        *"--jsrt 1 --per-class 0 --size 128 --workers 1".split(),
    ]
    alien = tmp_path / "alien"
    alien.mkdir()
    (alien / "thesis.txt").write_text("years of work")
    run = subprocess.run([*script, "-o", alien], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "did not write" in run.stderr
    assert [path.name for path in alien.iterdir()] == ["thesis.txt"]

    (alien / make_phantom.MANIFEST).write_text('{"files": [1]}')
    with pytest.raises(FileExistsError, match="lists no files of this script"):
        make_phantom.clear(alien)

    own = tmp_path / "my own"
    draw(own, "--jsrt", 2, "--per-class", 0, "--size", 128, "--workers", 1)
    (own / "note.txt").write_text("kept")
    run = subprocess.run([*script, "-o", own], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in (own / "JSRT").iterdir()] == ["JPCLN001.png"]
    assert (own / "note.txt").read_text() == "kept"
    assert f"python segmentation/train.py 'dir_data_root={own}'" in run.stdout.splitlines()[-1]


def test_wrong_arguments_end_with_a_sentence(capsys):
    with pytest.raises(SystemExit):
        make_phantom.parse_arguments(["--jsrt", "300"])
    assert "--jsrt must lie between 0 and 247, not 300." in capsys.readouterr().err
    tiny = make_phantom.parse_arguments(["--tiny", "--jsrt", "6"])
    assert (tiny.jsrt, tiny.size, tiny.per_class) == (6, 384, 8)
