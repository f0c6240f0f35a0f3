"""Measure lungs and heart of every pair, and compare the classes, patient by patient.

    python classification/biomarkers.py                       the pairs in dir_pairs, one folder per class
    python classification/biomarkers.py -i FOLDER -o OUTPUT   other pairs, with or without class folders
    python classification/biomarkers.py --within-source       also compare within every single source
    python classification/biomarkers.py --pictures            with the two widths of the cardiothoracic ratio drawn

Writes biomarkers.csv (one row per case), comparisons.csv (Kruskal-Wallis, Mann-Whitney with Holm's correction, Cliff's
delta with its interval) and box plots by class. Patients and sources come from split.csv, else from file_metadata.
Cases that were measured before are skipped unless their pair or the settings have changed.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd
from tqdm import tqdm

from classification import header
from classification.cases import classes as class_names
from classification.cases import finder
from classification.measuring import contrasts, measures
from classification.splitting import known
from cxr import digest, pairs, tables, writing
from cxr.errors import BadData
from cxr.run import engine, journal, lock
from cxr.settings import config

ABOUT = ["case", "folder", "label", "patient", "source", "status", "reason"]
DECISIVE = ["seed", "repeat", "sampling", "img_size", "patch_size"]  # settings that a measurement depends on


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", metavar="FOLDER", help="pairs, in class folders or not (default: dir_pairs)")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: biomarkers in the folder of pairs")
    told = "also compare within every single source, where classes differ in disease and not in hospital"
    parser.add_argument("--within-source", action="store_true", help=told)
    parser.add_argument("--unflagged", action="store_true", help="compare only cases whose mask is not flagged")
    parser.add_argument("--pictures", action="store_true", help="draw both widths on every radiograph")
    parser.add_argument("--overwrite", action="store_true", help="measure every case again")
    settings, options = config.load(header, parser=parser)
    root = Path(options.input or settings.dir_pairs).absolute()
    output = Path(options.output).absolute() if options.output else root / "biomarkers"
    with opening.asked():
        for name in ("img_size", "patch_size", "repeat"):
            if getattr(settings, name) < 1:
                raise ValueError(f"{name}={getattr(settings, name)} is too small; give 1 or more.")
        cases, names, own, skipped = find_cases(root, settings.classes)
        radiographs, told = known.masks(cases, [root], settings)
        segmented = known.masks_table(root, settings) is not None
        people, notes = known.people(cases, [root], settings)
        if options.unflagged and not segmented:
            raise ValueError(
                f"--unflagged needs masks.csv, and there is none beside {root}; segment with "
                "segmentation/inference.py, or leave out the flag."
            )
    notes += skipped + told
    if own:
        notes.append(f"no class in header.py takes {', '.join(own)}: each of these folders is a class of its own here")
    if not segmented:
        notes.append("there is no masks.csv, so the quality of the masks and the pixel spacing are unknown")
    print(f"{len(cases)} cases in {root}")

    lock.take(output / lock.NAME)
    file = output / "biomarkers.csv"
    pictures = output / "pictures" if options.pictures else None
    done = finished(file, cases, settings, options.overwrite, pictures)
    todo = [case for case in cases if (case.folder, case.case) not in done]
    work = partial(measure, settings=settings, pictures=pictures)
    with journal.writer(file, 0) as write, ThreadPoolExecutor(max(settings.num_workers, 1)) as pool:
        for row in tqdm(pool.map(work, todo), "cases", total=len(todo)):
            write(row)
    table = complete(journal.merge(file, ABOUT), cases, names, people, radiographs)
    writing.csv(file, table)

    wanted = table[(table.status == "ok") | (table.status == "flagged") & (not options.unflagged)]
    for note in notes + contrasts.remarks(table, wanted, options.unflagged):
        print(f"Note: {note}.")
    written = ["biomarkers.csv"]
    if wanted.label.any():
        written += contrasts.compare(wanted[wanted.label != ""], names, output, options.within_source, settings.seed)
    for reason in table.reason[table.status == "failed"]:
        print(f"failed: {reason}")
    counts = {status: int((table.status == status).sum()) for status in ("ok", "flagged", "failed")}
    print(
        f"\n{counts['ok']} ok, {counts['flagged']} flagged, {counts['failed']} failed ({len(done)} were measured "
        "before)."
    )
    own_pairs = [f"dir_pairs={root}"] if options.input or "dir_pairs" in settings._typed else []
    print(
        f"Wrote {output}: {', '.join(written)}{', pictures' if pictures else ''}. Next: look at the box plots, then "
        + config.command("classification/split.py", settings, ("dir_split", "file_metadata", "classes"), *own_pairs)
    )
    sys.exit(1 if counts["failed"] else 0)


def find_cases(root: Path, classes: list[str]) -> tuple[list[finder.Case], list[str], list[str], list[str]]:
    """The pairs in root with their class, the names of the classes, the folders that the header's classes lack and
    that become classes of their own, and what was passed over. Pairs directly in root have no class. Raises BadData."""
    found = finder.find([root])
    every = finder.in_order([*found.cases, *found.halves])  # a half pair becomes a row with its reason
    folders = {finder.top(case) for case in every if case.place != root}
    classes, own = class_names.with_own(classes, folders)
    names, index = class_names.class_map(classes, folders)
    cases = [old if old.place == root else new for old, new in zip(every, finder.labelled(every, index), strict=True)]
    return cases, names if folders else [], own, found.notes


def finished(file: Path, cases: list[finder.Case], settings, overwrite: bool, pictures: Path | None) -> set:
    """(folder, case) of the cases that biomarkers.csv holds already, measured as now; the others lose their rows.

    A case is measured again if it failed, if its pair is another than the one measured, and, where pictures are wanted,
    if it has none. All cases are if the settings differ from biomarkers.json, which is then replaced.
    """
    told, now = file.with_suffix(".json"), {name: getattr(settings, name) for name in DECISIVE}
    try:
        same = tables.json(told) == now
    except (FileNotFoundError, BadData):
        same = False
    rows = journal.merge(file, ABOUT)
    done = {(f, c) for f, c, s in zip(rows.folder, rows.case, rows.status, strict=True) if s != "failed"}
    old = [case for case in cases if (case.folder, case.case) in done] if same and not overwrite else []
    old = [case for case in old if pictures is None or picture_file(pictures, case).exists()]
    pair = {(c.folder, c.case): (content,) for c, content in zip(old, digest.of_pairs(old), strict=True)}
    done = pair.keys() - journal.outdated(rows, pair)
    # Forget them first: if the run is killed, no row of an older pair must count as new.
    journal.merge(file, ABOUT, set(zip(rows.folder, rows.case, strict=True)) - done)
    writing.json(told, now)
    return done


def measure(case: finder.Case, settings, pictures: Path | None) -> dict:
    """The numbers of one case, with status and reason if they cannot be had; and its picture, if wanted."""
    row = {"case": case.case, "folder": case.folder, "status": "ok", "reason": ""}
    row["digest"] = digest.of_pair(case.place, case.case)
    try:
        image, mask = pairs.load(case.place, case.case)
        labels = pairs.load_labels(case.place, case.case)
        # The draw is the vote's, so that the spread is that of the patches which vote.
        rng = engine.generator(settings.seed, "vote", case.case)
        row |= measures.measure(image, mask, labels, settings, rng)
    except pairs.BadPair as fault:
        return row | {"status": "failed", "reason": str(fault)}
    except ValueError as fault:
        return row | {"status": "failed", "reason": f"{case.case}: {fault}"}
    if pictures:
        writing.picture(picture_file(pictures, case), measures.picture(image, mask, labels))
    return row


def picture_file(pictures: Path, case: finder.Case) -> Path:
    return pictures / case.folder / f"{case.case}.widths.png"


def complete(rows: pd.DataFrame, cases, names, people, radiographs) -> pd.DataFrame:
    """biomarkers.csv: a row a case of today, with what other tables know of it now."""
    about = pd.DataFrame([(case.case, case.folder) for case in cases], columns=["case", "folder"])
    about["label"] = ["" if case.label is None else names[case.label] for case in cases]
    about[["patient", "source"]] = people
    rows = rows.drop(columns=["label", "patient", "source"], errors="ignore")
    table = about.merge(rows, on=["folder", "case"]).reindex(columns=[*ABOUT, *measures.COLUMNS, "digest"])
    found = table.to_dict("records")
    for row in found:
        radiograph = radiographs.get((row["folder"], row["case"]), {})
        if row["status"] != "failed":
            flagged = radiograph.get("status") == "flagged"
            row["status"], row["reason"] = ("flagged", radiograph["reason"]) if flagged else ("ok", "")
        row |= measures.square_millimetres(row, radiograph.get("spacing_mm"))
    return pd.DataFrame(found, columns=table.columns)


if __name__ == "__main__":
    main()
