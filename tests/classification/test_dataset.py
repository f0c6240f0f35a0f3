"""Folders of pairs as classes, pairs as masked images, and their cache."""

import shlex
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from classification import header
from classification.cases import dataset
from classification.splitting import training_cases as training
from cxr import pairs
from cxr.settings import config

PUBLISHED = header.classes


def chosen(*words):
    return config.load(header, ["img_size=32", "patch_size=16", "num_workers=2", *words])[0]


def write(folder, case, shape=(40, 48), seed=0, **options):
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    mask[8:30, 5:20] = mask[10:32, 28:44] = 1
    pairs.save(folder, case, rng.uniform(0, 255, shape).astype(np.float32), mask, **options)


def test_folders_merge_into_classes():
    names, found = dataset.class_map(PUBLISHED, ["virus", "normal", "COVID-19"])
    assert names == ["normal", "bacterial", "tuberculosis", "viral"]
    assert found == {"normal": 0, "bacteria": 1, "Tuberculosis": 2, "virus": 3, "COVID-19": 3}


def test_without_classes_each_folder_is_one():
    assert dataset.class_map([], ["b", "a+c"]) == (["a+c", "b"], {"a+c": 0, "b": 1})
    with pytest.raises(dataset.BadData, match="rename"):
        dataset.class_map([], ["a=b", "c"])


def test_folders_may_differ_in_case():
    found = dataset.class_map(PUBLISHED, ["tuberculosis", "covid-19"])[1]
    assert (found["tuberculosis"], found["covid-19"], len(found)) == (2, 3, 7)
    # two folders that differ in case only can still be two classes
    assert dataset.class_map(["a", "A"], ["a", "A"])[1] == {"a": 0, "A": 1}


def test_an_unknown_folder_is_an_error_with_both_lists():
    with pytest.raises(dataset.BadData) as fault:
        dataset.class_map(PUBLISHED, ["normal", "SARS", "edema"])
    for word in ("SARS", "edema", "normal", "bacteria", "Tuberculosis", "virus", "COVID-19"):
        assert word in str(fault.value)


@pytest.mark.parametrize("classes", [["a", "a=b"], ["a=b", "c=b"], ["a=b+b"], ["a="], ["=b"], [""], ["a=b+"]])
def test_classes_named_badly_are_told(classes):
    with pytest.raises(dataset.BadData, match="once"):
        dataset.class_map(classes, [])


def test_folders_that_no_class_takes_become_classes_of_their_own():
    def mapped(classes, folders):
        entries, own = dataset.with_own(classes, folders)
        names, found = dataset.class_map(entries, folders)
        return {folder: names[found[folder]] for folder in folders}, own

    known = {"normal": "normal", "Virus": "viral", "COVID-19": "viral"}
    assert mapped(PUBLISHED, ["normal", "Virus", "COVID-19"]) == (known, [])
    more = known | {"SARS": "SARS", "a+b": "a+b"}
    assert mapped(PUBLISHED, [*more]) == (more, ["SARS", "a+b"])
    assert mapped(PUBLISHED, ["viral", "SARS"]) == ({"viral": "viral", "SARS": "SARS"}, ["SARS"])  # called as a class
    assert dataset.with_own(PUBLISHED, ["ill", "healthy"]) == ([], ["healthy", "ill"])  # and none of the header's
    assert dataset.with_own([], ["ill", "healthy"]) == ([], [])
    with pytest.raises(dataset.BadData, match="rename"):
        dataset.with_own(PUBLISHED, ["normal", "a=b"])


folders = st.text("abcdeXY-1 ", min_size=1, max_size=4)


@budget(max_examples=60, deadline=None)
@given(st.lists(st.lists(folders, min_size=1, max_size=3), min_size=1, max_size=4), st.booleans())
def test_entries_make_the_same_map_again(groups, written):
    flat = [folder for group in groups for folder in group]
    if len(set(flat)) < len(flat):
        return
    classes = [f"class {i}={'+'.join(group)}" for i, group in enumerate(groups)] if written else []
    names, found = dataset.class_map(classes, flat)
    assert dataset.class_map(dataset.class_entries(names, found), []) == (names, found)


def test_cases_are_found_sorted_with_their_labels(tmp_path):
    for folder, case in (("virus", "b"), ("virus", "a"), ("COVID-19", "a"), ("normal", "x.y")):
        write(tmp_path / folder, case)
    (tmp_path / "predictions").mkdir()  # a folder without pairs is none of ours
    (tmp_path / "masks.csv").write_text("")
    got = dataset.find_cases(tmp_path, PUBLISHED)
    assert [(case.folder, case.case, case.label) for case in got] == [
        ("COVID-19", "a", 3),
        ("normal", "x.y", 0),
        ("virus", "a", 3),
        ("virus", "b", 3),
    ]
    assert got[1].place == tmp_path / "normal"


