"""evaluate.py on the synthetic set: tables, groups, box plots, and distances in pixels at 1024 and in mm."""

import hashlib
import json
import shlex
import shutil

import cv2
import dicom_files
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import TINY
from lightning_fabric import Fabric
from PIL import Image

from cxr.reading import radiograph
from cxr.run import engine
from cxr.settings import config
from segmentation import dataset, evaluate, header, transforms
from segmentation import weights as weight_files

EVALUATE = "segmentation/evaluate.py"


@pytest.fixture(scope="module")
def weights(trained):
    return [*TINY, f"file_weights={trained.run / 'best.pt'}"]


def measure(cases, words):
    """evaluate.measure() with the real network on the CPU."""
    settings = config.load(header, words)[0]
    model, settings, _ = weight_files.open_network(weight_files.find_weights(settings)[0], settings)
    return evaluate.measure(cases, model, settings, Fabric(accelerator="cpu"))


def test_the_synthetic_set(trained, radiographs, tmp_path, call):
    """12 cases: 9 trained on, 2 chose the weights, 1 is clean; the authors' test is the last two kinds together."""
    done = call(EVALUATE, *trained.words, "test_name=whole", "-o", tmp_path)
    assert done.code == 0, done.err
    order = np.random.RandomState(407)
    cases = [case.name for case in dataset.jsrt(radiographs)]
    order.shuffle(cases)
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert list(rows.case) == cases[9:]
    assert rows.columns[0] == "case"
    for organ in ("left", "right", "heart", "lungs_mean", "lungs_union"):
        assert rows[f"jaccard_{organ}"].between(0, 1).all() and rows[f"dice_{organ}"].between(0, 1).all()
        assert f"hausdorff95_{organ}" in rows and f"surface_{organ}" in rows
    np.testing.assert_allclose(rows.jaccard_lungs_mean, (rows.jaccard_left + rows.jaccard_right) / 2)
    assert rows.jaccard_lungs_union.max() > 0.2  # a network of seconds, yet it has learnt

    assert list(rows.trained_on.fillna("")) == ["val", "val", ""]
    assert "2 of 3 were trained on (0 to train, 2 to choose the epoch)" in done.out
    told = json.loads((tmp_path / "report.json").read_text())["weights"]
    assert told["sha256"] == hashlib.sha256((trained.run / "best.pt").read_bytes()).hexdigest()
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert list(summary.columns) == ["group", "metric", "n", "mean", "sd", "low", "high", "median"]
    summary = summary.set_index(["group", "metric"])
    normal = [case for case in cases[9:] if case.startswith("JPCNN")]
    assert summary.loc[("authors' test", "jaccard_heart"), "n"] == 3
    assert summary.loc[("clean test", "jaccard_heart"), "n"] == 1
    assert ("authors' normals", "jaccard_heart") in summary.index or not normal
    whole = summary.loc[("authors' test", "jaccard_lungs_union")]
    assert whole["mean"] == pytest.approx(rows.jaccard_lungs_union.mean())
    assert whole["sd"] == pytest.approx(rows.jaccard_lungs_union.std())
    assert whole["low"] <= whole["mean"] <= whole["high"]
    clean = summary.loc[("clean test", "jaccard_left"), "mean"]
    assert clean == summary.loc[("not trained on", "jaccard_left"), "mean"]
    assert clean == pytest.approx(rows.set_index("case").jaccard_left[cases[11]])
    worst = pd.read_csv(tmp_path / "worst.csv")
    assert list(worst.organ) == 3 * ["lungs_union"] + 3 * ["heart"] and worst.jaccard[:3].is_monotonic_increasing
    assert worst.case[0] == rows.case[rows.jaccard_lungs_union.idxmin()]
    assert f"Lowest Jaccard index, lungs union: {worst.case[0]} {worst.jaccard[0]:.3f}, " in done.out
    plots = {path.name for path in tmp_path.glob("*.png")}
    assert {"jaccard_clean_test.png", "jaccard_authors__test.png"} <= plots
    assert f"Wrote {tmp_path}" in done.out.splitlines()[-1]


