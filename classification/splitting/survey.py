"""What is known of each pair before it is divided: its patient, and the near-duplicates it has among the others."""

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from tqdm import tqdm

from classification.cases.finder import Case
from classification.splitting import duplicates
from cxr import pairs, patients
from cxr.errors import BadData
from cxr.reading import radiograph

UNKNOWN = "unknown:"  # begins the patient of a case that the table does not name
NO_TABLE = pd.DataFrame(columns=["case", "class", "patient", "source"], dtype=str)  # where patients do not matter


def survey(
    cases: Sequence[Case], table: pd.DataFrame, distance: int, threads: int, halves: Sequence[Case] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is known of the pairs that can be used, and which cannot.

    table: patients, as cohort.read() gives them; distance: bits in which near-duplicates differ, -1 looks for none;
    halves: pairs of which one file is missing, to be listed among those left out.
    Reads every pair once. Returns a DataFrame with case, folder, place, label, patient, source and radiograph (the same
    number for near-duplicates) in the order of `cases`, and one of those left out with case, folder, status (empty:
    no lung was found; broken) and reason. Raises BadData if no pair can be used.
    """

    def examine(case):
        try:
            image, mask = pairs.load(case.place, case.case, allow_empty=True)
        except pairs.BadPair as fault:
            return "broken", str(fault)
        if not mask.any():
            return "empty", f"{case.case}: the mask is empty, since no lung was found."
        return "ok", duplicates.fingerprint(image) if distance >= 0 else np.zeros(duplicates.BITS // 64, np.uint64)

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        found = list(tqdm(pool.map(examine, cases), "pairs", total=len(cases), disable=None))
    good = [(case, what) for case, (status, what) in zip(cases, found, strict=True) if status == "ok"]
    bad = [(c.case, c.folder, *result) for c, result in zip(cases, found, strict=True) if result[0] != "ok"]
    reason = "{}: only one half of the pair is there; segment the radiograph again."
    bad += [(half.case, half.folder, "broken", reason.format(half.case)) for half in halves]
    if not good:
        raise BadData(f"none of the {len(cases)} pairs can be used, for example: {bad[0][3] if bad else 'no pairs'}")

    rows = pd.DataFrame([case for case, _ in good], columns=Case._fields)
    rows[["patient", "source"]] = find_patients(rows.folder, rows.case, table)
    rows["radiograph"] = duplicates.clusters(np.array([what for _, what in good]), distance)
    return rows, pd.DataFrame(bad, columns=["case", "folder", "status", "reason"])


def find_patients(folders: Sequence[str], cases: Sequence[str], table: pd.DataFrame) -> np.ndarray:
    """(N, 2) patient and source of each case, by its row as find_rows() finds it. A case without a row is a patient of
    its own, and of no known source."""
    known = table[["patient", "source"]].to_numpy(object)
    rows = zip(folders, cases, find_rows(folders, cases, table), strict=True)
    found = [known[i] if i is not None else (f"{UNKNOWN}{folder}/{case}", "") for folder, case, i in rows]
    return np.array([tuple(one) for one in found], object).reshape(-1, 2)


def find_rows(folders: Sequence[str], cases: Sequence[str], table: pd.DataFrame) -> list[int | None]:
    """The number of the row that tells of each case: that of its class and name, else of its name alone; None for none.

    The class is the first part of a case's folder, so that a folder for each patient below it changes nothing. Names
    may differ in upper and lower case and in how accents are written, if that leaves one patient. A row whose class is
    another one of these folders tells of the file there, and nothing of a namesake here. A name that stands for several
    patients in other classes tells nothing. Pairs of the authors' own code keep the suffix of their radiograph,
    JPCLN003.jpg; tables do not.
    """
    here = {_class(folder) for folder in folders}
    known, taken = defaultdict(set), set()
    columns = table[["case", "class", "patient", "source"]].itertuples(index=False)
    for i, (case, folder, patient, source) in enumerate(columns):
        kind = patients.same_letters(folder)
        for name in _ways(case):
            known[kind, name].add((patient, source, i))
            known[None, name].add((patient, source, i))
            if kind in here:
                taken.add((None, name))
    found = []
    for folder, case in zip(folders, cases, strict=True):
        names = _ways(radiograph.case_of(case))
        choices = [(kind, name) for kind in (_class(folder), None) for name in names]
        rows = next((known[key] for key in choices if key in known and key not in taken), set())
        same = len({patient for patient, *_ in rows}) == 1
        found.append(min(rows)[2] if same else None)
    return found


def classes_of(cases: Sequence[str], table: pd.DataFrame) -> list[list[str]]:
    """The classes under which the table has the name of each case, in any letters; none where it has no such name."""
    found = defaultdict(set)
    for name, kind in zip(table["case"], table["class"], strict=True):
        found[patients.same_letters(name)].add(kind or "none")
    return [sorted(found[patients.same_letters(radiograph.case_of(case))]) for case in cases]


def _ways(name: str) -> tuple[tuple[str, str], ...]:
    """A name as it stands, and by its letters alone."""
    return ("exact", name), ("letters", patients.same_letters(name))


def _class(folder: str) -> str:
    return patients.same_letters(folder.split(os.sep)[0])
