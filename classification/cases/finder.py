"""Which pairs lie in some folders, at any depth, and the class that the first folder below the one given tells.

Every script finds its cases here, so that all of them see the same ones: FOLDER/<class>/x as well as
FOLDER/<class>/<patient>/x. What is passed over is named.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from classification.cases.classes import class_map
from cxr import pairs
from cxr.errors import BadData
from cxr.reading.radiograph import legible

PARTS = ("train", "val", "test")  # the folders of a split
MASKS = "masks.csv"  # lies in the output folder of a segmentation
_FOLD = re.compile(r"fold[1-9]\d*")


class Case(NamedTuple):
    """A pair and what is known of it."""

    case: str  # its name
    folder: str  # its folder below the one given, as "virus" or "virus/ward 3", or that folder's own name
    place: Path  # where its files lie
    label: int | None  # index of its class; None where it is not known


class Found(NamedTuple):
    """What some folders hold."""

    cases: list[Case]  # whole pairs, sorted by folder and name
    halves: list[Case]  # pairs of which one file is missing, sorted likewise
    notes: list[str]  # what was passed over, sentences without their full stop, to print


def find(inputs: Iterable, folders: Mapping[str, int] | None = None) -> Found:
    """The pairs in some folders, at any depth.

    folders: the class of each folder where known, upper and lower case alike; the first part of a case's folder tells
    its label. Below a folder given, other runs' results are passed over: a segmentation into a folder of its own, with
    its masks.csv, and a split; so are hidden folders. Raises BadData if there is no such folder, if none holds a pair,
    if two pairs would have one name, or if a folder given is a whole split, whose folders are no classes.
    """
    inputs = [Path(given) for given in inputs]
    whole, half, passed_over, hidden, odd = {}, {}, [], [], []
    for given in inputs:
        if not given.is_dir():
            raise BadData(f"there is no folder {given}; give one of pairs, as segmentation/inference.py writes them.")
        if own := part_folders(given):
            raise BadData(f"{given} is a whole split, whose parts are no classes: give one of them, {own[-1]}.")
        for place in _places(given, passed_over, hidden):
            below = os.path.relpath(place, given)
            folder = os.path.basename(os.path.abspath(given)) if below == "." else below
            for kept, names in ((whole, pairs.find(place)), (half, pairs.halves(place))):
                for name in names:
                    if legible(folder + name) != folder + name:
                        odd.append(legible(f"{place / name}"))
                        continue
                    kept.setdefault(os.path.realpath(place / name), Case(name, folder, place, None))
    asked = {os.path.realpath(given) for given in inputs}
    passed_over = [str(place) for place in passed_over if os.path.realpath(place) not in asked]
    if not whole and not half:
        remedy = "write some with segmentation/inference.py"
        if passed_over:
            remedy = f"those in {some(passed_over)} are results of other runs: give such a folder by itself"
        raise BadData(f"there are no pairs in {', '.join(map(str, inputs))}; {remedy}.")
    _refuse_twins([*whole.values(), *half.values()])
    told = "skipped {}, which hold results of other runs; to use one, give it by itself"
    notes = [told.format(some(passed_over))] if passed_over else []
    notes += [f"skipped {some(hidden)}, hidden folders that hold pairs"] if hidden else []
    notes += [f"skipped {some(odd)}, names that are not UTF-8; rename these pairs"] if odd else []
    cases, halves = (in_order(labelled(kept.values(), folders or {})) for kept in (whole, half))
    return Found(cases, halves, notes)


def find_classes(roots: Sequence, classes: Sequence[str]) -> tuple[list[Found], list[str], dict[str, int]]:
    """The pairs of some folders that hold the same classes, as train and val of a split: what find() gives of each,
    every case with its label, the names of the classes, and the class of each folder.

    classes: as class_map() takes them. Raises BadData as find() and class_map() do, and for pairs that lie directly in
    a root, where no folder tells their class.
    """
    found = [find([root]) for root in roots]
    for root, one in zip(map(Path, roots), found, strict=True):
        direct = [case for case in (*one.cases, *one.halves) if case.place == root]
        if direct:
            raise BadData(
                f"{root} holds {len(direct)} pairs directly, as {direct[0].case}, so that their class is not known; "
                "put them in a folder a class."
            )
    names, index = class_map(classes, {top(case) for one in found for case in one.cases})
    found = [Found(labelled(one.cases, index), labelled(one.halves, index), one.notes) for one in found]
    return found, names, index


def about(case: Case) -> tuple[str, str, Path]:
    """Name, folder and image file of a case."""
    return case.case, case.folder, case.place / f"{case.case}{pairs.IMAGE}"


def in_order(cases: Iterable[Case]) -> list[Case]:
    """The cases sorted by folder and name."""
    return sorted(cases, key=lambda case: (case.folder, case.case))


def top(case: Case) -> str:
    """The folder that tells the class of a case: the first one below the folder given."""
    return case.folder.split(os.sep)[0]


def labelled(cases: Iterable[Case], folders: Mapping[str, int]) -> list[Case]:
    """The cases with the class that `folders` knows for the first part of their folder, None for any other."""
    loose = {name.casefold(): index for name, index in folders.items()}
    return [case._replace(label=folders.get(top(case), loose.get(top(case).casefold()))) for case in cases]


def roots(root: Path) -> list[Path]:
    """The folders that hold train, val and test: root itself, or its fold1, fold2 ... in order."""
    if any((root / part).is_dir() for part in PARTS):
        return [root]
    folds = [path for path in root.iterdir() if _FOLD.fullmatch(path.name) and path.is_dir()]
    return sorted(folds, key=lambda path: int(path.name[4:]))


def test_part(settings) -> Path:
    """The test part of the split. Raises BadData with the remedy if there is none."""
    root = Path(settings.dir_split)
    if (root / "test").is_dir():
        return root / "test"
    folds = [fold for fold in roots(root) if fold != root] if root.is_dir() else []
    remedy = f"name a fold: dir_split={folds[0]}" if folds else "make it with classification/split.py"
    raise BadData(f"there is no folder {root / 'test'}; {remedy}, or give folders of pairs with -i.")


def part_folders(root: Path) -> list[Path]:
    """The folders train, val and test of a split in root, or of its folds: those that hold folders of pairs, and no
    pairs themselves. Nothing for a folder that holds something else, as one of pairs that is called test."""
    places = [one / part for one in roots(root) for part in PARTS if (one / part).is_dir()]
    return [place for place in places if not pairs.find(place) and _holds_pairs(place)]


def some(names: Iterable) -> str:
    """The first five of some names, for a sentence."""
    names = sorted(map(str, names))
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _places(given: Path, passed_over: list[Path], hidden: list[Path]) -> Iterator[Path]:
    """The folders in `given`, itself among them. Other runs' results and hidden folders are added to the two lists
    instead, the latter where they hold pairs."""
    for place, inner in _walk(given):
        if place != given and _is_other_run(place):
            passed_over.append(place)
            inner.clear()
            continue
        dotted = [place / name for name in inner if name.startswith(".")]
        hidden += [folder for folder in dotted if _holds_pairs(folder)]
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield place


def _walk(given: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders in `given` with the names of those in them, in order; links are followed, each place once, so that a
    loop ends. A name taken out of a list is not entered."""
    seen = set()
    for here, inner, _ in os.walk(given, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner.sort()
        yield Path(here), inner


def _is_other_run(place: Path) -> bool:
    segmented = (place / MASKS).is_file() and not pairs.find(place)  # one class by itself is a folder as any other
    return segmented or bool(part_folders(place))


def _holds_pairs(place: Path) -> bool:
    return any(pairs.find(inner) for inner, _ in _walk(place))


def _refuse_twins(cases: Iterable[Case]) -> None:
    places = defaultdict(list)
    for case in cases:
        places[case.folder, case.case].append(str(case.place))
    twice = [(key, where) for key, where in places.items() if len(where) > 1]
    if twice:
        (folder, case), where = twice[0]
        raise BadData(
            f"{len(twice)} cases would have one row for several pairs, for example {folder}/{case} in "
            f"{' and '.join(where[:3])}: give these folders apart, with -o. Nothing was written."
        )
