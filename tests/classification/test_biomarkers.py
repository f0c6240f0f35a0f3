"""biomarkers.py on folders of pairs, with whatever may lie in them."""

import math
import os
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classification.measuring import measures
from cxr import pairs
from cxr.labels import HEART, LEFT, RIGHT

WORDS = ["img_size=64", "patch_size=16", "repeat=20", "num_workers=2"]
HOSTILE = "<img src=x onerror=alert(1)>, '1"  # a case's name
FOLDERS = "normal", "<b>&$x_{", "a..$"


def chest(left):
    """image, mask and labels: the right lung in columns 4 to 23, the left `left` wide from column 36, heart between."""
    labels = np.zeros((64, 64), np.uint8)
    labels[8:56, 4:24] = RIGHT
    labels[8:56, 36 : 36 + left] = LEFT
    labels[40:52, 20:44] = HEART
    image = np.array([200, 200, 60, 100], np.float32)[labels]
    return image, (labels >= LEFT).astype(np.uint8), labels


@pytest.fixture
def cohort(tmp_path):
    """Folders of pairs of three classes with hostile names, 5 patients of 2 images each, in two sources; masks.csv."""
    root, rows, radiographs = tmp_path / "pairs", [], []
    for number, folder in enumerate(FOLDERS):
        for patient in range(5):
            for visit in range(2):
                case = f"p{patient}.{visit}" if number else f"NA{patient}{visit}"
                case = HOSTILE if (number, patient, visit) == (2, 4, 1) else case
                image, mask, labels = chest(left=16 + number * 4 + visit)
                image = image + np.float32(number * 10 + patient + visit / 2)
                pairs.save(root / folder, case, image, mask, labels)
                source = ["../first", "second"][patient % 2] if number else "second"
                rows.append([case, folder, f"{folder}{patient}", source])
                status = ("flagged", "heart missing") if (number, patient) == (0, 0) else ("ok", "")
                radiographs.append([case, folder, "f.png", *status, 0.5, 0.5])
    pd.DataFrame(rows, columns=["case", "class", "patient", "source"]).to_csv(tmp_path / "table.csv", index=False)
    pd.DataFrame(
        radiographs, columns=["case", "folder", "file", "status", "reason", "spacing_row_mm", "spacing_column_mm"]
    ).to_csv(root / "masks.csv", index=False)
    return root


@pytest.fixture
def biomarkers(call, tmp_path):
    def start(*words):
        own = [*WORDS, "classes=[]", f"file_metadata={tmp_path / 'table.csv'}", f"dir_split={tmp_path / 'split'}"]
        own += [f"dir_pairs={tmp_path / 'pairs'}"]
        return call("classification/biomarkers.py", "-o", tmp_path / "out", *own, *words)

    return start


def read(path):
    return pd.read_csv(path, dtype={"case": str, "label": str}, keep_default_na=False, na_values={"ctr": [""]})


def test_the_script_measures_compares_and_draws(biomarkers, cohort, tmp_path):
    done = biomarkers("-i", cohort, "--within-source", "--pictures")
    assert done.code == 0, done.err
    out = tmp_path / "out"
    table = read(out / "biomarkers.csv")
    about = "case folder label patient source status reason".split()
    assert list(table.columns) == [*about, *measures.COLUMNS, "digest"]
    assert len(table) == 30 and {"NA00", HOSTILE} < set(table.case)
    assert list(table.label) == list(table.folder) and set(table.folder) == set(FOLDERS)
    assert table.patient.nunique() == 15 and set(table.source) == {"../first", "second"}
    assert (table.status == "flagged").sum() == 2 and set(table.reason) == {"", "heart missing"}
    one = table[(table.folder == "normal") & (table.case == "NA10")].iloc[0]
    image, mask, labels = chest(left=16)
    assert one.area_lungs == mask.sum() and one.area_lungs_mm2 == pytest.approx(mask.sum() / 4)
    assert one.lung_mean == pytest.approx(image[mask > 0].mean() + 1)
    tests = pd.read_csv(out / "comparisons.csv")
    assert set(tests.source) == {"all", "../first"}  # the second has three patients of one class only
    pair = tests[(tests.marker == "lung_mean") & (tests.class_b == "normal") & (tests.source == "all")]
    assert list(pair.n_a) == [5, 5] and (pair.p_holm > pair.p).any()
    files = "biomarkers.csv biomarkers.json comparisons.csv biomarkers.png biomarkers.1.___first.png pictures"
    assert {path.name for path in out.iterdir()} == set(files.split())
    assert len(list((out / "pictures").rglob("*.widths.png"))) == 30
    assert Image.open(out / "biomarkers.png").size[0] > 1000
    assert "2 cases have a flagged mask and are compared all the same" in done.out
    told = shlex.split(done.out.splitlines()[-1].split("then ")[1])
    assert told[:2] == ["python", "classification/split.py"] and any(word.startswith("dir_pairs=") for word in told)


