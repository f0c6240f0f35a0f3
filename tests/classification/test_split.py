"""split.py: nobody crosses, everybody is somewhere, the same again, folds, links, splits that are there already."""

import json
import os
import shutil
import unicodedata
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from conftest import run
from hypothesis import given, settings
from hypothesis import strategies as st

from classification.cases import finder
from classification.splitting import check, divide, plan, survey
from cxr import pairs
from cxr.errors import BadData

SPLIT = "classification/split.py"
CLASSES = ["healthy", "ill=flu+cold"]
FOLDERS = {"healthy": 8, "flu": 5, "cold": 5}  # patients in each; patients of healthy and flu have one to three images


def image(key):
    """(48, 40) float32 0..255, of its own for every key."""
    rng = np.random.default_rng(list(key.encode()))
    return np.kron(rng.uniform(0, 255, (12, 10)), np.ones((4, 4))).astype(np.float32)


def save(folder, case, key=None, **more):
    mask = np.zeros((48, 40), np.uint8)
    mask[10:40, 5:35] = 1
    pairs.save(folder, case, image(key or f"{folder.name}/{case}"), more.pop("mask", mask), mask * 2, **more)


@pytest.fixture
def cohort(tmp_path):
    """Pairs of three folders, among them a radiograph that two patients have, and words for the script."""
    rows = []
    for folder, count in FOLDERS.items():
        for patient in range(count):
            for number in range(1 if folder == "cold" else 1 + patient % 3):
                case = f"p{patient}-{number}"
                save(tmp_path / "pairs" / folder, case)
                rows.append({"case": case, "class": folder, "patient": f"{folder}{patient}", "source": "here"})
    save(tmp_path / "pairs" / "cold", "again", key="cold/p3-0")
    rows.append({"case": "again", "class": "cold", "patient": "cold99", "source": "there"})
    pd.DataFrame(rows).to_csv(tmp_path / "who.csv", index=False)
    return tmp_path


def words(cohort, *more):
    return [
        f"dir_pairs={cohort / 'pairs'}",
        f"dir_split={cohort / 'split'}",
        f"file_metadata={cohort / 'who.csv'}",
        f"classes={CLASSES}",
        *more,
    ]


def all_cases(cohort):
    return {(d.name, case) for d in (cohort / "pairs").iterdir() if d.is_dir() for case in pairs.find(d)}


def listing(root):
    """{part: set of (folder, case)} of what lies in the folders."""
    return {part: {(d.name, case) for d in (root / part).iterdir() for case in pairs.find(d)} for part in finder.PARTS}


def test_patients_and_radiographs_stay_together(cohort, call):
    done = call(SPLIT, *words(cohort))
    assert done.code == 0, done.err
    found = listing(cohort / "split")
    assert sum(map(len, found.values())) == len(all_cases(cohort))
    assert set().union(*found.values()) == all_cases(cohort)
    rows = pd.read_csv(cohort / "split" / "split.csv", dtype=str)
    assert list(rows.columns) == ["case", "folder", "patient", "source", "part", "group"]
    for part in finder.PARTS:
        assert found[part] == set(zip(*(rows[rows.part == part][c] for c in ("folder", "case")), strict=True))
        assert {"healthy"} < {folder for folder, _ in found[part]}
    assert (rows.groupby("patient").part.nunique() == 1).all()
    assert (rows.groupby("group").part.nunique() == 1).all()
    twins = rows[(rows.folder == "cold") & rows.case.isin(["again", "p3-0"])]
    assert twins.patient.nunique() == 2 and twins.group.nunique() == 1
    assert "2 images have a near-duplicate" in done.out
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "15 (8)" in lines["healthy"] and "15 (11)" in lines["ill"]
    assert done.out.splitlines()[-1].startswith("Wrote ") and "classification/train.py" in done.out.splitlines()[-1]


