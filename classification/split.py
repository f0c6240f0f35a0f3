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

import numpy as np
import pandas as pd

from classification import header
from classification.cases import finder
from classification.splitting import check, divide, known, parts, survey
from cxr import cohort
from cxr.errors import BadData
from cxr.run import lock, opening
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
        check_settings(settings)
        table = cohort.read(settings.file_metadata)
        root = Path(settings.dir_split)
        if not options.check:
            lock.take(root.resolve().with_name(f"{root.resolve().name}{lock.NAME}"))
        kind = parts.state(root)
        if options.check or kind == "hand":
            code = look(root, kind, settings, table, options)
        elif kind == "other":
            raise BadData(f"{root} holds something other than a split; name another folder with dir_split=FOLDER.")
        else:
            code = split(root, kind, settings, table, options)
    sys.exit(code)


def check_settings(settings) -> None:
    """Raise BadData for values of the split's settings that make no sense."""
    if settings.split_by not in ("patient", "image"):
        raise BadData(f"split_by is patient or image, not {settings.split_by!r}.")
    shares = settings.split_parts
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise BadData(f"split_parts takes three shares above 0 that sum to 1, such as [0.7, 0.1, 0.2], not {shares}.")
    if settings.folds < 0 or settings.folds == 1:
        raise BadData(f"folds must be 0 (one split) or at least 2, not {settings.folds}.")


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
        print_unknown(rows, settings)
        print_left_out(left_out, "cannot be used")
        for finding in found:
            print(f"Warning: {finding}.")
        # A split made by image on purpose stays usable: only --check treats crossings as a failure.
        code |= bool((found and options.check) or len(left_out))
    print(f"Checked {root}: nothing was changed. Next: {next_step(settings, root)}")
    return code


def split(root: Path, kind: str, settings, table: pd.DataFrame, options) -> int:
    """Split the pairs of dir_pairs, write and print; returns the exit code, 1 if there are damaged pairs."""
    print_notes(table)
    rows, names, left_out = gather(settings, table)
    splits = divide_rows(rows, names, settings)
    made_with = {name: config.as_dict(settings)[name] for name in DECISIVE}
    changed = parts.differences(root, splits, made_with) if kind == "made" else []
    if changed and not options.overwrite:
        raise BadData(
            f"{root} holds another split ({'; '.join(changed)}): name another folder with dir_split, or "
            "replace it with --overwrite."
        )
    if changed and parts.strangers(root):
        raise BadData(
            f"{root} holds files that do not belong to the split, such as {parts.strangers(root)[0]}; move "
            "them away before overwriting it."
        )
    fresh = bool(changed) or kind == "absent"
    copied = parts.write(root, splits, made_with, left_out) if fresh else 0

    for name, one in splits.items():
        print("\n".join(filter(None, [name, check.count_table(one, names)])))
        print_shared(one, settings)
    print_joined(rows, settings)
    print_unknown(rows, settings)
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


def gather(settings, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str], pd.DataFrame]:
    """The pairs of dir_pairs as survey() gives them, with `flagged` in masks.csv; the classes; what is left out."""
    source = Path(settings.dir_pairs)
    (found,), names, index = finder.find_classes([source], settings.classes)
    for note in found.notes:
        print(f"Note: {note}.")
    cases = found.cases
    masks = known.radiographs(source, settings) or {}
    failed = [c for c in cases if masks.get((c.folder, c.case), {}).get("status") == "failed"]
    told = [f"{masks[c.folder, c.case]['reason']} The pair is older than that." for c in failed]
    stale = [(c.case, c.folder, "failed", why) for c, why in zip(failed, told, strict=True)]
    cases = sorted(set(cases) - set(failed))
    rows, left_out = survey.survey(cases, table, settings.duplicate_distance, settings.num_workers, found.halves)
    keys = zip(rows.folder, rows.case, strict=True)
    rows["flagged"] = [masks.get(key, {}).get("status") == "flagged" for key in keys]
    present = {finder.top(case).casefold() for case in rows.itertuples()}
    absent = [folder for folder in index if folder.casefold() not in present]
    if absent:
        print(f"Note: {source} holds no usable pairs of {', '.join(absent)}, which are named in classes.")
    return rows, names, pd.concat([pd.DataFrame(stale, columns=left_out.columns), left_out], ignore_index=True)


def divide_rows(rows: pd.DataFrame, names: list[str], settings) -> dict[str, pd.DataFrame]:
    """The rows with `part` and `group`, by folder below dir_split: "" alone, or fold1, fold2 ... Raises BadData."""
    by_patient = settings.split_by == "patient"
    groups = divide.join(rows.patient, rows.radiograph) if by_patient else np.arange(len(rows))
    own = rows.patient if by_patient else rows.folder + "/" + rows.case
    rows = rows.assign(group=own.groupby(groups).transform("min"))  # named after its first patient
    table = divide.content(groups, rows.label.to_numpy(int), len(names))
    rng = np.random.default_rng(settings.split_seed)
    shares = settings.split_parts
    try:
        if settings.folds:
            drawn = divide.fold(table, settings.folds, shares[1] / (shares[0] + shares[1]), rng)
        else:
            drawn = [divide.assign(table, shares, rng)]
    except divide.TooSmall as small:
        what = "patients (near-duplicates count as one)" if by_patient else "images"
        few = [f"{names[label]} has {count}" for label, count in small.classes.items()]
        reason = ", ".join(few) or "patients with images of several classes make that impossible"
        raise BadData(
            f"every class needs at least {small.needs} {what} to be in every split: {reason}; add images, or "
            "merge or leave out the class in classes of header.py."
        ) from None
    part = np.array(finder.PARTS)
    keys = [f"fold{i + 1}" for i in range(len(drawn))] if settings.folds else [""]
    return {key: rows.assign(part=part[one[groups]]) for key, one in zip(keys, drawn, strict=True)}


def print_notes(table: pd.DataFrame) -> None:
    for note in table.attrs.get("notes", ()):
        print(f"Note: {note}.")


def print_unknown(rows: pd.DataFrame, settings) -> None:
    unknown = int(rows.patient.str.startswith(survey.UNKNOWN).sum())
    if unknown:
        print(
            f"Note: {unknown} of {len(rows)} images are not in {settings.file_metadata}: each counts as a patient of "
            "its own. If patients have several images, name a table with file_metadata=FILE.csv (columns case, class, "
            "patient)."
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