def test_flagged_masks_are_left_out_on_request(biomarkers, cohort, tmp_path):
    assert biomarkers("-i", cohort, "--unflagged").code == 0
    tests = pd.read_csv(tmp_path / "out" / "comparisons.csv")
    overall = tests[tests.test == "kruskal-wallis"]
    assert set(overall.n_a) == {14} and len(read(tmp_path / "out" / "biomarkers.csv")) == 30
    (cohort / "masks.csv").unlink()
    done = biomarkers("-i", cohort, "--unflagged")
    assert done.code == 1 and "--unflagged needs masks.csv" in done.err


def test_a_second_run_measures_only_what_changed(biomarkers, cohort, tmp_path):
    """Pairs directly in the folder given have no class: nothing is compared or drawn, which keeps this short."""
    first = biomarkers("-i", cohort / "normal")
    before = (tmp_path / "out" / "biomarkers.csv").read_text()
    second = biomarkers("-i", cohort / "normal")
    assert "(0 were measured before)" in first.out and "(10 were measured before)" in second.out
    assert (tmp_path / "out" / "biomarkers.csv").read_text() == before
    image, mask, labels = chest(left=24)
    pairs.save(cohort / "normal", "NA00", image, mask, labels)
    later = (tmp_path / "out" / "biomarkers.csv").stat().st_mtime + 5
    os.utime(cohort / "normal" / "NA00.image.npy", (later, later))
    third = biomarkers("-i", cohort / "normal")
    assert "(9 were measured before)" in third.out
    table = read(tmp_path / "out" / "biomarkers.csv")
    assert table.lung_mean[table.case == "NA00"].iloc[0] == pytest.approx(image[mask > 0].mean())
    assert "(0 were measured before)" in biomarkers("-i", cohort / "normal", "repeat=21").out
    for end in (pairs.IMAGE, pairs.MASK, pairs.LABELS):  # a case taken away loses its row
        (cohort / "normal" / f"NA00{end}").unlink()
    biomarkers("-i", cohort / "normal")
    assert len(read(tmp_path / "out" / "biomarkers.csv")) == 9


def test_a_killed_run_goes_on(biomarkers, cohort, tmp_path):
    assert biomarkers("-i", cohort / "normal").code == 0
    out = tmp_path / "out"
    whole = (out / "biomarkers.csv").read_text()
    # What a kill leaves: no table, a journal whose last line is cut short
    rows = pd.read_csv(out / "biomarkers.csv", keep_default_na=False, dtype=str)[:4]
    lines = [row.to_json() for _, row in rows.iterrows()]
    (out / "biomarkers.0.jsonl").write_text("\n".join(lines)[:-9])
    (out / "biomarkers.csv").unlink()
    assert "(3 were measured before)" in biomarkers("-i", cohort / "normal").out
    assert (out / "biomarkers.csv").read_text() == whole


