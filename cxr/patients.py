"""Whose a radiograph is, by its source, its name and the id that a table gives.

A patient is known by source *and* id, because every source counts from 1. Where the id is found depends on the source:
Cohen's collection has a column for it, the Kermany set tells it in file names (its `patientid` in the published table
is a row number), Montgomery and JSRT have one radiograph a patient.
"""

import re
import unicodedata
from pathlib import Path

from cxr.errors import BadTable
from cxr.reading.radiograph import case_of

_SET_OF_SOURCE = {
    "cohen": "Cohen et al",
    "cohen et al": "Cohen et al",
    "kermany": "CoronaHack",
    "coronahack": "CoronaHack",
    "jsrt": "JSRT",
    "montgomery": "NLM(MC)",
    "nlm(mc)": "NLM(MC)",
}
_KERMANY = re.compile(r"(person\d+)_|(NORMAL2-IM-\d+)(?!\d)|(IM-\d+)(?!\d)|((?:NORMAL|BACTERIA|VIRUS)-\d+)-\d+", re.I)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


def kermany_patient(name: str) -> str | None:
    """The patient in the name of a file of the Kermany set, as person12, IM-0379 or NORMAL2-IM-0441; None if none is.

    IM- and NORMAL2-IM- number patients independently. A person's bacterial and viral images, which may or may not be
    of one child, count as one patient: that way no doubt leads to a patient in training and test.
    """
    match = _KERMANY.match(case_of(name))
    return match[match.lastindex] if match else None


def same_letters(name: str) -> str:
    """A name as one compares it: accents composed (a Mac's are not), upper and lower case alike."""
    return unicodedata.normalize("NFC", name).casefold()


def is_unique(case: str) -> bool:
    """Whether a case has a name that occurs once on earth."""
    return bool(_UUID.fullmatch(case))


def known_set(source: str) -> str | None:
    """The published cohort's name of a source, as "CoronaHack" for "kermany"; None for any other."""
    return _SET_OF_SOURCE.get(source.lower())


def by_source(source: str, name: str, patientid: str) -> str:
    """The bare id of a patient by the rule of the source: that of the file's name, or `patientid`; "" if not known."""
    known = known_set(source)
    if known == "CoronaHack":
        return kermany_patient(name) or ""
    if known in ("JSRT", "NLM(MC)"):
        return case_of(name)
    return patientid


def resolve(path: Path, rows: list[dict[str, str]]) -> int:
    """Turn each row's bare id into its patient; returns how many rows are left with a patient made up for them."""
    made_up = []
    for row in rows:
        name = known_set(row["source"]) or row["source"]
        known = row["patient"] or row["case"]
        made_up.append(not row["patient"])
        row["patient"] = f"{name}:{known}" if name and not known.startswith(f"{name}:") else known
    before = [row["patient"] for row in rows]
    _join_radiographs(path, rows)
    return sum(new and row["patient"] == old for new, row, old in zip(made_up, rows, before, strict=True))


def _join_radiographs(path: Path, rows: list[dict[str, str]]) -> None:
    """Give the rows of one image one patient: those of a case and class, or of a name that occurs once on earth."""
    taken_for, radiographs = {}, {}

    def root(patient: str) -> str:
        while taken_for.get(patient, patient) != patient:
            patient = taken_for[patient]
        return patient

    for row in rows:
        image = row["case"].lower() if is_unique(row["case"]) else (row["case"], same_letters(row["class"]))
        other = radiographs.setdefault(image, row)
        if other["source"] == row["source"] and other["patient"] != row["patient"]:
            raise BadTable(
                f"{path} has two rows for {row['case']} with the patients {other['patient']} and "
                f"{row['patient']}; correct one, or give the cases different names in a column case."
            )
        taken_for[root(row["patient"])] = root(other["patient"])
    for row in rows:
        row["patient"] = root(row["patient"])