def test_the_split_is_that_of_the_weights(trained, radiographs, tmp_path, call):
    saved = engine.load(trained.run / "best.pt")
    torch.save(saved | {"settings": saved["settings"] | {"split_seed": 1}}, tmp_path / "other.pt")
    words = [*TINY, f"dir_data_root={radiographs}", "-o", tmp_path, f"file_weights={tmp_path / 'other.pt'}"]
    decided = ["mirror=True", "decision=[1.0,2.0,1.0,1.0]", "gamma=0.7"]
    done = call(EVALUATE, *words, *decided)
    assert done.code == 0 and "split_seed=1 as in the training of these weights, not 407" in done.out
    parts = dataset.official_split(dataset.jsrt(radiographs), 1)
    assert list(pd.read_csv(tmp_path / "metrics.csv").case) == [case.name for case in parts["val"] + parts["test"]]
    following = shlex.split(
        done.out.splitlines()[-1].split("Next: ")[1]
    )  # inference.py makes the masks that were measured
    assert following[:3] == ["python", "segmentation/inference.py", f"file_weights={tmp_path / 'other.pt'}"]
    assert {*decided, "device=cpu", "resize_height=32"} < {*following} and following[-2:] == ["-i", "FOLDER"]


def test_chosen_cases_and_the_default_folder(trained, radiographs, tmp_path, call):
    shutil.copytree(trained.run, tmp_path / "whole")
    parts = dataset.official_split(dataset.jsrt(radiographs))
    wanted = {parts["test"][0].name, parts["val"][1].name}
    (tmp_path / "two.txt").write_text("\n\n".join(wanted), encoding="utf-16")
    words = [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=whole"]
    done = call(EVALUATE, *words, "--cases", tmp_path / "two.txt")
    assert done.code == 0 and "2 cases" in done.out and "the best of the run whole" in done.out
    out = tmp_path / "whole" / "evaluation" / "jsrt"
    assert set(pd.read_csv(out / "metrics.csv").case) == wanted
    assert set(pd.read_csv(out / "summary.csv").group) == {"two", "not trained on"}

    (tmp_path / "two.txt").write_text(f"{wanted.pop()}\nJPCLN999\n", encoding="utf-8-sig")
    done = call(EVALUATE, *words, "--cases", tmp_path / "two.txt")
    assert done.code == 1 and "cases that are not in the set: JPCLN999." in done.err
    assert "is not a file" in call(EVALUATE, *words, "--cases", tmp_path / "none.txt").err


def label_folder(radiographs, where, labels_of):
    """Two radiographs of the set and a label image of each, by name."""
    (where / "images").mkdir(parents=True)
    (where / "masks").mkdir()
    for xray in sorted((radiographs / "JSRT").iterdir())[:2]:
        shutil.copy(xray, where / "images" / xray.name)
        cv2.imwrite(str(where / "masks" / f"{xray.stem}.png"), labels_of(xray))
    return where / "images", where / "masks"


def own_labels(radiographs, weights, tmp_path, call):
    out = tmp_path / "pairs"
    assert (
        call("segmentation/inference.py", "-i", radiographs / "JSRT", "-o", out, *weights, "overlays=False").code == 0
    )
    return {path.name.removesuffix(".labels.npy"): np.load(path) for path in (out / "JSRT").glob("*.labels.npy")}


def test_what_the_network_says_itself_is_a_perfect_truth(radiographs, weights, tmp_path, call):
    own = own_labels(radiographs, weights, tmp_path, call)
    assert all((labels > 0).any() for labels in own.values())
    images, masks = label_folder(radiographs, tmp_path, lambda xray: own[xray.stem])
    rows, faults = measure(dataset.image_folder(images, masks), weights)
    assert faults == [] and len(rows) == 2
    for row in rows:
        scores = {name: value for name, value in row.items() if name.startswith(("jaccard", "dice"))}
        for name, value in scores.items():
            assert value == 1 or np.isnan(value), name  # NaN where an organ is in neither
        assert any(value == 1 for value in scores.values())
        distances = [value for name, value in row.items() if name.startswith(("hausdorff", "surface"))]
        assert np.nanmax(distances) == 0


def test_distances_are_pixels_at_1024_and_mm_where_spacing_is_known(radiographs, weights, tmp_path, call, monkeypatch):
    """The truth is the network's own mask, one row lower: on a radiograph of 128 a pixel is 8 of an image of 1024."""
    own = own_labels(radiographs, weights, tmp_path, call)
    images, masks = label_folder(radiographs, tmp_path, lambda xray: np.roll(own[xray.stem], 1, axis=0))
    rows, _ = measure(dataset.image_folder(images, masks), weights)
    reach = [row["hausdorff_lungs_union"] for row in rows]
    assert np.nanmax(reach) >= 8 and all(np.isnan(value) or value >= 8 for value in reach)
    assert not any("mm" in name for row in rows for name in row)
    # Nothing but the spacing is added: the radiographs as PNG tell none.
    prepare = evaluate.segment.prepare

    def known(path, settings):
        item = prepare(path, settings)
        return type(item)(item.image, item.box, item.small, (0.5, 0.5))

    monkeypatch.setattr(evaluate.segment, "prepare", known)
    for row, plain in zip(measure(dataset.image_folder(images, masks), weights)[0], rows, strict=True):
        for name in [name for name in plain if name.startswith(("hausdorff", "surface"))]:
            assert row[f"{name}_mm"] == pytest.approx(plain[name] / 8 * 0.5, nan_ok=True)


@pytest.mark.parametrize("kind", ["labels", "lungs"])
def test_any_images_with_any_masks(radiographs, weights, tmp_path, call, kind):
    out = tmp_path / "out"
    images = radiographs / "cohort" / "normal"
    masks = radiographs / "masks" / "normal"
    if kind == "lungs":
        masks = tmp_path / "lungs"
        masks.mkdir()
        for path in (radiographs / "masks" / "normal").iterdir():
            cv2.imwrite(str(masks / path.name), np.where(cv2.imread(str(path), -1) >= 2, 255, 0).astype(np.uint8))
    done = call(EVALUATE, "-i", images, "-m", masks, "-o", out, *weights)
    assert done.code == 0, done.err
    rows = pd.read_csv(out / "metrics.csv")
    assert list(rows.case) == [path.stem for path in sorted(images.iterdir())]
    assert ("jaccard_heart" in rows) == (kind == "labels") and "jaccard_lungs_union" in rows
    assert set(pd.read_csv(out / "summary.csv").group) == {"all"}


def test_a_faulty_case_is_told_and_the_others_are_measured(radiographs, weights, tmp_path, call):
    lungs = np.pad(np.full((64, 64), 255, np.uint8), 32)
    images, masks = label_folder(radiographs, tmp_path, lambda xray: lungs)
    (images / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (images / "lone.png").write_bytes(next(images.glob("JPC*")).read_bytes())
    cv2.imwrite(str(masks / "bad.png"), lungs)
    done = call(EVALUATE, "-i", images, "-m", masks, "-o", tmp_path / "out", *weights)
    assert done.code == 1 and len(pd.read_csv(tmp_path / "out" / "metrics.csv")) == 2
    failed = [line for line in done.out.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2 and "bad.png" in failed[0] and "lone.png does not exist" in failed[1]


@pytest.mark.parametrize(
    "words,code,told",
    [
        (["-i", "nowhere"], 1, "-i and -m belong together"),
        (["-i", "nowhere", "-m", "nowhere"], 1, "nowhere does not exist"),
        (["--set", "montgomery"], 1, "MontgomerySet/CXR_png does not exist"),
        (["dir_data_root=nowhere"], 1, "make_phantom.py"),
    ],
)
def test_what_cannot_start_says_why(radiographs, weights, tmp_path, call, words, code, told):
    done = call(EVALUATE, f"dir_data_root={radiographs}", *weights, *words, "-o", tmp_path / "out")
    assert done.code == code and told in done.err
    assert not (tmp_path / "out").exists()


def rows_of(radiographs, where, weights, own, write):
    """Metrics of the network's own labels as truth, both written by `write`(folder, radiograph, labels)."""
    for folder in ("images", "masks"):
        (where / folder).mkdir(parents=True)
    for xray in sorted((radiographs / "JSRT").iterdir())[:2]:
        write(where, xray, own[xray.stem])
    rows, faults = measure(dataset.image_folder(where / "images", where / "masks"), weights)
    assert faults == [] and len(rows) == 2
    return rows


def save_mask(where, xray, labels):
    cv2.imwrite(str(where / "masks" / f"{xray.stem}.png"), labels)


def as_exif_turns_it(where, xray, labels):
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter clockwise to stand upright, so stored turned the other way
    pixels = np.rot90(radiograph.read(xray).pixels)
    Image.fromarray((pixels >> 8).astype(np.uint8)).save(where / "images" / f"{xray.stem}.png", exif=exif)
    save_mask(where, xray, np.rot90(labels))


def as_a_mirrored_dicom(where, xray, labels):
    pixels = np.ascontiguousarray(radiograph.read(xray).pixels[:, ::-1])
    header = {"PatientOrientation": ["R", "F"], "ViewPosition": "PA"}
    dicom_files.save(where / "images" / f"{xray.stem}.dcm", dicom_files.dataset(pixels, 16, **header))
    save_mask(where, xray, labels[:, ::-1])


@pytest.mark.parametrize("write", [as_exif_turns_it, as_a_mirrored_dicom])
def test_masks_on_the_stored_pixels_are_compared_upright(radiographs, weights, tmp_path, call, write, capsys):
    own = own_labels(radiographs, weights, tmp_path, call)
    capsys.readouterr()
    rows = rows_of(radiographs, tmp_path / "turned", weights, own, write)
    for row in rows:
        assert row["jaccard_lungs_union"] > 0.95  # 8 of 16 bits, in one of them
    said = capsys.readouterr().out
    assert "Note: 2 of 2 radiographs are turned upright by EXIF or PatientOrientation; their masks" in said


def test_a_mask_smaller_than_its_radiograph_is_compared_without_a_shift(radiographs, weights, tmp_path, call):
    """Mirrored truth and prediction have the same figures; taken a quarter of a pixel off they have not."""
    own = own_labels(radiographs, weights, tmp_path, call)
    halved = {
        name: transforms.resized_labels(labels == np.array([1, 2, 3])[:, None, None], 64, 64)
        for name, labels in own.items()
    }

    def write(where, xray, labels):
        shutil.copy(xray, where / "images" / xray.name)
        save_mask(where, xray, halved[xray.stem])

    for row in rows_of(radiographs, tmp_path / "half", weights, own, write):
        assert row["jaccard_lungs_union"] == 1


def test_masks_that_are_not_understood_are_faults_by_name(radiographs, weights, tmp_path, call):
    images, masks = label_folder(radiographs, tmp_path, lambda xray: np.arange(128 * 128).reshape(128, 128) % 7)
    done = call(EVALUATE, "-i", images, "-m", masks, "-o", tmp_path / "out", *weights)
    assert done.code == 1 and done.err.count("which are not understood; save labels as a grey or palette PNG") == 2


def test_hearts_alone_are_compared(radiographs, weights, tmp_path, call):
    own = own_labels(radiographs, weights, tmp_path, call)
    (tmp_path / "masks" / "heart").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    xray = sorted((radiographs / "JSRT").iterdir())[0]
    shutil.copy(xray, tmp_path / "images" / xray.name)
    cv2.imwrite(str(tmp_path / "masks" / "heart" / f"{xray.stem}.png"), (own[xray.stem] == 1) * np.uint8(255))
    rows, faults = measure(dataset.image_folder(tmp_path / "images", tmp_path / "masks"), weights)
    assert faults == [] and {name for name in rows[0] if name.startswith("jaccard")} == {"jaccard_heart"}