def test_labels_are_taken_where_folders_are_classes(tmp_path):
    write(tmp_path / "ward 3", "a")
    assert [case.label for case in dataset.find_cases(tmp_path, PUBLISHED)] == [None]
    assert [case.label for case in dataset.find_cases(tmp_path, [])] == [0]
    with pytest.raises(dataset.BadData, match="ward 3.*COVID-19"):
        dataset.find_cases(tmp_path, PUBLISHED, labelled=True)
    write(tmp_path / "normal", "a")
    assert [case.label for case in dataset.find_cases(tmp_path, PUBLISHED, labelled=False)] == [None, None]
    with pytest.raises(dataset.BadData, match="ward 3.*COVID-19"):  # some are classes: the other may be a slip
        dataset.find_cases(tmp_path, PUBLISHED)


def test_pairs_directly_in_a_folder_have_no_label(tmp_path):
    write(tmp_path / "scans", "a")
    got = dataset.find_cases(tmp_path / "scans", PUBLISHED)
    assert got == [dataset.Case("a", "scans", tmp_path / "scans", None)]
    with pytest.raises(dataset.BadData, match="class is not known"):
        dataset.find_cases(tmp_path / "scans", PUBLISHED, labelled=True)
    write(tmp_path, "b")
    with pytest.raises(dataset.BadData, match="one or the other"):
        dataset.find_cases(tmp_path, PUBLISHED)


def test_no_folder_and_no_pairs_are_told(tmp_path):
    with pytest.raises(dataset.BadData, match="there is no folder"):
        dataset.find_cases(tmp_path / "nowhere", PUBLISHED)
    with pytest.raises(dataset.BadData, match="holds no pairs"):
        dataset.find_cases(tmp_path, PUBLISHED)


def test_a_prepared_image_is_masked_resized_and_rounded():
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (64, 64)).astype(np.float32)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 5:30] = 1
    got, lung = dataset.prepare(image, mask, 64)  # no resize: to the pixel
    assert got.dtype == lung.dtype == np.uint8
    assert (got == np.rint(image * mask)).all() and (lung == mask).all()
    got, lung = dataset.prepare(np.full((64, 96), 200, np.float32), np.ones((64, 96), np.uint8), 32)
    assert got.shape == lung.shape == (32, 32) and (got == 200).all() and (lung == 1).all()


def test_bicubic_overshoot_stays_within_grey_levels():
    image = np.kron([[0, 255], [255, 0]], np.ones((8, 8))).astype(np.float32)
    got, _ = dataset.prepare(image, np.ones((16, 16), np.uint8), 64)
    assert got.min() == 0 and got.max() == 255
    assert got[:24, :24].max() < 40  # what overshoots below nought has not wrapped round to 255


