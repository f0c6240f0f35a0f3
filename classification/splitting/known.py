"""What other tables know of the cases: whose they are, where they come from, and what speaks against their masks."""

import os
from pathlib import Path

import numpy as np

from classification.cases.finder import MASKS
from classification.splitting import parts, survey
from cxr import cohort
from cxr.run import journal


def people(cases, inputs, settings):
    """Patient and source of each case, [(patient, source)], and sentences for the user.

    inputs are the folders that the cases were found in. The split's record counts, split.csv in one of them, one or two
    above it, or in dir_split, nearest first, so that a patient is the same from the split on. Whom it does not know,
    file_metadata tells, which is read only then, by the rule of the split itself, survey.find_patients(). A case that
    neither knows is a patient of its own, of source "". Raises cohort.BadTable, BadData.
    """
    near, split = [Path(os.path.abspath(given)) for given in inputs], Path(settings.dir_split)
    roots = [*near, *(place.parent for place in near), *(place.parent.parent for place in near), split, split / "fold1"]
    recorded = {}
    for root in dict.fromkeys(roots):  # every fold records all cases
        if (root / parts.RECORD).is_file():
            for row in parts.read(root).itertuples():
                recorded.setdefault((row.folder.casefold(), row.case), (row.patient, row.source))
    found = [recorded.get((case.folder.casefold(), case.case), (survey.UNKNOWN, "")) for case in cases]
    rest = [i for i, (patient, _) in enumerate(found) if patient.startswith(survey.UNKNOWN)]
    if not rest:
        return found, []
    file = Path(settings.file_metadata)
    try:
        table = cohort.read(file)
    except FileNotFoundError as error:
        raise cohort.BadTable(str(error)) from None
    told = survey.find_patients([cases[i].folder for i in rest], [cases[i].case for i in rest], table)
    for i, (patient, source) in zip(rest, told, strict=True):
        found[i] = patient, source
    unknown = sum(patient.startswith(survey.UNKNOWN) for patient, _ in found)
    notes = (
        [
            f"neither {file.name} nor {parts.RECORD} knows {unknown} of {len(cases)} cases: each of these counts as a "
            "patient of its own; name a table with file_metadata=FILE"
        ]
        if unknown
        else []
    )
    return found, notes


def masks(cases, roots, settings) -> dict[tuple[str, str], tuple[str, str, str]]:
    """What masks.csv says of cases found in `roots`: {(folder, case): (status, reason, view)} of those that one knows.
    Raises ValueError for a bad table."""
    found = {}
    for root in [Path(os.path.abspath(given)) for given in roots]:
        rows = radiographs(root, settings) or {}
        for case in cases:
            # Radiographs segmented by name lie in the output itself, whose folder is called "." in masks.csv.
            own = rows.get((".", case.case)) if case.place.absolute() == root else None
            if row := rows.get((case.folder, case.case)) or own:
                found[case.folder, case.case] = row["status"], row["reason"], row["view"]
    return found


def radiographs(root, settings):
    """Status, reason, view and spacing of the images by (folder, case), a dict each, from masks.csv; None without one.

    masks.csv is looked for in root, beside it (root being one folder of a segmentation) and, for pairs of a split, in
    dir_pairs. view is "" where unknown, spacing_mm (row, column) or None. Raises ValueError for a table without these
    columns.
    """
    places = [root, root.parent]
    above = [root, *root.parents]
    if Path(settings.dir_split) in above or any((place / parts.RECORD).is_file() for place in above[:3]):
        places.append(Path(settings.dir_pairs))
    file = next((place / MASKS for place in places if (place / MASKS).is_file()), None)
    if file is None:
        return None
    rows = journal.read(file, ["case", "folder", "file", "status", "reason", "view"])
    spacing = ["spacing_row_mm", "spacing_column_mm"]
    missing = [name for name in ("folder", "case", "status", "reason", *spacing) if name not in rows]
    if missing:
        raise ValueError(f"{file} has no column {', '.join(missing)}; write it again with segmentation/inference.py.")
    found = {}
    rows = rows.assign(view=rows.view if "view" in rows else "")
    for folder, case, status, reason, view, *steps in rows[
        ["folder", "case", "status", "reason", "view", *spacing]
    ].itertuples(index=False, name=None):
        known = np.isfinite(steps).all() and min(steps) > 0
        about = {"status": status, "reason": reason, "view": view}
        found[folder, case] = about | {"spacing_mm": tuple(steps) if known else None}
    return found
