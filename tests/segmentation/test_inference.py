"""Inference over a folder of mixed images: a row a file, whole pairs or none, and the same whatever interrupted it."""

import hashlib
import json
import shutil
import signal
from types import SimpleNamespace

import dicom_files
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, TINY, run
from killed_runs import KILLER
from PIL import Image

from classification import header
from classification.cases import finder
from classification.splitting import known
from cxr import pairs
from cxr.settings import config

INFER = "segmentation/inference.py"
GOOD = {
    ("normal", "007"),
    ("normal", "1.2.840.10008.5"),
    ("normal", "NA"),
    ("normal", "a b"),
    ("normal", "deep.v2"),
    ("normal/ward 3", "007"),
}
BROKEN = {("sick", "cut"): "truncated", ("sick", "flat"): "grey level", ("sick", "text"): "is text"}


def write_inputs(folder, radiographs):
    """Six radiographs and three files that are none, with names that a table or a path could trip over."""
    normal, sick = folder / "normal", folder / "sick"
    (normal / "ward 3").mkdir(parents=True)
    sick.mkdir()
    copies = sorted((radiographs / "JSRT").iterdir())
    for copy, name in zip(copies, ("NA.png", "007.PNG", "a b.png", "deep.v2.png", "ward 3/007.png"), strict=False):
        shutil.copy(copy, normal / name)
    pixels = np.asarray(Image.open(copies[5])).astype(np.uint16) >> 4
    dicom_files.save(normal / "1.2.840.10008.5", dicom_files.dataset(pixels, PixelSpacing=[0.4, 0.4]))
    (sick / "cut.png").write_bytes(copies[0].read_bytes()[:4000])
    flat = np.zeros((200, 200), np.uint8)
    flat[20:180, 20:180] = 255
    Image.fromarray(flat).save(sick / "flat.png")
    (sick / "text.dcm").write_text("no DICOM but a page that says that there is none")
    (folder / "notes.csv").write_text("passed,over\n")