def test_files_are_hard_links_with_labels(cohort, call):
    (cohort / "pairs" / "flu" / "p0-0.labels.npy").unlink()
    assert call(SPLIT, *words(cohort)).code == 0
    part = next(part for part, cases in listing(cohort / "split").items() if ("flu", "p0-0") in cases)
    names = {path.name for path in (cohort / "split" / part / "flu").glob("p0-0.*")}
    assert names == {"p0-0.image.npy", "p0-0.mask.npy"}
    links = [path for path in (cohort / "split").rglob("*.npy")]
    assert len(links) == 3 * len(all_cases(cohort)) - 1
    assert all(path.samefile(cohort / "pairs" / path.parent.name / path.name) for path in links)


def test_copies_where_links_fail(cohort, call, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)  # stands for a second disk, which a test cannot count on
    done = call(SPLIT, *words(cohort))
    assert done.code == 0, done.err
    copies = list((cohort / "split").rglob("*.npy"))
    assert f"{len(copies)} files were copied" in done.out
    assert all(path.stat().st_nlink == 1 for path in copies)
    assert all(path.read_bytes() == (cohort / "pairs" / path.parent.name / path.name).read_bytes() for path in copies)
    assert "already" in call(SPLIT, *words(cohort)).out


def test_the_same_again_and_another_seed(cohort, call):
    call(SPLIT, *words(cohort))
    before = (cohort / "split" / "split.csv").read_bytes()
    again = call(SPLIT, *words(cohort))
    assert again.code == 0 and "already holds this split" in again.out
    for seed in range(5):
        call(SPLIT, *words(cohort, f"dir_split={cohort / str(seed)}", f"split_seed={seed}"))
    texts = {(cohort / str(seed) / "split.csv").read_bytes() for seed in range(5)}
    assert len(texts) > 1
    shutil.move(cohort / "split", cohort / "elsewhere")
    call(SPLIT, *words(cohort))
    assert (cohort / "split" / "split.csv").read_bytes() == before


def test_another_split_is_not_overwritten_unless_told(cohort, call):
    call(SPLIT, *words(cohort))
    before = listing(cohort / "split")
    refused = call(SPLIT, *words(cohort, "split_parts=[0.5,0.2,0.3]"))
    assert refused.code == 1 and "split_parts [0.7, 0.1, 0.2] -> [0.5, 0.2, 0.3]" in refused.err
    assert "--overwrite" in refused.err and listing(cohort / "split") == before
    told = call(SPLIT, *words(cohort, "split_parts=[0.5,0.2,0.3]"), "--overwrite")
    assert told.code == 0, told.err
    after = listing(cohort / "split")
    assert after != before and set().union(*after.values()) == all_cases(cohort)
    assert {path.name for path in cohort.iterdir()} == {"pairs", "split", "who.csv"}


def test_pairs_that_changed_make_another_split(cohort, call):
    call(SPLIT, *words(cohort))
    save(cohort / "pairs" / "flu", "p1-0")  # the same pixels in a new file: the link is to the old one
    os.utime(cohort / "pairs" / "flu" / "p1-0.image.npy", (10**9, 10**9))
    assert "written anew" in call(SPLIT, *words(cohort)).err
    assert call(SPLIT, *words(cohort), "--overwrite").code == 0
    save(cohort / "pairs" / "flu", "new")
    assert "1 pairs are new and 0 are gone" in call(SPLIT, *words(cohort)).err


def test_what_a_person_put_into_a_split_is_not_deleted(cohort, call):
    call(SPLIT, *words(cohort))
    save(cohort / "split" / "train" / "flu", "mine")
    done = call(SPLIT, *words(cohort, "split_seed=1"), "--overwrite")
    assert done.code == 1 and "mine.image.npy" in done.err
    assert pairs.is_complete(cohort / "split" / "train" / "flu", "mine")


