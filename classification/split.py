"""Split pairs into train, val and test, so that each patient is in one split only.

    python classification/split.py                        pairs of dir_pairs to dir_split, as header.py says
    python classification/split.py file_metadata=my.csv   patients of your own images: columns case, class, patient
    python classification/split.py folds=5                five folds, fold1 ... fold5 in dir_split
    python classification/split.py --check                check what dir_split holds, change nothing

Writes dir_split/{train,val,test}/<folder>/ as hard links and dir_split/split.csv. Images of one patient stay together,
and so do near-duplicates. Splits made by hand are checked, used as they are, and never changed.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import pandas as pd

from classification import header
from classification.cases import finder
from classification.splitting import check, parts, plan, survey
from cxr import cohort, writing
from cxr.errors import BadData
from cxr.run import lock
from cxr.settings import config

# What decides a split, beside the pairs and their patients
DECISIVE = ("classes", "split_by", "split_parts", "split_seed", "duplicate_distance", "folds")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check dir_split; exit code 1 if anything crosses")
    parser.add_argument("--overwrite", action="store_true", help="replace another split made by this script")
    settings, options = config.load(header, parser=parser)
    with opening.asked():
        table = patients(settings)
        root = Path(settings.dir_split)
        if not options.check:
            hold(root)
        kind = parts.state(root)
        if options.check or kind == "hand":
            code = look(root, kind, settings, table, options)
        elif kind == "other":
            raise BadData(f"{root} holds something other than a split; name another folder with dir_split=FOLDER.")
        else:
            code = split(root, kind, settings, table, options.overwrite)
    sys.exit(code)


def patients(settings) -> pd.DataFrame:
    """The table of patients, once the settings make sense. Raises ValueError, OSError."""
    plan.check_settings(settings)
    return cohort.read(settings.file_metadata)


def hold(root: Path) -> None:
    """Take the lock of a split until lock.release(). Raises BadRun."""
    lock.take(root.resolve().with_name(f"{root.resolve().name}{lock.NAME}"))


def look(root: Path, kind: str, settings, table: pd.DataFrame, options) -> int:
    """Print what the splits hold and what crosses between them; returns the exit code."""
    if options.overwrite:
        raise BadData(f"{root} holds splits made by hand, which are never changed; name another folder with dir_split.")
    if kind not in ("made", "hand"):
        raise BadData(f"{root} holds no train, val and test to check; make them with python classification/split.py.")
    print_notes(table)
    code = 0
    for one in finder.roots(root):
        rows, names, found, left_out = check.look(one, settings, table)
        print(f"{one}, made by {'hand, used as it is' if kind == 'hand' else 'this script'}:")
        print(check.count_table(rows, names))
        print_unknown(rows, table, settings)
        print_left_out(left_out, "cannot be used")
        for finding in found:
            print(f"Warning: {finding}.")
        # A split made by image on purpose stays usable: only --check treats crossings as a failure.
        code |= bool((found and options.check) or len(left_out))
    print(f"Checked {root}: nothing was changed. Next: {next_step(settings, root)}")
    return code


def split(root: Path, kind: str, settings, table: pd.DataFrame, overwrite: bool = False) -> int:
    """Split the pairs of dir_pairs, write and print; returns the exit code, 1 if there are damaged pairs. Raises
    BadData where root holds another split, which only `overwrite` replaces."""
    print_notes(table)
    rows, names, left_out = plan.gather(settings, table)
    splits = plan.divide_rows(rows, names, settings)
    made_with = {name: config.as_dict(settings)[name] for name in DECISIVE}
    changed = parts.differences(root, splits, made_with) if kind == "made" else []
    if changed and not overwrite:
        words = ("dir_pairs", "file_metadata", *DECISIVE), f"dir_split={root}", "--overwrite"
        raise BadData(
            f"{root} holds another split ({'; '.join(changed)}): name another folder with dir_split, or replace it: "
            f"{config.command('classification/split.py', settings, *words)}"
        )
    if changed and parts.strangers(root):
        raise BadData(
            f"{root} holds files that do not belong to the split, such as {parts.strangers(root)[0]}; move "
            "them away before overwriting it."
        )
    fresh = bool(changed) or kind == "absent"
    about = made_with | {"dir_pairs": config.as_dict(settings)["dir_pairs"]}
    copied = parts.write(root, splits, about, left_out) if fresh else 0
    if not fresh:
        writing.json(root / parts.SETTINGS, about)  # the same pairs may lie elsewhere now

    for name, one in splits.items():
        print("\n".join(filter(None, [name, check.count_table(one, names)])))
        print_shared(one, settings)
    print_joined(rows, settings)
    print_unknown(rows, table, settings)
    if rows.flagged.any():
        print(
            f"{rows.flagged.sum()} pairs are flagged in masks.csv and were kept: look at their overlays and remove "
            "the pairs whose mask is wrong."
        )
    print_left_out(left_out, "left out")
    if copied:
        print(f"{copied} files were copied, since {root} does not support hard links to {settings.dir_pairs}.")
    print(f"Wrote {root}." if fresh else f"{root} already holds this split; nothing was written.", end=" ")
    print(f"Next: {next_step(settings, root)}")
    return int((left_out.status == "broken").any())


def next_step(settings, root: Path) -> str:
    """The command that trains on a split, or on every one of the folds."""
    names = ["classes", "file_metadata", "dir_checkpoint", "test_name", "device"]
    script = "classification/crossval.py" if settings.folds else "classification/train.py"
    return config.command(script, settings, names, f"dir_split={root}")


def print_notes(table: pd.DataFrame) -> None:
    for note in table.attrs.get("notes", ()):
        print(f"Note: {note}.")


def print_unknown(rows: pd.DataFrame, table: pd.DataFrame, settings) -> None:
    """How many images the table does not know, and how many by name alone, with one of these and its classes there."""
    alone = rows[rows.patient.str.startswith(survey.UNKNOWN)]
    classes = survey.classes_of(alone.case, table)
    file, own = settings.file_metadata, "each counts as a patient of its own"
    if absent := sum(not found for found in classes):
        remedy = "add their rows" if "file_metadata" in settings._typed else "name a table with file_metadata=FILE.csv"
        print(
            f"Note: {absent} of {len(rows)} images are not in {file}: {own}. If patients have several images, {remedy} "
            "(columns case, class, patient)."
        )
    if named := [(row, found) for row, found in zip(alone.itertuples(), classes, strict=True) if found]:
        row, found = named[0]
        print(
            f"Note: {len(named)} of {len(rows)} images have their name in {file} under other classes only, or for "
            f"several patients, as {row.folder}/{row.case} (class there: {', '.join(found)}): {own}. A row tells of "
            "the image whose folder is its class."
        )


def print_joined(rows: pd.DataFrame, settings) -> None:
    """How many near-duplicates there are, which of them contradict each other, and whether one group swallows many."""
    size = rows.groupby("radiograph")["case"].transform("size")
    if not (size > 1).any():
        return
    print(
        f"{(size > 1).sum()} images have a near-duplicate (perceptual hashes differ in at most "
        f"{settings.duplicate_distance} of 256 bits)."
    )
    for _, radiograph in rows[rows.groupby("radiograph")["label"].transform("nunique") > 1].groupby("radiograph"):
        names = ", ".join(f"{row.folder}/{row.case}" for row in radiograph.head(4).itertuples())
        print(f"Warning: near-duplicates in several classes: {names}.")
    if size.max() > max(10, len(rows) / 20):
        print(f"Warning: {size.max()} images are linked as near-duplicates; duplicate_distance may be too large.")


def print_left_out(left_out: pd.DataFrame, what: str) -> None:
    for row in left_out.itertuples():
        print(f"{what}: {row.folder}/{row.case}: {row.reason}")


def print_shared(rows: pd.DataFrame, settings) -> None:
    """For a split by image, how many test images are not new to the training."""
    if settings.split_by == "image":
        tested = int((rows.part == "test").sum())
        print(
            f"Split by image: {check.shared(rows, 'patient')} of {tested} test images share a patient with training, "
            f"{check.shared(rows, 'radiograph')} have a near-duplicate there."
        )


if __name__ == "__main__":
    main()
