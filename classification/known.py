"""What other tables know of the cases: whose they are, where they come from, and what speaks against their masks."""

from pathlib import Path

import numpy as np

from classification import parts
from cxr import cohort, journal

MASKS = "masks.csv"


def people(cases, settings):
    """Patient and source of each case, [(patient, source)], and sentences for the person.

    file_metadata is asked by folder (upper and lower case alike) and case, or by a case's name alone where it names no
    class; what it does not know, split.csv of dir_split. A case that neither knows is a patient of its own, of source
    "". Raises cohort.BadTable, dataset.BadData, FileNotFoundError.
    """
    file, split = Path(settings.file_metadata), Path(settings.dir_split)
    rows = cohort.read(file)
    tables, notes = [_people(zip(rows["class"], rows.case, rows.patient, rows.source, strict=True))], []
    for place in (split, split / "fold1"):  # every fold records all cases
        if (place / parts.RECORD).is_file():
            rows = parts.read(place)
            tables.append(_people(zip(rows.folder, rows.case, rows.patient, rows.source, strict=True)))
    found, unknown = [], 0
    for case in cases:
        keys = (case.folder.casefold(), case.case), ("", case.case)
        one = next((table[key] for table in tables for key in keys if key in table), None)
        unknown += one is None
        found.append(one or (f"{case.folder}/{case.case}", ""))
    if unknown:
        notes.append(f"neither {file.name} nor {parts.RECORD} knows {unknown} of {len(cases)} cases: each of these "
                     "counts as a patient of its own; name a table with file_metadata=FILE")
    return found, notes


def films(root, settings):
    """Status, reason and spacing of the films by (folder, case), a dict of dicts, from masks.csv; None without one.

    masks.csv is looked for in root, beside it (root being one folder of a segmentation) and, for pairs of the split,
    in dir_pairs. spacing_mm is (row, column), or None. Raises ValueError for a table without these columns.
    """
    places = [root, root.parent]
    if Path(settings.dir_split) in (root, *root.parents):
        places.append(Path(settings.dir_pairs))
    file = next((place / MASKS for place in places if (place / MASKS).is_file()), None)
    if file is None:
        return None
    rows = journal.read(file, ["case", "folder", "file", "status", "reason"])
    spacing = ["spacing_row_mm", "spacing_column_mm"]
    missing = [name for name in ("folder", "case", "status", "reason", *spacing) if name not in rows]
    if missing:
        raise ValueError(f"{file} has no column {', '.join(missing)}; write it again with segmentation/inference.py.")
    found = {}
    for folder, case, status, reason, *steps in rows[["folder", "case", "status", "reason", *spacing]].itertuples(
        index=False, name=None
    ):
        known = np.isfinite(steps).all() and min(steps) > 0
        found[folder, case] = {"status": status, "reason": reason, "spacing_mm": tuple(steps) if known else None}
    return found


def _people(rows):
    found = {}
    for folder, case, patient, source in rows:
        found.setdefault((folder.casefold(), case), (patient, source))  # as split.py finds them
    return found