@pytest.mark.parametrize("pixel", [(0, 0), (199, 299), (77, 130)])
def test_a_lung_of_one_pixel_survives(pixel):
    mask = np.zeros((200, 300), np.uint8)
    mask[pixel] = 1
    _, lung = dataset.prepare(np.full(mask.shape, 100, np.float32), mask, 20)
    assert np.argwhere(lung).tolist() == [[pixel[0] // 10, pixel[1] // 15]]


@pytest.fixture
def cases(tmp_path):
    for i in range(7):
        write(tmp_path / "normal", f"case{i}", seed=i)
    return dataset.find_cases(tmp_path, PUBLISHED)


@pytest.fixture
def reads(monkeypatch):
    """How often each case is read from disk."""
    counts, lock, load = Counter(), threading.Lock(), pairs.load

    def counted(place, case):
        with lock:
            counts[case] += 1
        return load(place, case)

    monkeypatch.setattr(pairs, "load", counted)
    return counts


def wanted(case):
    return dataset.prepare(*pairs.load(case.place, case.case), 32)


def equal(got, case):
    return all((a == b).all() and a.dtype == b.dtype for a, b in zip(got, wanted(case), strict=True))


def test_images_are_read_once_while_they_fit(cases, reads):
    images = dataset.Images(cases, chosen())
    batches = [[0, 1, 1], [2, 0], [6, 5, 4, 3]]
    for _ in range(2):
        for indices, got in zip(batches, images.stream(batches), strict=True):
            assert len(got) == len(indices)
    assert set(reads.values()) == {1} and len(reads) == 7
    assert all(equal(got, cases[i]) for i, got in zip(batches[2], images.batch(batches[2]), strict=True))


def test_what_does_not_fit_is_read_again_and_not_kept(cases, reads):
    one = 32 * 32 + 32 * 32 // 8
    images = dataset.Images(cases, chosen(f"cache_gb={2.5 * one / 1e9}"))
    for _ in range(3):
        for indices, got in zip([[i] for i in range(7)], images.stream([i] for i in range(7)), strict=True):
            assert len(got) == len(indices)
    assert len(images._read) == 2 and images._room < one
    kept = [cases[i].case for i in images._read]
    before = dict(reads)
    images.batch(range(7))
    assert all(reads[case] == before[case] for case in kept)
    assert all(reads[case.case] == before[case.case] + 1 for case in cases if case.case not in kept)


def test_a_stream_reads_ahead_and_no_further(cases, reads):
    images = dataset.Images(cases, chosen("cache_gb=0"))
    asked = []

    def batches():
        for i in range(7):
            asked.append(i)
            yield [i]

    stream = images.stream(batches(), ahead=2)
    next(stream)
    assert asked == [0, 1, 2]
    next(stream)
    assert asked == [0, 1, 2, 3]
    assert [len(items) for items in stream] == [1] * 5


def test_a_global_image_has_the_size_of_a_patch(cases):
    ((image, lung),) = dataset.Images(cases, chosen("approach=global")).batch([0])
    assert image.shape == lung.shape == (16, 16)


def test_every_bad_pair_is_named_at_once(cases):
    (cases[2].place / "case2.mask.npy").write_bytes(b"no array")
    np.save(cases[4].place / "case4.image.npy", np.zeros((3, 3), np.float32))
    images = dataset.Images(cases, chosen("cache_gb=0"))
    with pytest.raises(dataset.BadData, match="2 of 7") as fault:
        images.check()
    assert "case2" in str(fault.value) and "case4" in str(fault.value)
    with pytest.raises(pairs.BadPair, match="case4"):
        images.batch([3, 4])
    (good, bad), (last,) = images.stream([[1, 2], [6]], faults=True)
    assert equal(good, cases[1]) and isinstance(bad, pairs.BadPair) and equal(last, cases[6])
    write(cases[2].place, "case2", seed=2)  # mended: nothing remembers the fault
    assert equal(images.batch([2])[0], cases[2])


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
    return training.warnings(
        chosen("classes=[]", f"dir_split={folder / 'split'}", f"file_metadata={folder / table}", *words)
    )


def test_parts_made_by_hand_that_share_patients_are_told_before_a_training(by_hand, call):
    root, (names, patients) = by_hand / "split", warned(by_hand)
    assert names.startswith(f"1 image stands in two parts of {root}, as ill/twin in train and val: results")
    assert patients.startswith(
        f"3 patients stand in two parts of {root}, as t in train and val: results will look "
        "better than they are; `python classification/split.py --check "
    )
    command = shlex.split(patients.split("`")[1])
    done = call(command[1], *command[2:])  # the command that it names finds the same
    assert done.code == 1 and "Warning: 3 patients are in more than one part" in done.out, done.err

    (root / "test").rename(by_hand / "later")  # a training needs no test part, that command does
    assert ["--check" in sentence for sentence in warned(by_hand)] == [False, False]
    assert warned(by_hand)[1].startswith("1 patient stands in two parts")


def test_parts_made_by_hand_without_crossings_or_by_split_py_say_nothing(by_hand):
    for place in ("val/ill/twin", "test/well/again", "test/well/more"):
        for file in (by_hand / "split" / place).parent.glob(f"{place.rpartition('/')[2]}.*"):
            file.unlink()
    assert warned(by_hand) == []
    write(by_hand / "split/val/ill", "ill-train")
    assert len(warned(by_hand)) == 2
    (by_hand / "split" / "split.json").write_text("{}")
    assert warned(by_hand) == []
    (by_hand / "split" / "split.json").rename(by_hand / "split" / "split.csv")  # a fold has that alone
    assert warned(by_hand) == []


def test_patients_that_no_table_tells_are_said_to_be_unknown(by_hand):
    (by_hand / "few.csv").write_text("case,class,patient\nwell-train,well,1\nwell-val,well,1\n")
    names, patients, unknown = warned(by_hand, table="few.csv")
    assert "1 image stands" in names and "1 patient stands" in patients
    assert unknown.startswith(f"the patients of 8 of the 10 images in {by_hand / 'split'} are not known")
    names, missing = warned(by_hand, table="none.csv")
    assert "1 image stands" in names and "is not known: There is no table" in missing and not missing.endswith(".")