def test_bad_pairs_are_rows_with_a_reason(biomarkers, cohort, tmp_path):
    (cohort / "normal" / "NA00.image.npy").write_bytes(b"\x93NUMPY broken")
    np.save(cohort / "normal" / "NA01.labels.npy", np.zeros((3, 3), np.uint8))
    np.save(cohort / "normal" / "NA10.mask.npy", np.zeros((64, 64), np.uint8))
    (cohort / "normal" / "NA11.labels.npy").unlink()
    done = biomarkers("-i", cohort / "normal")
    assert done.code == 1 and "3 failed" in done.out
    table = read(tmp_path / "out" / "biomarkers.csv").set_index("case")
    for case, reason in (("NA00", "cannot be read"), ("NA01", "differ in shape"), ("NA10", "mask is empty")):
        assert table.status[case] == "failed" and reason in table.reason[case] and case in table.reason[case]
    assert table.status["NA11"] == "ok" and math.isnan(table.ctr["NA11"])
    assert "1 cases have no label map" in done.out


def test_without_classes_or_tables(biomarkers, cohort, tmp_path):
    done = biomarkers("-i", cohort / "normal")
    assert done.code == 0, done.err
    table = read(tmp_path / "out" / "biomarkers.csv")
    assert len(table) == 10 and set(table.label) == {""} and (table.status == "flagged").sum() == 2  # masks.csv beside
    assert not (tmp_path / "out" / "comparisons.csv").exists() and "the cases have no class" in done.out
    (tmp_path / "table.csv").write_text("case,class,patient\nanother,normal,p\n")
    (tmp_path / "split").mkdir()
    split = "case,folder,patient,source,part,group\nNA00,normal,site:7,site,test,1\n"
    (tmp_path / "split" / "split.csv").write_text(split)
    done = biomarkers("-i", cohort / "normal")
    table = read(tmp_path / "out" / "biomarkers.csv")
    assert table.patient[table.case == "NA00"].tolist() == ["site:7"] and table.patient.nunique() == 10
    assert "neither table.csv nor split.csv knows 9 of 10 cases" in done.out


def test_the_record_of_the_split_counts_before_the_table(biomarkers, cohort, tmp_path):
    """As for inference.py, so that a patient is one in all tables; whom the split did not know, the table may tell."""
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "split.csv").write_text(
        "case,folder,patient,source,part,group\n"
        "NA00,Normal,site:7,site,test,1\n"
        "NA10,normal,unknown:normal/NA10,,train,2\n"
    )
    assert biomarkers("-i", cohort / "normal").code == 0
    people = read(tmp_path / "out" / "biomarkers.csv").set_index("case").patient
    assert people["NA00"] == "site:7" and people["NA01"] == "second:normal0" and people["NA10"] == people["NA11"]
    for other in (tmp_path / "elsewhere", cohort / "run"):  # namesakes, and of others for all it knows
        shutil.copytree(cohort / "normal", other / "normal")
        shutil.copy(cohort / "masks.csv", other)
        assert biomarkers("-i", other, "--overwrite").code == 0
        assert read(tmp_path / "out" / "biomarkers.csv").set_index("case").patient["NA00"] == "second:normal0"


def test_folders_of_ones_own_are_classes_of_their_own(call, cohort, tmp_path):
    """With the header's classes, which take the folder normal only: nothing needs to be typed."""
    words = ["-o", tmp_path / "out", *WORDS, f"file_metadata={tmp_path / 'table.csv'}", f"dir_split={tmp_path / 'no'}"]
    done = call("classification/biomarkers.py", "-i", cohort, *words)
    assert done.code == 0, done.err
    assert f"Note: no class in header.py takes {', '.join(sorted(FOLDERS[1:]))}: each of these folders" in done.out
    table = read(tmp_path / "out" / "biomarkers.csv")
    assert list(table.label) == list(table.folder) and set(table.folder) == set(FOLDERS)
    assert "normal" in set(pd.read_csv(tmp_path / "out" / "comparisons.csv").class_a)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["-i", "nowhere"], "there is no folder"),
        (["classes=['normal','normal']"], "name each class and each folder once"),
        (["file_metadata=gone.csv"], "There is no table"),
        (["patch_size=0"], "patch_size=0 is too small"),
    ],
)
def test_errors_are_sentences(biomarkers, cohort, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    done = biomarkers(*(words if "-i" in words else ["-i", cohort, *words]))
    assert done.code == 1 and sentence in done.err and done.err.startswith("classification/biomarkers.py: ")
    assert not (tmp_path / "out").exists()
