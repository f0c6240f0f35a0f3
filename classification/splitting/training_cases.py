"""The cases that a training learns from, and those that it is measured on."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from classification.cases import dataset
from classification.patches import epochs
from classification.splitting import check, parts
from cxr import cohort


class Data(NamedTuple):
    """What a training needs to know of the split."""

    names: list[str]  # of the classes, in their order
    folders: dict[str, int]  # the class of each folder
    train: list[dataset.Case]
    val: list[dataset.Case]


def find(settings) -> Data:
    """The cases of dir_split/{train,val}/<folder>/, num_train of them to train on. Raises BadData."""
    root = Path(settings.dir_split)
    for part in ("train", "val"):
        if not (root / part).is_dir():
            folds = [fold for fold in parts.roots(root) if fold != root] if root.is_dir() else []
            remedy = "make it with `python classification/split.py`, or name the folder that has it: dir_split=FOLDER."
            if folds:
                remedy = f"name one of its folds: dir_split={folds[0]} test_name={folds[0].name}."
            raise dataset.BadData(f"{root} has no folder {part}; {remedy}")
    present = {folder for part in ("train", "val") for folder in dataset.find_folders(root / part)}
    names, folders = dataset.class_map(settings.classes, present)
    entries = dataset.class_entries(names, folders)  # so that both parts know the same classes
    train, val = (dataset.find_cases(root / part, entries, labelled=True) for part in ("train", "val"))
    without = [name for i, name in enumerate(names) if all(case.label != i for case in train)]
    if without or len(names) < 2:
        found = ", ".join(dataset.find_folders(root / "train"))
        what = f"no case of {', '.join(without)}" if without else "one class only"
        raise dataset.BadData(f"{root / 'train'} holds {what} (its folders: {found}); change classes, or the split.")
    return Data(names, folders, epochs.choose(train, settings.num_train, settings.seed), val)


def warnings(settings) -> list[str]:
    """What speaks against parts made by hand, as far as names and file_metadata tell: sentences without their full
    stop, to print. None for a split that split.py made, which has looked itself. Quick, since no pair is read."""
    root = Path(settings.dir_split)
    if any((root / name).is_file() for name in (parts.SETTINGS, parts.RECORD)):
        return []
    try:
        return check.look_quickly(root, settings, cohort.read(settings.file_metadata))
    except (cohort.BadTable, OSError) as error:
        unknown = f"whether patients stand in two parts of {root} is not known: {str(error).rstrip('.')}"
        return [*check.look_quickly(root, settings, None), unknown]


def digest(data: Data) -> str:
    """A fingerprint of the cases, their parts and classes, to tell whether a run goes on with the same."""
    listed = [[(case.folder, case.case, data.names[case.label]) for case in part] for part in (data.train, data.val)]
    return hashlib.sha256(json.dumps([data.names, listed]).encode()).hexdigest()