def test_a_killed_run_leaves_nothing_that_looks_like_a_split(cohort, call, monkeypatch):
    (cohort / "split.part" / "train").mkdir(parents=True)  # what an earlier one left
    (cohort / "split.part" / "train" / "stale").touch()

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", die)
        assert call(SPLIT, *words(cohort)).code == 130
    assert not (cohort / "split").exists()
    assert call(SPLIT, *words(cohort)).code == 0
    assert not list((cohort / "split").rglob("stale")) and not (cohort / "split.part").exists()


def test_folds_cover_everything_once(cohort, call):
    done = call(SPLIT, *words(cohort, "folds=3"))
    assert done.code == 0, done.err
    tests = []
    for number in (1, 2, 3):
        rows = pd.read_csv(cohort / "split" / f"fold{number}" / "split.csv", dtype=str)
        found = listing(cohort / "split" / f"fold{number}")
        assert sum(map(len, found.values())) == len(rows) == len(all_cases(cohort))
        assert (rows.groupby("group").part.nunique() == 1).all()
        assert all({"healthy"} < {folder for folder, _ in found[part]} for part in finder.PARTS)
        tests.append(found["test"])
    assert set().union(*tests) == all_cases(cohort) and sum(map(len, tests)) == len(all_cases(cohort))
    assert f"Next: python classification/crossval.py dir_split={cohort / 'split'}" in done.out
    assert "already holds this split" in call(SPLIT, *words(cohort, "folds=3")).out
    assert "folds 3 -> 0" in call(SPLIT, *words(cohort)).err


def test_split_by_image_says_what_leaks(cohort, call):
    done = call(SPLIT, *words(cohort, "split_by=image", "split_parts=[0.4,0.2,0.4]"))
    assert done.code == 0, done.err
    rows = pd.read_csv(cohort / "split" / "split.csv", dtype=str)
    test, train = rows[rows.part == "test"], rows[rows.part == "train"]
    shared = int(test.patient.isin(set(train.patient)).sum())
    assert shared > 0
    assert f"Split by image: {shared} of {len(test)} test images share a patient with training" in done.out
    assert (rows.group == rows.folder + "/" + rows.case).all()


def test_a_class_too_small(cohort, call):
    for path in (cohort / "pairs" / "healthy").glob("p[2-9]*"):
        path.unlink()
    done = call(SPLIT, *words(cohort))
    assert done.code == 1 and "needs at least 3 patients" in done.err and "healthy has 2" in done.err
    assert not (cohort / "split").exists()
    # p0-0, p1-0, p1-1 are three images of two patients
    done = call(SPLIT, *words(cohort, "split_by=image"))
    assert done.code == 0 and "classes=" in done.out.splitlines()[-1]  # the next command with what was typed


def test_an_unknown_folder_and_bad_settings(cohort, call):
    save(cohort / "pairs" / "measles", "x")
    done = call(SPLIT, *words(cohort))
    assert done.code == 1 and "measles" in done.err and "healthy, flu, cold" in done.err
    for word in (
        "split_by=hospital",
        "split_parts=[0.7,0.3,0.2]",
        "split_parts=[0.7,0.3]",
        "folds=1",
        "file_metadata=nowhere.xls",
        f"dir_pairs={cohort / 'none'}",
        f"dir_split={cohort / 'pairs'}",
    ):
        done = call(SPLIT, *words(cohort, word))
        assert done.code == 1 and done.err.startswith("classification/split.py: "), word
    assert not (cohort / "split").exists()
    each = call(SPLIT, *words(cohort, "classes=[]"))
    assert each.code == 1 and "measles has 1" in each.err


