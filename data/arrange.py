"""Link downloaded sets into one folder per class, as a table of cases says: data/normal, data/COVID-19 ...

    python data/arrange.py -i DOWNLOADS                          the published cohort, by metadata.xls
    python data/arrange.py -i COHEN KERMANY JSRT --copy          copies instead of links
    python data/arrange.py --metadata mine.csv -o FOLDER         a table of your own: columns path, class, patient

Files are found by source and by name without suffix, in the layouts of the downloads (see data/README.md). A table with
a column `path` names the files itself, relative to its own folder or to one given with -i. A link is a hard link, or a
symbolic link between file systems, or a copy if links are not supported. Existing files are never replaced.

OUTPUT/arrange.csv has one row for each row of the table and says what happened to it. Everything missing, ambiguous or
in the way is also printed, and the exit code is then 1. Run it again after further downloads: what is there stays.
"""

import argparse
import filecmp
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd

from classification import header as classification
from cxr import cohort, patients, version, writing
from cxr.errors import BadTable
from cxr.reading import radiograph
from cxr.run import lock
from cxr.settings import config
from cxr.version import ROOT
from data import downloads
from segmentation import header

FAULTS = ("missing", "ambiguous", "conflict")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", type=Path, default=[], metavar="FOLDER", help="downloaded sets")
    told = "an .xls like metadata.xls, or a .csv (metadata.xls)"
    parser.add_argument("--metadata", type=Path, default=ROOT / "metadata.xls", metavar="TABLE", help=told)
    told = "where the class folders go (data)"
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "data", metavar="FOLDER", help=told)
    parser.add_argument("--copy", action="store_true", help="copy the files instead of linking them")
    version.add_flag(parser)
    args = parser.parse_args()
    for stage in (header, classification):
        config.load(stage, [])  # a mistake in it is told before anything is linked
    try:
        lock.take(args.output / lock.NAME)
        table = arrange(args.metadata, args.input, args.output, args.copy)
    except (OSError, ValueError) as error:
        if opening.disk_fault(error):
            raise
        sys.exit(f"data/arrange.py: {error}")
    report(table, args.output, args.metadata)
    sys.exit(1 if table.status.isin(FAULTS).any() else 0)


def arrange(metadata: str | Path, inputs: Sequence[Path], output: Path, copy: bool = False) -> pd.DataFrame:
    """Put every radiograph of the table `metadata` that is found into `output`/<class>/, and write arrange.csv.

    Returns arrange.csv as a DataFrame: case, status, reason, class, patient, source, file, found. status is linked,
    copied, present (already there), same radiograph (its row stands further up), missing, ambiguous (several files that
    differ) or conflict (another file of that case is in the way). Raises BadTable, FileNotFoundError.
    """
    cases = cohort.read(metadata)
    for note in cases.attrs["notes"]:
        print(f"Note: {note}.")
    if (cases["class"] == "").any():
        raise BadTable(
            f"{metadata} gives no class for {cases.case[cases['class'] == ''].iloc[0]}; add a column "
            "class with the name of the folder for the radiograph."
        )
    for folder in inputs:
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}; give a folder of downloaded radiographs with -i.")
    by_path = cases.attrs["paths"]
    if not inputs and not by_path:
        raise FileNotFoundError(f"{metadata} names files but not their folders; give the folders to search with -i.")
    found = {} if by_path else downloads.index(inputs)
    there, rows = {}, []  # there: the files in the class folders, by class and case
    for case in cases.to_dict("records"):
        if by_path:
            files = downloads.by_path(case["file"], [Path(metadata).parent, *inputs])
        else:
            files = downloads.by_name(case["file"], case["source"], found)
        status, reason, file = place(case, files, output / case["class"], there, copy)
        rows.append(
            {
                "case": case["case"],
                "status": status,
                "reason": reason,
                "class": case["class"],
                "patient": case["patient"],
                "source": case["source"],
                "file": case["file"],
                "found": file,
            }
        )
    table = pd.DataFrame(rows)
    writing.csv(output / "arrange.csv", table)
    return table


