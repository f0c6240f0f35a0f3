"""Which file becomes which case, and masks.csv: a row a case, written by several processes and through kills."""

import json
import os
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxr import pairs, radiograph

OVERLAY = ".overlay.png"
# Only these are cut off a name: a DICOM file called 1.2.840.10008 keeps its last number.
_SUFFIXES = {".img", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom", ".jp2"}


class BadInput(ValueError):
    """Nothing can be segmented; the message says why and what to do."""


@dataclass(frozen=True)
class Job:
    """One radiograph and the names of what it becomes: `place`/`case`.image.npy, in the subfolder `folder`."""

    file: Path
    folder: str
    case: str
    place: Path

    @property
    def key(self) -> tuple[str, str]:
        return self.folder, self.case


def plan(inputs: list, output: Path) -> tuple[list[Job], list[Path]]:
    """The jobs of some files and folders, sorted, and the files passed over. Raises BadInput if there are none, or if
    two would write the same output."""
    jobs, passed_over = {}, []
    for given in map(Path, inputs):
        try:
            files, others = radiograph.find([given])
        except FileNotFoundError as error:
            raise BadInput(f"{error} Name radiographs or folders with -i, or as dir_input in header.py.") from None
        passed_over += others
        for file in files:
            if _is_overlay(file):  # the output may lie among the input
                passed_over.append(file)
                continue
            folder, case = _folder(file, given), case_name(file)
            jobs[file.absolute()] = Job(file, folder, case, output / folder)
    if not jobs:
        raise BadInput(f"there are no radiographs in {', '.join(map(str, inputs))}.")
    places = defaultdict(list)
    for job in jobs.values():
        places[job.place / job.case].append(str(job.file))
    twice = [files for files in places.values() if len(files) > 1]
    if twice:
        raise BadInput(
            f"{len(twice)} outputs would be written by more than one input, for example {' and '.join(twice[0][:3])}: "
            "rename one, or segment them into different folders with -o. Nothing was written."
        )
    return sorted(jobs.values(), key=lambda job: (job.folder, job.case)), passed_over


def case_name(file: Path) -> str:
    """What a radiograph's outputs are named after: its name without a suffix that tells a format."""
    return file.stem if file.suffix.lower() in _SUFFIXES else file.name


def _is_overlay(file: Path) -> bool:
    case = file.name.removesuffix(OVERLAY)
    return case != file.name and pairs.is_complete(file.parent, case)


def _folder(file: Path, given: Path) -> str:
    """The class folder of a file: its place below the folder given, or that folder's own name."""
    if file == given:
        return "."
    below = file.parent.relative_to(given)
    return str(below) if below.parts else Path(os.path.abspath(given)).name  # abspath, or `..` would be a name


def finished(output: Path) -> set[tuple[str, str]]:
    """The cases that have a row without failure and a whole pair."""
    if not (output / "masks.csv").exists():
        return set()
    rows = _read_csv(output / "masks.csv")
    rows = rows[rows.status != "failed"]
    return {(f, c) for f, c in zip(rows.folder, rows.case, strict=True) if pairs.is_complete(output / f, c)}


@contextmanager
def journal(output: Path, rank: int):
    """A function that adds a row to this process's own journal at once, so that a kill loses no finished case."""
    output.mkdir(parents=True, exist_ok=True)
    with open(output / f"masks.{rank}.jsonl", "a") as file:

        def write(row: dict) -> None:
            file.write(json.dumps(row) + "\n")
            file.flush()

        yield write


def merge(output: Path, forget: set[tuple[str, str]] = frozenset()) -> pd.DataFrame:
    """Fold the journals into masks.csv, the newest row of a case counting, and return it sorted by folder and case.

    Cases to `forget` lose their rows, and with them the mark of being finished.
    """
    path = output / "masks.csv"
    tables = [_read_csv(path)] if path.exists() else []
    journals = sorted(output.glob("masks.*.jsonl"))
    for file in journals:
        tables.append(pd.DataFrame(_lines(file)))
    tables = [table for table in tables if len(table)]
    if tables:
        rows = pd.concat(tables, ignore_index=True).drop_duplicates(["folder", "case"], keep="last")
        rows = rows[[key not in forget for key in zip(rows.folder, rows.case, strict=True)]]
        rows = rows.sort_values(["folder", "case"], ignore_index=True).convert_dtypes()  # whole numbers look whole
        fresh = path.with_name("masks.csv.tmp")
        rows.to_csv(fresh, index=False)
        os.replace(fresh, path)
    for file in journals:
        file.unlink()
    return _read_csv(path) if tables else pd.DataFrame(columns=["case", "folder", "file", "status", "reason"])


def _lines(file: Path) -> list[dict]:
    rows = []
    for line in file.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the line that a kill cut short: its case is segmented again
            break
    return rows


def _read_csv(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)  # a case may be called NA or 007: names stay text
    for column in rows.columns.difference(["case", "folder", "file", "status", "reason"]):
        rows[column] = pd.to_numeric(rows[column])
    return rows