def test_pairs_that_cannot_be_classified_are_left_out(cohort, call):
    flu = cohort / "pairs" / "flu"
    save(flu, "dark", mask=np.zeros((48, 40), np.uint8), allow_empty=True)
    save(flu, "half")
    (flu / "half.mask.npy").unlink()
    rows = [
        ("p0-0", "flu", "flagged", "left lung missing"),
        ("p1-0", "flu", "failed", "cut short."),
        ("gone", "flu", "failed", "not an image"),
    ]
    pd.DataFrame(rows, columns=["case", "folder", "status", "reason"]).to_csv(cohort / "pairs" / "masks.csv")
    save(cohort / "pairs" / "cold", "broken")
    (cohort / "pairs" / "cold" / "broken.image.npy").write_bytes(b"no array")
    done = call(SPLIT, *words(cohort))
    assert done.code == 1, done.err  # something is broken, yet the split is made
    left = pd.read_csv(cohort / "split" / "left_out.csv", dtype=str).set_index("case")
    assert dict(left.status) == {"dark": "empty", "half": "broken", "p1-0": "failed", "broken": "broken"}
    assert all(f"left out: {row.folder}/{case}: " in done.out for case, row in left.iterrows())
    assert set().union(*listing(cohort / "split").values()) == all_cases(cohort) - {
        ("flu", "dark"),
        ("flu", "p1-0"),
        ("cold", "broken"),
    }
    assert "1 pairs are flagged in masks.csv and were kept" in done.out
    pd.DataFrame(rows, columns=["case", "folder", "stat", "reason"]).to_csv(cohort / "pairs" / "masks.csv")
    done = call(SPLIT, *words(cohort), "--overwrite")
    assert done.code == 1 and "masks.csv has no column status" in done.err


def test_cases_without_a_row_are_patients_of_their_own(cohort, call):
    table = pd.read_csv(cohort / "who.csv", dtype=str)
    table = table[table["class"] != "cold"]
    table.loc[table["class"] == "flu", "class"] = ""  # known by the case alone, and these names occur twice
    table.to_csv(cohort / "who.csv", index=False)
    save(cohort / "pairs" / "cold", "lone")
    pd.concat([table, pd.DataFrame([{"case": "lone", "class": "other", "patient": "z", "source": "here"}])]).to_csv(
        cohort / "who.csv", index=False
    )
    done = call(SPLIT, *words(cohort))
    assert done.code == 0, done.err
    rows = pd.read_csv(cohort / "split" / "split.csv", dtype=str, keep_default_na=False).set_index(["folder", "case"])
    assert rows.patient["cold", "lone"] == "here:z" and rows.patient["healthy", "p4-1"] == "here:healthy4"
    unknown = rows.patient.str.startswith("unknown:")
    known_by_name = unknown.sum() - 1
    assert f"Note: 1 of {len(rows)} images are not in {cohort / 'who.csv'}" in done.out and "add their rows" in done.out
    assert f"Note: {known_by_name} of {len(rows)} images have their name in" in done.out
    assert "as cold/p0-0 (class there: healthy, none)" in done.out
    assert unknown["cold"].sum() == 6 and rows.patient["cold", "p0-0"] == "unknown:cold/p0-0"
    assert rows.source["cold", "p0-0"] == ""


def by_hand(cohort, call):
    """Parts made by hand: those of split.py, moved, without its records."""
    assert call(SPLIT, *words(cohort)).code == 0
    for name in ("split.csv", "split.json"):
        (cohort / "split" / name).unlink()
    return cohort / "split"


