"""Which file becomes which case, and masks.csv: a row a case, written by several processes and through kills."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cxr import digest, pairs
from cxr.errors import BadInput
from cxr.reading import radiograph
from cxr.run import journal as journals

MASKS = "masks.csv"
OVERLAY, LABELS = ".overlay.png", ".labels.png"  # pictures beside the pair
TEXT = ("case", "folder", "file", "status", "reason", "view")


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
    """The jobs of some files and folders, sorted, and the files passed over. Of files that differ in their suffix alone
    the suffix stays in the name of the case; a file that masks.csv in the output knows keeps its case's name. Raises
    BadInput if there are none, or if two would write the same output all the same."""
    jobs, passed_over = {}, []
    for given in map(Path, inputs):
        try:
            files, others = radiograph.find([given])
        except FileNotFoundError as error:
            raise BadInput(f"{error} Name radiographs or folders with -i, or as dir_input in header.py.") from None
        passed_over += others
        for file in files:
            if _is_ours(file):  # the output may lie among the input
                passed_over.append(file)
                continue
            folder, case = radiograph.legible(_folder(file, given)), radiograph.case_of(file.name)
            jobs[file.absolute()] = Job(file, folder, case, output / folder)
    if not jobs:
        raise BadInput(f"there are no radiographs in {', '.join(map(str, inputs))}.")
    rows = journals.known(output / MASKS, TEXT)
    found = _told_apart(jobs.values(), dict(zip(zip(rows.folder, rows.file, strict=True), rows.case, strict=True)))
    twice = [[str(job.file) for job in alike] for alike in _alike(found) if len(alike) > 1]
    if twice:
        raise BadInput(
            f"{len(twice)} outputs would be written by more than one input, for example {' and '.join(twice[0][:3])}: "
            "rename one, or segment them into different folders with -o. Nothing was written."
        )
    return sorted(found, key=lambda job: (job.folder, job.case)), passed_over


def _told_apart(jobs: Iterable[Job], noted: dict[tuple[str, str], str]) -> list[Job]:
    """The jobs; those of files that differ in their suffix alone are called by their whole name, as case.png. A file
    keeps the name that an earlier run gave it, with or without the other file; noted: cases by folder and file."""
    found = []
    for alike in _alike(jobs):
        for job in alike:
            case = radiograph.legible(job.file.name) if len(alike) > 1 else job.case
            found.append(replace(job, case=noted.get((job.folder, radiograph.legible(str(job.file.absolute()))), case)))
    return found


def _alike(jobs: Iterable[Job]) -> list[list[Job]]:
    """The jobs by what they would write."""
    places = defaultdict(list)
    for job in jobs:
        places[job.place / job.case].append(job)
    return list(places.values())


def _is_ours(file: Path) -> bool:
    case = file.name.removesuffix(OVERLAY).removesuffix(LABELS)
    return case != file.name and pairs.is_complete(file.parent, case)


def _folder(file: Path, given: Path) -> str:
    """The class folder of a file: its place below the folder given, or that folder's own name."""
    if file == given:
        return "."
    below = file.parent.relative_to(given)
    return str(below) if below.parts else Path(os.path.abspath(given)).name  # abspath, or `..` would be a name


def nested(inputs: list, jobs: list[Job]) -> list[str]:
    """A sentence without its full stop where several folders are given and radiographs lie in folders below them, which
    alone stay in the output: of classes with a folder a patient, the class is lost."""
    given = [Path(one) for one in inputs if Path(one).is_dir()]
    below = sorted({Path(job.folder).parts[0] for job in jobs if job.folder != "." and job.file.parent not in given})
    if len(given) < 2 or not below:
        return []
    names = " and ".join(radiograph.legible(Path(os.path.abspath(one)).name) for one in given[:2])
    return [
        f"radiographs in folders below those given are sorted by these, as {below[0]}, and not by {names}: if those "
        "are the classes, give the folder that holds them"
    ]


def outdated(output: Path, jobs: list[Job], made: str) -> set[tuple[str, str]]:
    """The cases of the jobs whose radiograph is another than the one they were made from, or whose weights or settings
    are. Raises BadInput where that one is a radiograph of another place, whose pair would be lost."""
    rows = journals.known(output / MASKS, TEXT)
    told = rows.reindex(columns=[*journals.KEY, "digest"], fill_value="")  # tables of before do not tell
    telling = {(row.folder, row.case) for row in told.itertuples() if row.digest}
    files = {(row.folder, row.case): row.file for row in rows[rows.status != "failed"].itertuples()}
    again = [job for job in jobs if job.key in files]
    now = dict(zip([job.key for job in again], digest.of_files(job.file for job in again), strict=True))
    changed = journals.outdated(rows, {key: (content,) for key, content in now.items()})
    others = [job for job in again if job.key in changed & telling and not _is_file(job.file, files[job.key])]
    if others:
        raise BadInput(
            f"{len(others)} outputs were made from other radiographs, for example {others[0].folder}/{others[0].case} "
            f"from {files[others[0].key]} and not {others[0].file}: give another folder with -o, or --overwrite to "
            "lose the old ones. Nothing was written."
        )
    return changed | journals.outdated(rows, {key: (content, made) for key, content in now.items()})


def _is_file(file: Path, noted: str) -> bool:
    return noted == radiograph.legible(str(file.absolute()))


def finished(output: Path) -> set[tuple[str, str]]:
    """The cases that have a row without failure and a whole pair."""
    return {(f, c) for f, c in journals.finished(output / MASKS, TEXT) if pairs.is_complete(output / f, c)}


def journal(output: Path, rank: int):
    """A context with the function that adds a row to this process's journal of masks.csv."""
    return journals.writer(output / MASKS, rank)


def merge(output: Path, forget: set[tuple[str, str]] = frozenset()) -> pd.DataFrame:
    """Fold the journals into masks.csv but for the cases to `forget`, and return it sorted by folder and case."""
    return journals.merge(output / MASKS, TEXT, forget)
