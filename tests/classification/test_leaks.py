"""What a training says of parts made by hand that share images or patients."""

import shlex

import pytest
from drawn_pairs import write

from classification import header
from classification.splitting import leaks, parts, training_cases
from cxr.settings import config


def chosen(*words):
    return config.load(header, list(words))[0]


@pytest.fixture
def by_hand(tmp_path):
    """Parts made by hand: one patient in train and test, another in val and test, one pair copied from train to val."""
    rows = ["case,class,patient"]
    for part in ("train", "val", "test"):
        for folder in ("ill", "well"):
            write(tmp_path / "split" / part / folder, f"{folder}-{part}", seed=len(rows))
            rows.append(f"{folder}-{part},{folder},{folder} {part}")
    write(tmp_path / "split" / "train" / "ill", "twin", seed=90)
    write(tmp_path / "split" / "val" / "ill", "twin", seed=90)
    write(tmp_path / "split" / "test" / "well", "again", seed=91)
    write(tmp_path / "split" / "test" / "well", "more", seed=92)
    (tmp_path / "mine.csv").write_text("\n".join([*rows, "again,well,well train", "more,well,well val", "twin,ill,t"]))
    return tmp_path


def warned(folder, *words, table="mine.csv"):
    return leaks.warnings(
        chosen("classes=[]", f"dir_split={folder / 'split'}", f"file_metadata={folder / table}", *words)
    )


def test_parts_made_by_hand_that_share_patients_are_told_before_a_training(by_hand, call):
    root, (names, patients, copies) = by_hand / "split", warned(by_hand)
    assert names.startswith(f"1 image stands in two parts of {root}, as ill/twin in train and val: results")
    assert patients.startswith(
        f"3 patients stand in two parts of {root}, as t in train and val: results will look "
        "better than they are; `python classification/split.py --check "
    )
    command = shlex.split(patients.split("`")[1])
    done = call(command[1], *command[2:])  # the command that it names finds the same
    assert done.code == 1 and "Warning: 3 patients are in more than one part" in done.out, done.err

    assert copies.startswith(f"1 image has a near-duplicate in another part of {root}, as train/ill/twin and val/ill/t")
    assert len(warned(by_hand, "duplicate_distance=-1")) == 2  # which reads no pair

    (root / "test").rename(by_hand / "later")  # a training needs no test part, that command does
    assert not any("--check" in sentence for sentence in warned(by_hand))
    assert warned(by_hand)[1].startswith("1 patient stands in two parts")


def test_parts_made_by_hand_without_crossings_or_by_split_py_say_nothing(by_hand):
    for place in ("val/ill/twin", "test/well/again", "test/well/more"):
        for file in (by_hand / "split" / place).parent.glob(f"{place.rpartition('/')[2]}.*"):
            file.unlink()
    assert warned(by_hand) == []
    write(by_hand / "split/val/ill", "ill-train")
    assert len(warned(by_hand)) == 2  # the image's name and its patient, while the pixels are others
    rows = leaks._rows(by_hand / "split").reindex(columns=parts.COLUMNS)
    rows.to_csv(by_hand / "split" / "split.csv", index=False)  # as split.py would have put them
    assert warned(by_hand) == []
    write(by_hand / "split/train/well", "well-test")  # by hand, into what split.py made
    assert [sentence for sentence in warned(by_hand) if "2 images stand in two parts" in sentence]
    (by_hand / "split" / "split.csv").write_text("{}")
    assert len(warned(by_hand)) == 3


def test_patients_that_no_table_tells_are_said_to_be_unknown(by_hand):
    (by_hand / "few.csv").write_text("case,class,patient\nwell-train,well,1\nwell-val,well,1\n")
    names, patients, unknown, _ = warned(by_hand, table="few.csv")
    assert "1 image stands" in names and "1 patient stands" in patients
    assert unknown.startswith(f"the patients of 8 of the 10 images in {by_hand / 'split'} are not known")
    names, missing, _ = warned(by_hand, table="none.csv")
    assert "1 image stands" in names and "is not known: There is no table" in missing and not missing.endswith(".")


def test_a_training_prints_them_and_trains_all_the_same(by_hand, call):
    words = [f"dir_split={by_hand / 'split'}", f"file_metadata={by_hand / 'mine.csv'}", "classes=[]", "pretrained=none"]
    words += [f"dir_checkpoint={by_hand}", *"test_name=run img_size=64 patch_size=32 epoch_max=1 repeat_val=2".split()]
    done = call("classification/train.py", *words)
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if line.startswith("Warning: ")]
    assert [line.split()[2] for line in lines] == ["image", "patients", "image"]
    assert "Warning" not in call("classification/train.py", *words, "epoch_max=2").out  # said once, at the start
    done = call("classification/inference.py", *words, "-o", by_hand / "predicted", "repeat=2", "refuse=0")
    assert done.code == 0, done.err  # classes=[] are those of the training here


def test_a_pair_that_lost_a_file_is_left_out_and_named(by_hand, call):
    (by_hand / "split" / "train" / "ill" / "twin.mask.npy").unlink()
    data = training_cases.find(chosen("classes=[]", f"dir_split={by_hand / 'split'}"))
    assert [case.case for case in data.train] == ["ill-train", "well-train"]
    assert data.notes[0].startswith("1 pairs are left out") and data.notes[0].endswith("train/ill/twin")