def contents(folder):
    """{relative name: digest} of everything but the report, which tells times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "report.json"
    }


def table(folder):
    return pd.read_csv(folder / "masks.csv", dtype={"case": str, "folder": str}, keep_default_na=False)


@pytest.fixture(scope="module")
def whole(trained, radiographs, tmp_path_factory):
    """An uninterrupted run by one process: its input, output, settings and process."""
    folder = tmp_path_factory.mktemp("inference")
    write_inputs(folder / "in", radiographs)
    words = [*TINY, f"file_weights={trained.run / 'best.pt'}"]
    done = run(INFER, "-i", folder / "in", "-o", folder / "out", *words)
    return SimpleNamespace(given=folder / "in", out=folder / "out", words=words, done=done)


def test_a_row_a_file_and_exit_code_1_for_the_broken(whole):
    rows = table(whole.out)
    assert whole.done.returncode == 1 and "Traceback" not in whole.done.stderr
    assert list(rows.columns[:5]) == ["case", "folder", "file", "status", "reason"]
    keys = list(zip(rows.folder, rows.case, strict=True))
    assert len(keys) == 9 and set(keys) == GOOD | set(BROKEN)
    for key, status, reason in zip(keys, rows.status, rows.reason, strict=True):
        assert (status == "failed") == (key in BROKEN), reason
        assert BROKEN.get(key, "") in reason and bool(reason) == (status != "ok")
        assert key not in BROKEN or (str(whole.given) in reason and reason in whole.done.stdout)
    ok, flagged = (rows.status == "ok").sum(), (rows.status == "flagged").sum()
    assert f"{ok} ok, {flagged} flagged, 3 failed" in whole.done.stdout


def test_pairs_labels_and_overlays_of_every_radiograph(whole):
    ends = (".image.npy", ".mask.npy", ".labels.npy", ".overlay.png")
    expected = {f"{folder}/{case}{end}" for folder, case in GOOD for end in ends} | {"masks.csv"}
    assert set(contents(whole.out)) == expected
    rows = table(whole.out).set_index(["folder", "case"])
    areas = 0
    for folder, case in GOOD:
        image, mask = pairs.load(whole.out / folder, case, allow_empty=True)
        labels = pairs.load_labels(whole.out / folder, case)
        assert image.shape == (128, 128) and np.load(whole.out / folder / f"{case}.image.npy").dtype == np.float32
        np.testing.assert_array_equal(mask, labels >= 2)
        assert Image.open(whole.out / folder / f"{case}.overlay.png").size == (128, 128)
        row = rows.loc[(folder, case)]
        assert float(row.area_left) == (labels == 2).sum() and float(row.area_heart) == (labels == 1).sum()
        areas += mask.sum()
    assert areas > 500  # else masks equal to others would say little
    assert float(rows.loc[("normal", "1.2.840.10008.5")].spacing_row_mm) == 0.4


def test_report(whole, trained):
    report = json.loads((whole.out / "report.json").read_text())
    rows = table(whole.out)
    counted = {status: int((rows.status == status).sum()) for status in ("ok", "flagged", "failed")}
    assert report["counts"] == counted | {"passed_over": 1} and counted["failed"] == 3
    assert report["weights"]["sha256"] == hashlib.sha256((trained.run / "best.pt").read_bytes()).hexdigest()
    assert report["settings"]["net_label"] == "fcdensenet56" and report["seconds"] > 0 and report["device"] == "cpu"
    assert {"torch", "numpy", "python", "pydicom"} <= set(report["versions"])


def test_no_patient_of_a_dicom_file_is_named_in_the_output(whole):
    source = (whole.given / "normal" / "1.2.840.10008.5").read_bytes()
    for secret in (b"Secret^Patient", b"SECRET-ID-77", b"19991231"):
        assert secret in source
        for path in whole.out.rglob("*"):
            assert path.is_dir() or secret not in path.read_bytes(), path
        assert secret.decode() not in whole.done.stdout + whole.done.stderr


def test_a_second_run_skips_what_is_finished_and_overwrite_does_not(whole, tmp_path, call):
    out = tmp_path / "out"
    shutil.copytree(whole.out, out)
    (out / "normal" / "a b.mask.npy").unlink()  # half a pair is not finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.image.npy")}
    done = call(INFER, "-i", whole.given, "-o", out, *whole.words)
    assert done.code == 1 and "(5 were finished before)" in done.out
    assert contents(out) == contents(whole.out)
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"a b.image.npy"}
    done = call(INFER, "-i", whole.given, "-o", out, "--overwrite", *whole.words)
    assert done.code == 1 and "(0 were finished before)" in done.out
    assert all(path.stat().st_mtime_ns != time for path, time in before.items())
    assert contents(out) == contents(whole.out)


def test_killed_in_the_middle_of_a_pair_and_run_again(whole, tmp_path, call):
    (tmp_path / "killer.py").write_text(KILLER)
    out = tmp_path / "out"
    words = ["-i", whole.given, "-o", out, *whole.words]
    dead = run(tmp_path / "killer.py", 9, ROOT / INFER, *words)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    written = sorted(out.rglob("*.npy"))
    assert 0 < len(written) < 18
    for folder in {path.parent for path in written}:
        for case in pairs.find(folder):  # what looks whole is whole
            assert (folder / f"{case}.image.npy").read_bytes() == (
                whole.out / folder.relative_to(out) / f"{case}.image.npy"
            ).read_bytes()
            pairs.load(folder, case, allow_empty=True)
    done = call(INFER, *words)
    assert done.code == 1
    assert contents(out) == contents(whole.out)  # no leftover either
    assert not table(out).duplicated(["folder", "case"]).any()


def test_two_processes_give_the_masks_of_one(whole, tmp_path):
    done = run(INFER, "-i", whole.given, "-o", tmp_path, *whole.words, processes=2)
    assert done.returncode == 1 and 'inference.py", line' not in done.stderr  # torchrun has a traceback of its own
    assert contents(tmp_path) == contents(whole.out)
    assert json.loads((tmp_path / "report.json").read_text())["processes"] == 2


def test_a_process_without_work_keeps_nobody_waiting(whole, tmp_path):
    """Of the three batches only the second is left, the second process's: the first has nothing to do."""
    shutil.copytree(whole.out / "normal", tmp_path / "normal")
    rows = table(whole.out)
    rows = rows[rows.folder.isin(["normal", "normal/ward 3"])].sort_values(["folder", "case"])
    rows.to_csv(tmp_path / "masks.csv", index=False)
    case = rows.case.iloc[2]
    (tmp_path / "normal" / f"{case}.image.npy").unlink()
    done = run(
        INFER, "-i", whole.given / "normal", "-o", tmp_path, *whole.words, "num_batch_test=2", processes=2, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert "(5 were finished before)" in done.stdout or "(4 were finished before)" in done.stdout
    assert pairs.is_complete(tmp_path / "normal", case)


def test_two_inputs_for_one_output_are_refused_before_anything_is_written(whole, radiographs, tmp_path, call):
    radiograph = next((radiographs / "JSRT").iterdir())
    given = [tmp_path / name / "in" for name in "ab"]
    for folder in given:
        folder.mkdir(parents=True)
        shutil.copy(radiograph, folder / "x.png")
    done = call(INFER, "-i", *given, "-o", tmp_path / "out", *whole.words)
    assert done.code == 1 and "a/in/x.png and" in done.err and "b/in/x.png" in done.err
    assert "Nothing was written" in done.err
    assert not (tmp_path / "out").exists()


def test_uint8_images_without_overlays_from_another_folder(whole, radiographs, tmp_path, call, monkeypatch):
    (tmp_path / "radiographs" / "inner").mkdir(parents=True)
    shutil.copy(next((radiographs / "JSRT").iterdir()), tmp_path / "radiographs" / "one.png")
    monkeypatch.chdir(tmp_path / "radiographs" / "inner")
    more = ["image_dtype=uint8", "overlays=False", "masks_png=True"]
    assert call(INFER, "-i", "../one.png", "-o", "here", *whole.words, *more).code == 0
    assert call(INFER, "-i", "..", "-o", "../../there", *whole.words, *more).code == 0
    outs = [
        tmp_path / "radiographs" / "inner" / "here",
        tmp_path / "there" / "radiographs",
    ]  # a file alone has no class folder
    for out in outs:
        assert {path.name for path in out.iterdir()} >= {"one.image.npy", "one.mask.npy", "one.labels.npy"}
        assert np.load(out / "one.image.npy").dtype == np.uint8
        (picture,) = out.glob("*.png")
        assert np.array_equal(np.asarray(Image.open(picture)), np.load(out / "one.labels.npy"))
        image, _ = pairs.load(out, "one", allow_empty=True)
        assert image.max() > 200


def test_views_stand_in_the_table_and_laterals_fail_with_the_reason(whole, radiographs, tmp_path, call):
    pixels = np.asarray(Image.open(sorted((radiographs / "JSRT").iterdir())[5])).astype(np.uint16) >> 4
    (tmp_path / "in").mkdir()
    for name, view in (("a", "AP"), ("b", "LL"), ("c", "PA"), ("d", ""), ("e", "RLO")):
        dicom_files.save(tmp_path / "in" / f"{name}.dcm", dicom_files.dataset(pixels, ViewPosition=view))
    done = call(INFER, "-i", tmp_path / "in", "-o", tmp_path / "out", *whole.words)
    rows = table(tmp_path / "out").set_index("case")
    assert done.code == 1 and dict(rows.view) == {"a": "AP", "b": "lateral", "c": "PA", "d": "", "e": "oblique"}
    assert {case for case in rows.index if rows.status[case] == "failed"} == {"b", "e"}
    assert rows.reason["b"].endswith("b.dcm: its view is lateral by its header; give frontal radiographs only.")
    assert pairs.find(tmp_path / "out" / "in") == ["a", "c", "d"]
    found = finder.find([tmp_path / "out"]).cases
    masks, _ = known.masks(found, [tmp_path / "out"], config.load(header, [])[0])
    assert masks["in", "a"]["status"] in ("ok", "flagged")


def test_output_among_the_input_is_not_segmented_again(whole, radiographs, tmp_path, call):
    (tmp_path / "normal").mkdir()
    shutil.copy(next((radiographs / "JSRT").iterdir()), tmp_path / "normal" / "one.png")
    for _ in range(2):
        done = call(INFER, "-i", tmp_path / "normal", "-o", tmp_path, *whole.words)
        assert (done.code == 0 and done.out.startswith("1 radiographs")) or "\n1 radiographs" in done.out
    assert list(table(tmp_path).case) == ["one"]


@pytest.mark.parametrize(
    "words,told",
    [
        (["file_weights=missing.pt"], "missing.pt does not exist."),
        (["file_weights=None", "dir_checkpoint=nowhere", "test_name=none"], None),
        (["-i", "nowhere"], "nowhere does not exist."),
        (["-i", "empty"], "there are no radiographs in empty."),
    ],
)
def test_what_cannot_start_says_why(whole, tmp_path, call, monkeypatch, words, told):
    from segmentation import weights

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "WIDE", tmp_path / "shipped.safetensors")
    (tmp_path / "empty").mkdir()
    given = [] if "-i" in words else ["-i", whole.given]
    done = call(INFER, *given, "-o", "out", *whole.words, *words)
    assert done.code == 1 and (told or "there are no weights: ") in done.err
    assert not (tmp_path / "out").exists()


def test_weights_used_otherwise_than_trained_are_noted(whole, radiographs, tmp_path, call):
    radiograph = next((radiographs / "JSRT").iterdir())
    done = call(INFER, "-i", radiograph, "-o", tmp_path, *whole.words, "gamma=1.0")
    assert done.code == 0 and "Note: gamma=1.0 as typed, though these weights were trained with 0.5." in done.out
