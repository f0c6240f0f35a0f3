"""The folders of a split: {train,val,test}/<folder>/<case>.*.npy as hard links, and split.csv, which records it."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from classification.cases.finder import roots
from cxr import pairs, tables, writing
from cxr.settings.headerfile import ROOT

RECORD, SETTINGS, LEFT_OUT = "split.csv", "split.json", "left_out.csv"
COLUMNS = ["case", "folder", "patient", "source", "part", "group"]
_ENDS = (pairs.IMAGE, pairs.MASK, pairs.LABELS)


def state(root: Path) -> str:
    """ "absent" (or empty), "made" by write(), made by "hand", or "other": a folder that holds something else."""
    root = Path(root)
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return "absent"
    if (root / SETTINGS).is_file():
        return "made"
    return "hand" if root.is_dir() and roots(root) else "other"


def read(root: Path) -> pd.DataFrame:
    """split.csv of one folder of parts, all columns text. Raises BadData."""
    return tables.read(Path(root) / RECORD, COLUMNS)[COLUMNS]


def pairs_of(part: Path, settings) -> Path:
    """The folder of pairs that a split was made of, by its split.json; dir_pairs where that is typed or it does not
    tell. part: its train, val or test. Raises BadData."""
    files = [root / SETTINGS for root in part.parents[:2] if (root / SETTINGS).is_file()]  # folds have one above them
    told = tables.json(files[0]).get("dir_pairs") if files and "dir_pairs" not in settings._typed else None
    with tables.used(files[0] if told else part):
        return Path(ROOT, told) if told else Path(settings.dir_pairs)


def write(root: Path, splits: Mapping[str, pd.DataFrame], made_with: dict, left_out: pd.DataFrame) -> int:
    """Write a split beside root and rename it, so that a kill leaves the old one or the new one; an old one is
    replaced. Returns how many files were copied because the disk takes no hard link.

    splits: rows with COLUMNS and `place`, the folder of the pair, by folder below root: "" for root itself, or fold1.
    """
    root = root.resolve()
    # At a fixed place, so that the next run clears away what a killed one left.
    fresh, old = root.with_name(root.name + ".part"), root.with_name(root.name + ".old")
    if fresh.exists():
        shutil.rmtree(fresh)
    try:
        copied = _fill(fresh, splits)
        writing.json(fresh / SETTINGS, made_with)
        if len(left_out):
            writing.csv(fresh / LEFT_OUT, left_out)
        if old.exists():
            shutil.rmtree(old)
        if root.exists() and any(root.iterdir()):
            root.replace(old)
        elif root.exists():
            root.rmdir()
        fresh.replace(root)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # left only where writing failed, a full disk for instance
    if old.exists():
        shutil.rmtree(old)
    return copied


def differences(root: Path, splits: Mapping[str, pd.DataFrame], made_with: dict) -> list[str]:
    """In what the split in root differs from the one that write() would make there; nothing if it is the same."""
    try:
        earlier = tables.json(root / SETTINGS)
        changed = [
            f"{name} {earlier.get(name)!r} -> {made_with[name]!r}"
            for name in made_with
            if earlier.get(name) != made_with[name]
        ]
    except (OSError, ValueError, AttributeError):
        changed = [f"its {SETTINGS} is damaged"]
    if changed:
        return changed
    for name, rows in splits.items():
        old = read(root / name)
        keys = [set(zip(table.folder, table.case, strict=True)) for table in (old, rows)]
        if keys[0] != keys[1]:
            return [f"{len(keys[1] - keys[0])} pairs are new and {len(keys[0] - keys[1])} are gone"]
        if old.values.tolist() != rows[COLUMNS].astype(str).values.tolist():
            return ["the patients or near-duplicates are others, and with them the parts"]
        if not all(_is_same(source, root / name / target) for source, target in _files(rows)):
            return ["pairs were written anew since, or are missing there"]
    return []


def strangers(root: Path) -> list[Path]:
    """Files below root, relative to it, that write() did not put there."""
    known = {Path(SETTINGS), Path(LEFT_OUT)}
    for one in roots(root):
        name = one.relative_to(root)
        known.add(name / RECORD)
        for row in read(one).itertuples() if (one / RECORD).is_file() else ():
            known |= {name / row.part / row.folder / (row.case + end) for end in _ENDS}
    return sorted(
        path.relative_to(root) for path in root.rglob("*") if not path.is_dir() and path.relative_to(root) not in known
    )


def _fill(fresh, splits):
    copied = 0
    for name, rows in splits.items():
        (fresh / name).mkdir(parents=True, exist_ok=True)
        for source, target in _files(rows):
            (fresh / name / target).parent.mkdir(parents=True, exist_ok=True)
            copied += _link(source, fresh / name / target)
        writing.csv(fresh / name / RECORD, rows[COLUMNS])
    return copied


def _files(rows):
    """(source, target relative to the folder of the parts) of every file of the rows' pairs."""
    for row in rows.itertuples():
        for end in _ENDS:
            source = Path(row.place) / (row.case + end)
            if end != pairs.LABELS or source.is_file():
                yield source, Path(row.part) / row.folder / source.name


def _link(source, target):
    source = os.path.realpath(source)  # of a symbolic link, or the hard link would be one to the link
    try:
        os.link(source, target)
        return 0
    except OSError:  # another file system, or one without hard links; what else is wrong, the copy says as well
        shutil.copy2(source, target)
        return 1


def _is_same(source, target):
    """True for a hard link, and for a copy of the same size and time (which some disks keep to two seconds)."""
    if not target.is_file():
        return False
    a, b = source.stat(), target.stat()
    return os.path.samestat(a, b) or (a.st_size == b.st_size and abs(a.st_mtime - b.st_mtime) <= 2)