def place(
    case: dict[str, str], files: list[Path], folder: Path, there: dict[Path, dict], copy: bool
) -> tuple[str, str, str]:
    """Link the one file of a case into its class folder; returns status, reason and the file.

    case: a row of cohort.read. files: the candidates. there: what lies in each class folder, which is kept up to date:
    {folder: {case: (Path, the row that put it there or None)}}.
    """
    if not files:
        return "missing", "no such file below the given folders" if case["file"] else "the table names no file", ""
    first, *others = files
    if not all(same(first, other) for other in others):
        return "ambiguous", "these files differ: " + ", ".join(map(str, files)), ""
    if folder not in there:
        names = sorted(folder.iterdir()) if folder.is_dir() else []
        there[folder] = {patients.same_letters(radiograph.case_of(file.name)): (file, None) for file in names}
    key = patients.same_letters(case["case"])
    old, row = there[folder].get(key, (None, None))
    one_radiograph = patients.is_unique(case["case"]) or (old and same(old, first))  # two sources may both count from 1
    if row and row["patient"] == case["patient"] and row["source"] != case["source"] and one_radiograph:
        return "same radiograph", f"as {row['file']} of {row['source']}", str(first)
    if old and not same(old, first):
        reason = (
            f"{row['file']} has the same name; give the cases different names in a column case"
            if row
            else f"{old} is another file, or a broken link; move it away, or name this case in a column case"
        )
        return "conflict", reason, str(first)
    if old:
        there[folder][key] = old, case
        return "present", "", str(first)
    target = folder / (case["case"] + first.name[len(radiograph.case_of(first.name)) :])
    how = link(first, target, copy)
    there[folder][key] = target, case
    return how, "", str(first)


def link(file: Path, target: Path, copy: bool) -> str:
    """Make `target` the file, by a hard link, a symbolic one or a copy, whichever works first; returns the status."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for way in [] if copy else [os.link, os.symlink]:
        try:
            way(os.path.realpath(file), target)
        except FileExistsError:
            raise
        except OSError:  # another file system, or one without links
            continue
        return "linked"
    with open(file, "rb") as source, writing.replacing(target) as copied:
        shutil.copyfileobj(source, copied)
    return "copied"


def same(one: Path, other: Path) -> bool:
    """True for two files of the same bytes. A link whose file has gone is the same as nothing."""
    return one.exists() and other.exists() and (one.samefile(other) or filecmp.cmp(one, other, shallow=False))


def known_folders() -> set[str]:
    """The folders that the classes of classification/header.py take, whatever their upper and lower case."""
    return {folder.casefold() for entry in classification.classes for folder in entry.rpartition("=")[2].split("+")}


def report(table: pd.DataFrame, output: Path, metadata: str | Path = ROOT / "metadata.xls") -> None:
    """Print what is at fault, the counts, and the commands that come next; split.py's where it needs `metadata` typed,
    since header.py names the published cohort's."""
    for source, rows in table.groupby("source", sort=False):
        missing = rows[rows.status == "missing"]
        if len(rows) > 1 and len(missing) == len(rows):
            print(f"missing: all {len(rows)} radiographs of {source or 'the table'}")
            rows = rows[rows.status != "missing"]
        for row in rows[rows.status.isin((*FAULTS, "same radiograph"))].itertuples():
            print(f"{row.status}: {row.source + ', ' if row.source else ''}{row.file or row.case} ({row.reason})")
    good = table[table.status.isin(("linked", "copied", "present"))]
    folders = list(dict.fromkeys(good["class"]))
    for folder in folders:
        rows = good[good["class"] == folder]
        print(f"{len(rows.case.unique())} radiographs of {rows.patient.nunique()} patients in {output / folder}")
    print(", ".join(f"{count} {status}" for status, count in table.status.value_counts().items()))
    elsewhere = {(output / folder).resolve() for folder in folders} - {ROOT / folder for folder in header.dir_input}
    places = ["-i", *(str(output.absolute() / folder) for folder in folders)] if elsewhere else []
    commands = [shlex.join(["python", "segmentation/inference.py", *places])]
    if Path(metadata).resolve() != ROOT / "metadata.xls":
        others = {folder.casefold() for folder in folders} - known_folders()
        words = [f"file_metadata={Path(metadata).absolute()}", *["classes=[]"] * bool(others)]
        commands.append(shlex.join(["python", "classification/split.py", *words]))
    if not folders:
        commands = ["python data/arrange.py -i DOWNLOADS with the folders that hold the radiographs"]
    print(f"Wrote {output / 'arrange.csv'}, which says what happened to each row. Next:", *commands, sep="\n")


if __name__ == "__main__":
    main()