def snapshot(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_parts_made_by_hand_are_used_as_they_are(cohort, call):
    root = by_hand(cohort, call)
    before = snapshot(root)
    for flags in ([], ["--check"]):
        done = call(SPLIT, *words(cohort, "split_seed=5"), *flags)
        assert done.code == 0, done.err
        assert "made by hand, used as it is" in done.out and "Warning" not in done.out
    assert "never changed" in call(SPLIT, *words(cohort), "--overwrite").err
    assert snapshot(root) == before


def test_check_finds_what_crosses(cohort, call):
    root = by_hand(cohort, call)
    where = {case: part for part, cases in listing(root).items() for case in cases}
    mine = "test" if where["healthy", "p4-0"] != "test" else "train"
    save(root / mine / "healthy", "p2-9")
    save(root / mine / "healthy", "copy", key="healthy/p4-0")
    table = pd.read_csv(cohort / "who.csv", dtype=str)
    other = next(f"p{i}-0" for i in range(8) if where["healthy", f"p{i}-0"] != mine)
    more = {"case": "p2-9", "class": "healthy", "patient": f"healthy{other[1]}", "source": "here"}
    pd.concat([table, pd.DataFrame([more])]).to_csv(cohort / "who.csv", index=False)
    done = call(SPLIT, *words(cohort), "--check")
    assert done.code == 1
    assert "1 patients are in more than one part" in done.out and f"{mine}/healthy/p2-9" in done.out
    assert "1 near-duplicates are in more than one part" in done.out and f"{mine}/healthy/copy" in done.out
    assert call(SPLIT, *words(cohort)).code == 0  # used as they are, with the same warnings


def test_parts_by_hand_that_cannot_be_used(cohort, call):
    root = by_hand(cohort, call)
    shutil.rmtree(root / "val" / "healthy")
    done = call(SPLIT, *words(cohort))
    assert done.code == 1 and "val has no healthy" in done.err
    (root / "val").rename(root / "validation")
    assert str(root / "val") in call(SPLIT, *words(cohort)).err
    assert "holds no train, val and test" in call(SPLIT, *words(cohort, f"dir_split={cohort / 'no'}"), "--check").err


def test_check_of_a_split_of_ones_own(cohort, call):
    call(SPLIT, *words(cohort, "folds=3"))
    done = call(SPLIT, *words(cohort), "--check")
    assert done.code == 0 and done.out.count("made by this script") == 3
    call(SPLIT, *words(cohort, "split_by=image", f"dir_split={cohort / 'leaky'}"))
    done = call(SPLIT, *words(cohort, f"dir_split={cohort / 'leaky'}"), "--check")
    assert done.code == 1 and "test images have the same patient in training" in done.out


def test_as_a_process_of_its_own(cohort):
    done = run(SPLIT, *words(cohort))
    assert done.returncode == 0, done.stderr
    made = json.loads((cohort / "split" / "split.json").read_text())
    assert made["split_seed"] == 407 and made["classes"] == CLASSES


@st.composite
def cohorts(draw):
    """Any cohort: rows of label, patient and radiograph; patients and radiographs may have several classes."""
    classes = draw(st.integers(1, 4))
    size = draw(st.integers(1, 60))
    number = st.integers(0, draw(st.integers(0, 40)))
    rows = draw(
        st.lists(st.tuples(st.integers(0, classes - 1), number, st.integers(0, 100)), min_size=size, max_size=size)
    )
    frame = pd.DataFrame(rows, columns=["label", "patient", "radiograph"])
    frame["patient"] = "p" + frame.patient.astype(str)
    return frame.assign(folder=frame.label.astype(str), case=frame.index.astype(str)), classes


class Values:
    """The settings that dividing reads."""

    def __init__(self, **values):
        self.__dict__.update(
            {"split_by": "patient", "split_parts": [0.7, 0.1, 0.2], "split_seed": 0, "folds": 0} | values
        )


@settings(deadline=None, max_examples=80)
@given(cohorts(), st.integers(0, 5), st.sampled_from([0, 2, 3, 4]))
def test_nobody_crosses_in_any_cohort(cohort, seed, folds):
    rows, classes = cohort
    names = [f"class{i}" for i in range(classes)]
    values = Values(split_seed=seed, folds=folds)
    try:
        splits = plan.divide_rows(rows, names, values)
    except BadData as refusal:
        groups = divide.join(rows.patient, rows.radiograph)
        held = [len(set(groups[rows.label == label])) for label in range(classes)]
        mixed = (rows.groupby(groups).label.nunique() > 1).any()
        assert min(held) < (4 if folds == 2 else max(folds, 3)) or mixed
        assert "every class needs" in str(refusal)
        return
    assert len(splits) == (folds or 1)
    for one in splits.values():
        assert list(one.case) == list(rows.case) and set(one.part) <= set(finder.PARTS)
        assert (one.groupby("patient").part.nunique() == 1).all()
        assert (one.groupby("radiograph").part.nunique() == 1).all()
        assert not check.crossings(one)
        assert (one.groupby("label").part.nunique() == 3).all()
    if folds:
        assert (sum((one.part == "test").astype(int) for one in splits.values()) == 1).all()
    again = plan.divide_rows(rows, names, values)
    assert all(again[name].equals(one) for name, one in splits.items())


def test_proportions_with_patients_of_unequal_size():
    """As in the published cohort: most patients have one image, some have several; each class comes near its due."""
    rng = np.random.default_rng(0)
    sizes = {0: [1] * 186, 1: [1, 2, 3] * 11, 2: [1] * 58, 3: [1] * 90 + [2] * 25 + [4] * 12 + [13]}
    table = np.zeros((sum(map(len, sizes.values())), 4), int)
    start = 0
    for label, counts in sizes.items():
        table[start : start + len(counts), label] = counts
        start += len(counts)
    homes = defaultdict(set)
    for seed in range(8):
        part = divide.assign(table, [0.7, 0.1, 0.2], np.random.default_rng(seed))
        for number, share in enumerate((0.7, 0.1, 0.2)):
            due = share * table.sum(0)
            assert np.abs(table[part == number].sum(0) - due).max() <= 2
            held = (table[part == number] > 0).sum(0)
            assert np.abs(held - share * (table > 0).sum(0)).max() <= 4
        for group in rng.choice(len(table), 30, replace=False):
            homes[group].add(part[group])
    assert len(set().union(*homes.values())) == 3


def test_join_by_chains():
    groups = divide.join(["a", "a", "b", "c", "d"], [1, 2, 2, 3, 4])
    assert groups[0] == groups[1] == groups[2] and len(set(groups)) == 3


def test_a_folder_in_other_letters_and_patients_by_case(cohort, call):
    (cohort / "pairs" / "cold").rename(cohort / "pairs" / "Cold")
    done = call(SPLIT, *words(cohort))
    assert done.code == 0, done.err
    rows = pd.read_csv(cohort / "split" / "split.csv", dtype=str).set_index(["folder", "case"])
    assert rows.patient["Cold", "p1-0"] == "here:cold1"
    assert "holds no usable pairs" not in done.out


def test_pairs_named_with_the_suffix_of_their_radiograph_find_their_patient():
    table = pd.DataFrame(
        [("JPCLN003", "normal", "JSRT:JPCLN003", "JSRT"), ("1.2.840.7", "normal", "p:7", "p")],
        columns=["case", "class", "patient", "source"],
    )
    names = ["JPCLN003.jpg", "JPCLN003", "JPCLN003.IMG", "1.2.840.7", "other.png"]
    found = survey.find_patients(["normal"] * 5, names, table)
    assert list(found[:, 0]) == ["JSRT:JPCLN003"] * 3 + ["p:7", "unknown:normal/other.png"]


def test_a_patient_is_found_by_class_and_name_in_any_letters():
    table = pd.DataFrame(
        [
            ("Pérez 1", "covid", "c:1", "c"),
            ("a", "covid", "c:2", "c"),
            ("A", "covid", "c:3", "c"),
            ("b", "", "d:4", "d"),
        ],
        columns=["case", "class", "patient", "source"],
    )
    folders = ["covid"] * 5 + ["normal"] * 3
    names = [unicodedata.normalize("NFD", "Pérez 1"), "PÉREZ 1", "a", "A", "b", "Pérez 1", "a", "b"]
    found = survey.find_patients(folders, names, table)[:, 0].tolist()
    assert found == ["c:1", "c:1", "c:2", "c:3", "d:4", "unknown:normal/Pérez 1", "unknown:normal/a", "d:4"]
    # Where no folder has the class, a name that stands for one patient tells it.
    assert survey.find_patients(["ward"] * 2, ["Pérez 1", "a"], table)[:, 0].tolist() == ["c:1", "c:2"]
