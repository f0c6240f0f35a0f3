"""What other tables know of the cases: whose they are, where they come from, and what speaks against their masks."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from classification.cases.finder import MASKS, PARTS
from classification.splitting import parts, survey
from cxr import cohort, tables
from cxr.errors import BadData, BadTable
from cxr.run import journal

SIZES, SPACING = ("width", "height"), ("spacing_row_mm", "spacing_column_mm")


def people(cases, inputs, settings):
    """Patient and source of each case, [(patient, source)], and sentences for the user.

    inputs are the folders that the cases were found in. The split's record counts, split.csv in one of them, one or two
    above it, or in dir_split, nearest first, so that a patient is the same from the split on; but only of pairs in that
    folder or in dir_pairs, for elsewhere a folder and a name may be another's. Whom it does not know, file_metadata
    tells, which is read only then, by the rule of the split itself, survey.find_patients(). A case that neither knows
    is a patient of its own, of source "". Raises BadTable, BadData.
    """
    near, split = [Path(os.path.abspath(given)) for given in inputs], Path(settings.dir_split)
    roots = [*near, *(place.parent for place in near), *(place.parent.parent for place in near), split, split / "fold1"]
    recorded, places = {}, {case.place for case in cases}
    for root in dict.fromkeys(roots):  # every fold records all cases
        if (root / parts.RECORD).is_file():
            rows = {(r.folder.casefold(), r.case): (r.patient, r.source) for r in parts.read(root).itertuples()}
            inside = {place for place in places if _lies(place, root) or _lies(place, settings.dir_pairs)}
            for case in cases:
                key = case.folder.casefold(), case.case
                if case.place in inside and key in rows:
                    recorded.setdefault(case, rows[key])
    found = [recorded.get(case, (survey.UNKNOWN, "")) for case in cases]
    rest = [i for i, (patient, _) in enumerate(found) if patient.startswith(survey.UNKNOWN)]
    if not rest:
        return found, []
    file = Path(settings.file_metadata)
    try:
        table = cohort.read(file)
    except FileNotFoundError as error:
        raise BadTable(str(error)) from None
    told = survey.find_patients([cases[i].folder for i in rest], [cases[i].case for i in rest], table)
    for i, (patient, source) in zip(rest, told, strict=True):
        found[i] = patient, source
    unknown = sum(patient.startswith(survey.UNKNOWN) for patient, _ in found)
    told = (
        f"neither {file.name} nor {parts.RECORD} knows {unknown} of {len(cases)} cases: each of these counts as a "
        "patient of its own; name a table with file_metadata=FILE"
    )
    return found, [told] if unknown else []


def _lies(place, root) -> bool:
    """Whether a folder lies in another, by its path or by where links lead, and not in another run's results there."""
    for of in (os.path.abspath, os.path.realpath):
        below = [one for one in (Path(of(place)) / "_").parents if one.is_relative_to(of(root))]
        if below and not any((one / MASKS).is_file() for one in below[:-1]):
            return True
    return False


def masks(cases, roots, settings) -> tuple[dict[tuple[str, str], dict], list[str]]:
    """What masks.csv says of cases found in `roots`, as radiographs() gives it, and notes for the user. Raises
    BadData."""
    found, notes = {}, []
    for root in roots:
        here = [case for case in cases if _place(case).is_relative_to(os.path.abspath(root))]
        table = masks_table(root, settings)
        rows = radiographs(here, table, settings) if table else {}
        if table and here and not rows:
            notes.append(f"{table} knows none of the cases in {root}, so the quality of their masks is unknown")
        found |= rows
    return found, notes


def radiographs(cases, table: Path, settings, needed: Sequence[str] = ()) -> dict[tuple[str, str], dict]:
    """The rows of a masks.csv of the cases that it knows: {(folder, case): row of segmented()}. Raises BadData.

    A case is known by its place below the table, of a split by that of its pair there; one that lies elsewhere, of a
    table that the user named, by its folder."""
    rows, home = segmented(table, needed), Path(os.path.abspath(table)).parent
    found, sources = {}, {}
    for case in cases:
        place = _place(case)
        part = part_of(place, settings)
        if part and not home.is_relative_to(part):
            if part not in sources:
                sources[part] = parts.pairs_of(part, settings)
            place = sources[part] / place.relative_to(part)
        folder = str(place.relative_to(home)) if place.is_relative_to(home) else case.folder
        if row := rows.get((folder, case.case)):
            found[case.folder, case.case] = row
    return found


def masks_table(root, settings) -> Path | None:
    """The masks.csv of the pairs in a folder: there, or up to two folders above; of a split likewise in its pairs."""
    root = Path(os.path.abspath(root))
    near, part = [root, *root.parents[:2]], part_of(root, settings)
    if part:
        source = parts.pairs_of(part, settings)
        near = [place for place in near if place.is_relative_to(part)] + [source, *source.parents[:2]]
    return next((place / MASKS for place in near if (place / MASKS).is_file()), None)


def _place(case) -> Path:
    return Path(os.path.abspath(case.place))


def part_of(place: Path, settings) -> Path | None:
    """The part of a split that a folder lies in, or is."""
    split = Path(settings.dir_split)
    for one in reversed([place, *place.parents]):
        above = one.parents[:2]  # the split, or a fold and the split
        if one.name in PARTS and (split in above or (one.parent / parts.RECORD).is_file()):
            return one
    return None


def one_masks_table(inputs, settings) -> Path:
    """The one masks.csv of the pairs in some folders. Raises BadData."""
    found = {masks_table(given, settings): given for given in inputs}
    if None in found:
        raise BadData(
            f"there is no {MASKS} in or above {found[None]}, to say where the radiographs are; name it with --masks."
        )
    if len(found) > 1:
        raise BadData(f"these folders have a {MASKS} each; measure them one by one.")
    return next(iter(found))


def segmented(table: Path, needed: Sequence[str] = ()) -> dict[tuple[str, str], dict]:
    """The rows of a masks.csv by folder and case: file, status, reason, view, "" where unknown, width and height, and
    spacing_mm, (row, column) or None. needed: columns without which the caller cannot go on, beside status and reason.
    Raises BadData."""
    if not table.is_file():
        raise BadData(f"there is no {table}, to say where the radiographs are; name it with --masks.")
    rows = tables.read(table, [*journal.KEY, "status", "reason", *needed])
    rows = tables.numbers(table, rows, rows.columns.difference([*SIZES, *SPACING]))
    found = {}
    for row in rows.to_dict("records"):
        steps = [row.get(name, np.nan) for name in SPACING]
        row["spacing_mm"] = tuple(steps) if np.isfinite(steps).all() and min(steps) > 0 else None
        found[row["folder"], row["case"]] = dict.fromkeys(("file", "status", "reason", "view"), "") | row
    return found
