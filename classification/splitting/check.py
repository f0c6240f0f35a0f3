"""Look at {train,val,test} folders, made by hand or by split.py: what is in them, and what crosses between them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from classification.cases import finder
from classification.cases.finder import PARTS, Case
from classification.splitting import survey
from cxr.errors import BadData


def look(root: Path, settings, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str], pd.DataFrame]:
    """Rows of the pairs below root with their part, names of the classes, findings as sentences, and what is unusable.

    Reads every pair and changes nothing. Raises BadData where training cannot use the folders: a part or a class
    missing from one, a folder that no class names.
    """
    rows, names, halves = find_cases(root, settings)
    places = {place: part for place, part in zip(rows.place, rows.part, strict=True)}
    cases = [Case(*row) for row in rows[list(Case._fields)].itertuples(index=False)]
    known, left_out = survey.survey(cases, table, settings.duplicate_distance, settings.num_workers, halves)
    known["part"] = known.place.map(places)
    return known, names, crossings(known), left_out


def find_cases(root: Path, settings) -> tuple[pd.DataFrame, list[str], list[Case]]:
    """The pairs of the three parts as rows of part and Case's fields, the names of the classes, and the half pairs.
    Raises BadData."""
    found, names, _ = finder.find_classes([root / part for part in PARTS], settings.classes)
    frame = parts_table(dict(zip(PARTS, found, strict=True)))
    missing = [
        f"{part} has no {name}"
        for part in PARTS
        for i, name in enumerate(names)
        if not ((frame.part == part) & (frame.label == i)).any()
    ]
    if missing:
        raise BadData(
            f"{root} lacks classes: {', '.join(missing)}; put at least one pair of each class into each "
            "part, or leave the class out of classes in header.py."
        )
    return frame, names, [case for one in found for case in one.halves]


def parts_table(found: dict[str, finder.Found]) -> pd.DataFrame:
    """The whole pairs of some parts as rows of part and Case's fields."""
    rows = [(part, *case) for part, one in found.items() for case in one.cases]
    return pd.DataFrame(rows, columns=["part", *Case._fields])


def spread(rows: pd.DataFrame, column: str) -> pd.Index:
    """The values of a column that are in more than one part."""
    parts = rows.groupby(column)["part"].nunique()
    return parts.index[parts > 1]


def crossings(rows: pd.DataFrame) -> list[str]:
    """A sentence for each way in which parts share what should be in one: names, patients, near-duplicates."""
    found, rows = [], rows.assign(name=rows.folder + "/" + rows.case)
    kinds = (
        ("name", "names", "the same name"),
        ("patient", "patients", "the same patient"),
        ("radiograph", "near-duplicates", "a near-duplicate"),
    )
    for column, plural, same in kinds:
        several = spread(rows, column)
        if len(several):
            first = rows[rows[column] == several[0]]
            examples = ", ".join(f"{row.part}/{row.folder}/{row.case}" for row in first.head(4).itertuples())
            found.append(
                f"{len(several)} {plural} are in more than one part ({shared(rows, column)} test images have "
                f"{same} in training), for example {examples}"
            )
    return found


def shared(rows: pd.DataFrame, column: str) -> int:
    """How many test images have their patient, or another value of `column`, in training too."""
    trained = set(rows[column][rows.part == "train"])
    return int(rows[column][rows.part == "test"].isin(trained).sum())


def count_table(rows: pd.DataFrame, names: Sequence[str]) -> str:
    """Images, and patients in brackets, of each class in each part, as lines to print."""

    def cell(some):
        return f"{len(some)} ({some.patient.nunique()})"

    chosen = {part: rows[rows.part == part] for part in PARTS} | {"all": rows}
    lines = [["images (patients)", *chosen]]
    for label, name in enumerate(names):
        lines.append([name, *(cell(some[some.label == label]) for some in chosen.values())])
    lines.append(["all", *map(cell, chosen.values())])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )
