"""One finder of pairs: the same cases in every script, at any depth."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSIFYING, draw_pair
from drawn_pairs import write

from classification import header
from classification.cases import finder
from classification.cases.finder import Case
from cxr.errors import BadData

PUBLISHED = header.classes


def names(cases):
    return [(case.folder, case.case, case.label) for case in cases]


def test_cases_are_found_sorted_with_their_labels(tmp_path):
    for folder, case in (("virus", "b"), ("virus", "a"), ("COVID-19", "a"), ("normal", "x.y")):
        write(tmp_path / folder, case)
    (tmp_path / "predictions").mkdir()  # a folder without pairs is none of ours
    (tmp_path / "masks.csv").write_text("")
    (found,), classes, folders = finder.find_classes([tmp_path], PUBLISHED)
    assert names(found.cases) == [("COVID-19", "a", 3), ("normal", "x.y", 0), ("virus", "a", 3), ("virus", "b", 3)]
    assert found.cases[1].place == tmp_path / "normal" and not found.halves and not found.notes
    assert classes == ["normal", "bacterial", "tuberculosis", "viral"] and folders["virus"] == 3
    assert names(finder.find([tmp_path], {"Virus": 7}).cases)[2:] == [("virus", "a", 7), ("virus", "b", 7)]


def test_any_depth_tells_the_class_by_its_first_folder(tmp_path):
    write(tmp_path / "virus" / "Jane" / "visit 2", "a")
    write(tmp_path / "virus", "a")
    write(tmp_path / "normal" / "Joe", "half")
    (tmp_path / "normal" / "Joe" / "half.image.npy").unlink()
    write(tmp_path / "normal", "b")
    write(tmp_path / ".hidden", "c")
    (tmp_path / "virus" / "loop").symlink_to(tmp_path)
    (found,), _, _ = finder.find_classes([tmp_path], PUBLISHED)
    assert names(found.cases) == [("normal", "b", 0), ("virus", "a", 3), ("virus/Jane/visit 2", "a", 3)]
    assert names(found.halves) == [("normal/Joe", "half", 0)]
    assert found.notes == [f"passed over {tmp_path / '.hidden'}, hidden folders that hold pairs"]


def test_an_unknown_folder_has_no_label_and_is_no_class(tmp_path):
    write(tmp_path / "ward 3", "a")
    assert names(finder.find([tmp_path], {"normal": 0}).cases) == [("ward 3", "a", None)]
    assert names(finder.find_classes([tmp_path], [])[0][0].cases) == [("ward 3", "a", 0)]
    with pytest.raises(BadData, match="ward 3.*COVID-19"):
        finder.find_classes([tmp_path], PUBLISHED)


def test_pairs_directly_in_a_folder_have_its_name_and_no_class(tmp_path):
    write(tmp_path / "scans", "a")
    assert finder.find([tmp_path / "scans"]).cases == [Case("a", "scans", tmp_path / "scans", None)]
    with pytest.raises(BadData, match="1 pairs directly, as a, so that their class is not known"):
        finder.find_classes([tmp_path / "scans"], PUBLISHED)


def test_no_folder_and_no_pairs_are_told(tmp_path):
    with pytest.raises(BadData, match="there is no folder"):
        finder.find([tmp_path / "nowhere"])
    with pytest.raises(BadData, match="there are no pairs in"):
        finder.find([tmp_path])


def test_a_split_is_one_whatever_depth_its_pairs_lie_at(tmp_path):
    write(tmp_path / "split" / "test" / "virus" / "Jane", "a")
    write(tmp_path / "normal", "b")
    found = finder.find([tmp_path])
    assert names(found.cases) == [("normal", "b", None)] and f"passed over {tmp_path / 'split'}" in found.notes[0]
    with pytest.raises(BadData, match="whole split"):
        finder.find([tmp_path / "split"])


@pytest.fixture
def nested(tmp_path):
    """Six patients of two classes with two pairs each, half of them in a folder for the patient; and one half pair."""
    rows = ["case,class,patient"]
    for folder in ("normal", "bacteria"):
        for person in range(6):
            place = tmp_path / "pairs" / folder / (f"p{person}" if person % 2 else "")
            for i in range(2):
                draw_pair(place, f"{folder}-{person}-{i}", folder, 10 * person + i)
                rows.append(f"{folder}-{person}-{i},{folder},{folder} {person}")
    draw_pair(tmp_path / "pairs" / "normal" / "p1", "lost", "normal", 99)
    (tmp_path / "pairs" / "normal" / "p1" / "lost.mask.npy").unlink()
    (tmp_path / "who.csv").write_text("\n".join(rows))
    return tmp_path


def test_every_script_finds_the_same_pairs(nested, call):
    """split, train, inference, visualize, scorecard, biomarkers and report, with patients' folders below the class."""
    words = [*CLASSIFYING, "classes=['normal','bacterial=bacteria']", f"file_metadata={nested / 'who.csv'}"]
    words += [f"dir_pairs={nested / 'pairs'}", f"dir_split={nested / 'split'}", "split_parts=[0.4,0.3,0.3]"]
    words += [f"dir_checkpoint={nested / 'run'}", f"dir_save={nested / 'out'}", "test_name=run", "num_workers=1"]
    done = call("classification/split.py", *words)
    assert done.code == 1 and "left out: normal/p1/lost: lost: only one half" in done.out, done.err
    split = pd.read_csv(nested / "split" / "split.csv", dtype=str)
    assert len(split) == 24 and (split.groupby("patient").part.nunique() == 1).all()
    assert split.patient.nunique() == 12 and "normal/p1" in set(split.folder)
    assert call("classification/split.py", *words, "--check").code == 0
    done = call("classification/train.py", *words, "epoch_max=1", "num_patches=1")
    assert done.code == 0 and f"To train on: {(split.part == 'train').sum() // 2} normal" in done.out, done.err

    given = [*words, "-i", nested / "pairs", "repeat=2", "repeat_val=1"]
    for script, table in (
        ("inference", nested / "out" / "run" / "predictions.csv"),
        ("visualize_cnn", nested / "out" / "run" / "cams" / "cams.csv"),
        ("scorecard", nested / "out" / "run" / "scorecard" / "scorecard.csv"),
        ("biomarkers", nested / "pairs" / "biomarkers" / "biomarkers.csv"),
    ):
        done = call(f"classification/{script}.py", *given, *(["--scores", "lung"] if script == "scorecard" else []))
        rows = pd.read_csv(table, dtype=str)
        assert done.code == 1 and "lost.mask.npy is missing" in done.out, script
        assert set(zip(rows.folder, rows.case, strict=True)) - {("normal/p1", "lost")} == set(
            zip(split.folder, split.case, strict=True)
        ), script
        if "patient" in rows:
            assert rows.patient[rows.case != "lost"].nunique() == 12, script
    done = call("classification/report.py", *words)
    assert done.code == 0 and "no radiograph to show" not in done.out and "24 cases" not in done.out, done.err
    metrics = json.loads((nested / "out" / "run" / "metrics.json").read_text())
    assert (metrics["cases"], metrics["patients"], np.sum(metrics["confusion"])) == (24, 12, 24)
