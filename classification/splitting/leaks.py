"""What train.py says of parts made by hand before it trains on them: who and what stands in two of them."""

import shlex
from pathlib import Path

import pandas as pd

from classification.cases.finder import PARTS, Case, find
from classification.splitting import check, parts, survey
from cxr import cohort
from cxr.errors import BadData, BadTable

WORSE = "results will look better than they are"


def warnings(settings) -> list[str]:
    """What speaks against parts made by hand: sentences without their full stop, to print. None for a split that
    split.py made, which has looked itself, while it holds no pair but those of its split.csv in their parts.

    Names and patients are compared without reading a pair; for near-duplicates every pair is read once, unless
    duplicate_distance is -1. The parts are asked no more than a training asks: test may be missing.
    """
    root = Path(settings.dir_split)
    rows, unknown = _rows(root), ""
    if _as_split(rows, root):
        return []
    found = [_sentence(rows.assign(image=rows.folder + "/" + rows.case), "image", root, settings)]
    try:
        table = cohort.read(settings.file_metadata)
    except (BadTable, OSError) as error:
        unknown = f"whether patients stand in two parts of {root} is not known: {str(error).rstrip('.')}"
    else:
        found += _shared_patients(rows, table, root, settings)
    found += [unknown, _shared_images(rows, root, settings)]
    return [sentence for sentence in found if sentence]


def _rows(root: Path) -> pd.DataFrame:
    found = {}
    for part in PARTS:
        try:
            found[part] = find([root / part])
        except BadData:  # no test part, or an empty one: a training does not need it
            continue
    return check.parts_table(found)


def _as_split(rows: pd.DataFrame, root: Path) -> bool:
    """Whether split.py put every pair where it lies."""
    try:
        listed = parts.read(root)
    except BadData:
        return False
    keys = [set(zip(table.part, table.folder, table.case, strict=True)) for table in (rows, listed)]
    return keys[0] <= keys[1]


def _shared_patients(rows: pd.DataFrame, table: pd.DataFrame, root: Path, settings) -> list[str]:
    rows = rows.assign(patient=survey.find_patients(rows.folder, rows.case, table)[:, 0])
    known = rows[~rows.patient.str.startswith(survey.UNKNOWN)]
    found = [_sentence(known, "patient", root, settings)]
    if len(known) < len(rows):
        found.append(
            f"the patients of {len(rows) - len(known)} of the {len(rows)} images in {root} are not known, and so not "
            "whether they stand in two parts; name a table with file_metadata=FILE.csv (columns case, class, patient)"
        )
    return found


def _shared_images(rows: pd.DataFrame, root: Path, settings) -> str:
    """A sentence if an image of one part has a near-duplicate in another; pairs that cannot be read are passed over."""
    if settings.duplicate_distance < 0:
        return ""
    cases = [Case(*row) for row in rows[list(Case._fields)].itertuples(index=False)]
    try:
        looked, _ = survey.survey(cases, survey.NO_TABLE, settings.duplicate_distance, settings.num_workers)
    except BadData:  # not one can be read: the training is about to say so
        return ""
    looked["part"] = looked.place.map(dict(zip(rows.place, rows.part, strict=True)))
    several = check.spread(looked, "radiograph")
    if not len(several):
        return ""
    first = looked[looked.radiograph == several[0]].drop_duplicates("part")
    names = " and ".join(f"{row.part}/{row.folder}/{row.case}" for row in first.itertuples())
    what = "image has" if len(several) == 1 else "images have"
    return f"{len(several)} {what} a near-duplicate in another part of {root}, as {names}: {WORSE}"


def _sentence(rows: pd.DataFrame, column: str, root: Path, settings) -> str:
    """How many values of a column stand in two parts, with an example; "" if none does."""
    several = check.spread(rows, column)
    if not len(several):
        return ""
    where = " and ".join(part for part in PARTS if part in set(rows.part[rows[column] == several[0]]))
    verb = "s stand" if len(several) > 1 else " stands"
    more = f"; `{_command(root, settings)}` tells more" if all((root / part).is_dir() for part in PARTS) else ""
    return f"{len(several)} {column}{verb} in two parts of {root}, as {several[0]} in {where}: {WORSE}{more}"


def _command(root: Path, settings) -> str:
    words = ["python", "classification/split.py", "--check", f"dir_split={root}"]
    words += [f"file_metadata={settings.file_metadata}"] if "file_metadata" in settings._typed else []
    words += [f"classes={','.join(settings.classes) or '[]'}"] if "classes" in settings._typed else []
    return shlex.join(words)
