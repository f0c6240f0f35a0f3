"""Look at {train,val,test} folders, made by hand or by split.py: what is in them, and what crosses between them."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from classification.cases import dataset
from classification.cases.dataset import BadData, Case
from classification.splitting import survey
from classification.splitting.parts import PARTS
from cxr import pairs


def look(root: Path, settings, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str], pd.DataFrame]:
    """Rows of the pairs below root with their part, names of the classes, findings as sentences, and what is unusable.

    Reads every pair and changes nothing. Raises BadData where training cannot use the folders: a part or a class
    missing from one, a folder that no class names.
    """
    rows, names = find_cases(root, settings)
    places = {place: part for place, part in zip(rows.place, rows.part, strict=True)}
    cases = [Case(*row) for row in rows[list(Case._fields)].itertuples(index=False)]
    known, left_out = survey.survey(cases, table, settings.duplicate_distance, settings.num_workers)
    known["part"] = known.place.map(places)
    return known, names, crossings(known), left_out


def find_cases(root: Path, settings) -> tuple[pd.DataFrame, list[str]]:
    """The pairs of the three parts as rows of part and Case's fields, and the names of the classes. Raises BadData."""
    folders = {part: dataset.find_folders(root / part) for part in PARTS}
    names, index = dataset.class_map(settings.classes, sorted(set().union(*folders.values())))
    rows = [
        (part, case, folder, root / part / folder, index[folder])
        for part in PARTS
        for folder in folders[part]
        for case in pairs.find(root / part / folder)
    ]
    frame = pd.DataFrame(rows, columns=["part", *Case._fields])
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
    return frame, names


def look_quickly(root: Path, settings, table: pd.DataFrame | None) -> list[str]:
    """A sentence for each way in which parts made by hand share names or patients, and one if patients are not known.

    table: patients, as cohort.read() gives them; None looks for names only. Reads no pair, so that near-duplicates are
    left to look(), and asks of the parts no more than a training does: test may be missing.
    """
    command = ["python", "classification/split.py", "--check", f"dir_split={root}"]
    command += [f"file_metadata={settings.file_metadata}"] if "file_metadata" in settings._typed else []
    command += [f"classes={','.join(settings.classes) or '[]'}"] if "classes" in settings._typed else []
    there = [part for part in PARTS if (root / part).is_dir()]
    rows = pd.DataFrame(
        [
            (part, case, folder)
            for part in there
            for folder in dataset.find_folders(root / part)
            for case in pairs.find(root / part / folder)
        ],
        columns=["part", "case", "folder"],
    )
    better = ": results will look better than they are"
    if len(there) == len(PARTS):
        better += f"; `{shlex.join(command)}` tells more"
    found = [_sentence(rows.assign(image=rows.folder + "/" + rows.case), "image", root, better)]
    if table is not None and len(rows):
        rows["patient"] = survey.find_patients(rows.folder, rows.case, table)[:, 0]
        known = rows[~rows.patient.str.startswith(survey.UNKNOWN)]
        found.append(_sentence(known, "patient", root, better))
        if len(known) < len(rows):
            found.append(
                f"the patients of {len(rows) - len(known)} of the {len(rows)} images in {root} are not known, "
                "and so not whether they stand in two parts; name a table with file_metadata=FILE.csv "
                "(columns case, class, patient)"
            )
    return [sentence for sentence in found if sentence]


def _sentence(rows: pd.DataFrame, column: str, root: Path, consequence: str) -> str:
    several = _spread(rows, column)
    if not len(several):
        return ""
    where = " and ".join(part for part in PARTS if part in set(rows.part[rows[column] == several[0]]))
    verb = "s stand" if len(several) > 1 else " stands"
    return f"{len(several)} {column}{verb} in two parts of {root}, as {several[0]} in {where}{consequence}"


def _spread(rows: pd.DataFrame, column: str) -> pd.Index:
    """The values of a column that are in more than one part."""
    parts = rows.groupby(column)["part"].nunique()
    return parts.index[parts > 1]


def crossings(rows: pd.DataFrame) -> list[str]:
    """A sentence for each way in which parts share what should be in one: names, patients, near-duplicates."""
    found, rows = [], rows.assign(name=rows.folder + "/" + rows.case)
    kinds = (
        ("name", "names", "the same name"),
        ("patient", "patients", "the same patient"),
        ("film", "near-duplicates", "a near-duplicate"),
    )
    for column, plural, same in kinds:
        several = _spread(rows, column)
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
