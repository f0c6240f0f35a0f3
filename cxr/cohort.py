"""Who is on the radiographs: metadata.xls, or a table of one's own as .csv, read as one DataFrame."""

import os
import re
from pathlib import Path

import pandas as pd
import xlrd

from cxr import patients, tables
from cxr.errors import BadData, BadTable
from cxr.reading.radiograph import case_of

# How metadata.xls spells a class, and the folder its radiographs lie in. In rows of any other source than its four, a
# class is a folder's own name.
FOLDER_OF_CLASS = {
    "Normal": "normal",
    "bacteria": "bacteria",
    "TB": "Tuberculosis",
    "Virus": "virus",
    "COVID-19": "COVID-19",
}
COLUMNS = ("case", "class", "patient", "source", "file", "view", "sex", "age", "offset", "finding", "license")

_NOBODY = {"nan", "na", "n/a", "none", "null", "unknown", "-", "--", "?"}  # how tables write an unknown patient
_OTHER_NAMES = {"file": "filename", "patient_id": "patientid"}
_WORKBOOK, _ZIP = b"\xd0\xcf\x11\xe0", b"PK"  # how .xls and .xlsx files begin


def read(path: str | Path) -> pd.DataFrame:
    """The table in `path` as a DataFrame of str, "" where unknown, one row a row of the table, with COLUMNS.

    path: a workbook (.xls) as metadata.xls, all sheets one after the other, or a .csv. Columns, upper and lower case
    alike: `case`, `path` or `filename` (or `file`), one of them at least; `class`, `patient` or `patientid`, `source`,
    `offset`, `sex`, `age`, `finding`, `view`, `license`, where known; any others are passed over. Without `class` it is
    the folder in which `path` lies; a sheet without `source` is named after its source. Ids in `patient` are taken as
    they are, those in `patientid` by the rule of the source; nan, NA, none, unknown, - and ? are nobody's id.

    case is the radiograph's name without suffix; class the folder of its class, in rows of the published sources by
    FOLDER_OF_CLASS; patient "<source>:<id>"; file what the table names: with a column `path` (attrs["paths"] is True) a
    path relative to the table's folder, "" for a radiograph that is not there, otherwise a file's name. attrs["notes"]
    lists what a person should know, sentences. Rows of one radiograph under two sources have one patient. Raises
    BadTable, FileNotFoundError.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no table {path}; name a metadata.xls or a .csv with case, class, patient.")
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == _ZIP:
        raise BadTable(f"{path} is an .xlsx or another archive; save it as .csv.")
    parts = _workbook(path) if head == _WORKBOOK else _text(path)
    rows, paths = [], False
    for place, default_source, names, lines in parts:
        names = [_OTHER_NAMES.get(name.strip().lower(), name.strip().lower()) for name in names]
        _check_names(place, names)
        paths |= "path" in names
        for number, cells in lines:
            rows.append(_row(f"{place}, row {number}", dict(zip(names, cells, strict=True)), default_source))
    if not rows:
        raise BadTable(f"{path} holds no rows below its column names; add one a radiograph.")
    alone = patients.resolve(path, rows)
    absent = sum(row["file"] == "" for row in rows) if paths else 0
    notes = []
    if alone:
        notes.append(
            f"{path.name} tells no patient for {alone} of {len(rows)} radiographs: each of these counts as a "
            "patient of its own"
        )
    if absent:
        notes.append(f"{path.name} has {absent} of {len(rows)} rows without a path: radiographs that are not there")
    frame = pd.DataFrame({name: [row[name] for row in rows] for name in COLUMNS}, dtype=str)
    frame.attrs.update(paths=paths, notes=notes)
    return frame


def _row(place: str, cells: dict[str, str], default_source: str) -> dict[str, str]:
    """A row's cells, a dict by column, as a dict by COLUMNS; patient is the bare id, "" if it is not known."""
    row = {name: cells.get(name, "") for name in COLUMNS}
    name = cells.get("path") or cells.get("filename") or cells.get("case", "")
    row["file"] = cells.get("path", cells.get("filename", "")).replace("\\", "/")
    row["case"] = case_of(cells.get("case") or name)
    if "class" not in cells and "/" in row["file"]:
        row["class"] = row["file"].split("/")[-2]
    row["source"] = row["source"] or default_source
    if row["source"] and row["source"] == patients.known_set(row["source"]):
        row["class"] = FOLDER_OF_CLASS.get(row["class"], row["class"])
    for column in ("age", "offset"):
        row[column] = _whole(row[column])
    for what in ("case", "class"):
        if any(character in row[what] for character in "/\\\0") or row[what] in (".", ".."):
            raise BadTable(
                f"{place}: {row[what]!r} cannot be the name of a {what}, which names files and folders; rename it."
            )
    if not row["case"]:
        raise BadTable(f"{place} names no radiograph; fill in its file name, or delete the row.")
    told, numbered = (_somebody(cells.get(column, "")) for column in ("patient", "patientid"))
    row["patient"] = told or patients.by_source(row["source"], name, numbered)
    return row


def _somebody(cell: str) -> str:
    """The id in a cell, "" where the cell says that nobody knows it."""
    cell = _whole(cell)
    return "" if cell.lower() in _NOBODY else cell


def _check_names(place: str, names: list[str]) -> None:
    if not {"case", "path", "filename"} & set(names):
        raise BadTable(
            f"{place} has none of the columns case, path and filename, but {', '.join(names) or 'nothing'}; "
            "name one so, and separate columns by commas."
        )
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise BadTable(f"{place} has the column {min(twice)} twice; delete or rename one.")


def _text(path: Path) -> list[tuple]:
    """A .csv as one part: (place, source, column names, (row number, cells))."""
    try:
        names, rows, _ = tables.lines(path, path.read_bytes().decode("utf-8-sig"))
    except (UnicodeDecodeError, BadData) as error:
        raise BadTable(f"{path} is not a table of text ({error}); save it as .csv in UTF-8.") from None
    names, rows = [name.strip() for name in names], [(n, [cell.strip() for cell in line]) for n, line in rows]
    for number, line in rows:
        if len(line) > len(names):
            raise BadTable(
                f"{path}, row {number} has {len(line)} cells for {len(names)} columns; put cells that hold "
                "a comma in quotes."
            )
        line += [""] * (len(names) - len(line))
    return [(str(path), "", names, rows)]


def _workbook(path: Path) -> list[tuple]:
    """A workbook's sheets that are not empty, as _text gives its one; xlrd is used here and nowhere else."""
    try:
        with open(os.devnull, "w") as quiet:
            book = xlrd.open_workbook(path, logfile=quiet)
        sheets = [(sheet.name, [[_cell(cell) for cell in sheet.row(i)] for i in range(sheet.nrows)]) for sheet in book]
    except Exception as error:  # a broken workbook makes xlrd raise whatever it stumbles over
        raise BadTable(f"{path} is not a workbook that can be read ({error}); save it as .csv.") from error
    found = []
    for name, lines in sheets:
        rows = [(number, line) for number, line in enumerate(lines[1:], 2) if any(line)]
        found += [(f"{path}, sheet {name}", name, lines[0], rows)] if lines else []
    return found


def _cell(cell: xlrd.sheet.Cell) -> str:
    if cell.ctype in (xlrd.XL_CELL_TEXT, xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE):
        return _whole(str(cell.value).strip())
    return ""


def _whole(text: str) -> str:
    """Text without the .0 that tables give whole numbers."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text.strip())
