"""The radiographs that a training learns from, and those that choose its epoch and its class factors."""

from pathlib import Path

from cxr import tables
from cxr.errors import BadData
from cxr.labels import ORGANS
from cxr.run import caselist
from segmentation import dataset

PARTS = ("train", "val")


def find_sets(settings) -> list[list[dataset.Case]]:
    """Every case of each set that the settings name: dir_images, or else train_sets. Raises BadData."""
    if settings.dir_images and not settings.dir_masks:
        raise BadData(f"dir_images={settings.dir_images} needs dir_masks, the folder with their masks.")
    if settings.dir_images:
        return [dataset.image_folder(Path(settings.dir_images), Path(settings.dir_masks))]
    return [dataset.known_set(name, Path(settings.dir_data_root)) for name in settings.train_sets]


def find(settings) -> dict[str, list[dataset.Case]]:
    """The cases to train and to validate on: those of file_cases, or else of the official split. Raises BadData."""
    sets = find_sets(settings)
    parts = {part: [] for part in PARTS}
    if settings.file_cases:
        parts = chosen({case.name: case for cases in sets for case in cases}, Path(settings.file_cases))
        sets = []
    for cases in sets:
        split = dataset.official_split(cases, settings.split_seed)
        if not split["train"] or not split["val"]:
            raise BadData(f"{len(cases)} radiographs are too few to train and validate on: give at least 10.")
        parts = {part: parts[part] + split[part] for part in PARTS}
    return parts | {"train": parts["train"][: settings.num_train or None]}


def chosen(cases: dict[str, dataset.Case], file: Path) -> dict[str, list[dataset.Case]]:
    """The cases that a table with the columns case and part (train or val) names, in its order. Raises BadData."""
    rows = tables.read(file, ("case", "part"))
    for row in rows.itertuples():
        if row.case not in cases or row.part not in PARTS:
            raise BadData(
                f"{file} has {row.case!r} in {row.part!r}: give cases of the set, in train or val; {tables.REMEDY}."
            )
    if missing := [part for part in PARTS if part not in set(rows.part)]:
        raise BadData(f"{file} has no case in {missing[0]}; name at least one.")
    if rows.case.duplicated().any():
        raise BadData(f"{file} names {rows.case[rows.case.duplicated()].iloc[0]} twice; keep one of the rows.")
    return {part: [cases[name] for name in rows.case[rows.part == part]] for part in PARTS}


def open_data(parts: dict[str, list[dataset.Case]], settings) -> tuple[dataset.Radiographs, dataset.Radiographs]:
    """The training and validation radiographs, in memory. Raises BadData."""
    return dataset.Radiographs(parts["train"], settings, settings.augment), dataset.Radiographs(parts["val"], settings)


def kept(parts: dict[str, list[dataset.Case]]) -> dict:
    """What a checkpoint keeps of the cases to train and to validate on. Raises BadData."""
    named = {part: [(c.name, c.image.parent.name, c.image) for c in cases] for part, cases in parts.items()}
    used = (*ORGANS, "labels")
    masks = [c.masks[name] for part in PARTS for c in parts[part] for name in used if name in c.masks]
    return caselist.kept(named, masks)
