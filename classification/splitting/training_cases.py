"""The cases that a training learns from, and those that it is measured on."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from classification.cases import finder
from classification.cases.finder import Case
from classification.patches import epochs
from cxr import pairs
from cxr.errors import BadData
from cxr.run import caselist


class Data(NamedTuple):
    """What a training needs to know of the split."""

    names: list[str]  # of the classes, in their order
    folders: dict[str, int]  # the class of each folder
    train: list[Case]
    val: list[Case]
    notes: list[str]  # what was left out, sentences without their full stop


def find(settings) -> Data:
    """The cases of dir_split/{train,val}/<folder>/, num_train of them to train on. Raises BadData."""
    root = Path(settings.dir_split)
    for part in ("train", "val"):
        if not (root / part).is_dir():
            folds = [fold for fold in finder.roots(root) if fold != root] if root.is_dir() else []
            remedy = "make it with `python classification/split.py`, or name the folder that has it: dir_split=FOLDER."
            if folds:
                remedy = f"name one of its folds: dir_split={folds[0]} test_name={folds[0].name}."
            raise BadData(f"{root} has no folder {part}; {remedy}")
    (train, val), names, folders = finder.find_classes([root / "train", root / "val"], settings.classes)
    without = [name for i, name in enumerate(names) if all(case.label != i for case in train.cases)]
    if without or len(names) < 2:
        there = ", ".join(sorted({finder.top(case) for case in train.cases}))
        what = f"no case of {', '.join(without)}" if without else "one class only"
        raise BadData(f"{root / 'train'} holds {what} (its folders: {there}); change classes, or the split.")
    notes = [*train.notes, *val.notes]
    if halves := [*train.halves, *val.halves]:
        example = halves[0].place / halves[0].case
        notes.append(f"{len(halves)} pairs are left out, since one of their two files is missing, as {example}")
    return Data(names, folders, epochs.choose(train.cases, settings.num_train, settings.seed), val.cases, notes)


def kept(data: Data) -> dict:
    """What a checkpoint keeps of the cases to train and to validate on. Raises BadData."""
    parts = {"train": map(finder.about, data.train), "val": map(finder.about, data.val)}
    masks = (case.place / f"{case.case}{pairs.MASK}" for case in (*data.train, *data.val))
    return {"cases": digest(data)} | caselist.kept(parts, masks)


def unchanged(state: dict, data: Data) -> bool:
    """Whether a training that was left in `state` had these cases, of these classes, with these images and masks.
    Raises BadData."""
    return state.get("cases") == digest(data) and caselist.unchanged(state, kept(data))


def digest(data: Data) -> str:
    """A fingerprint of the cases, their parts and classes, to tell whether a run goes on with the same."""
    listed = [[(case.folder, case.case, data.names[case.label]) for case in part] for part in (data.train, data.val)]
    return hashlib.sha256(json.dumps([data.names, listed]).encode()).hexdigest()
