"""Which pairs split.py takes, and which part each goes into, as the settings say."""

from pathlib import Path

import numpy as np
import pandas as pd

from classification.cases import finder
from classification.splitting import divide, known, survey
from cxr.errors import BadData


def check_settings(settings) -> None:
    """Raise BadData for values of the split's settings that make no sense."""
    if settings.split_by not in ("patient", "image"):
        raise BadData(f"split_by is patient or image, not {settings.split_by!r}.")
    shares = settings.split_parts
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise BadData(f"split_parts takes three shares above 0 that sum to 1, such as [0.7, 0.1, 0.2], not {shares}.")
    if settings.folds < 0 or settings.folds == 1:
        raise BadData(f"folds must be 0 (one split) or at least 2, not {settings.folds}.")


def gather(settings, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str], pd.DataFrame]:
    """The pairs of dir_pairs as survey() gives them, with `flagged` in masks.csv; the classes; what is left out."""
    source = Path(settings.dir_pairs)
    (found,), names, index = finder.find_classes([source], settings.classes)
    cases = found.cases
    masks, told = known.masks(cases, [source], settings)
    for note in found.notes + told:
        print(f"Note: {note}.")
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
