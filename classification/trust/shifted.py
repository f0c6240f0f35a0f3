"""Cases as other hospitals would have made and copied them: the network's answers to shifted radiographs.

What shift.py and the audit share.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from classification.cases import dataset, finder
from classification.splitting import known
from classification.voting import predict, predictions
from cxr import pairs, preprocess, tables
from cxr.reading import radiograph
from cxr.shifts import measured, suite
from cxr.stats import proportion


def radiographs(cases, table: Path, settings) -> tuple[dict[tuple[str, str], Path], dict]:
    """The radiograph of each (folder, case) that a masks.csv knows, and the preprocessing settings in the report.json
    beside it. Raises ValueError with the remedy."""
    rows = known.radiographs(cases, table, settings, ["file"])
    try:
        told = tables.json(table.parent / "report.json")["settings"]
        grey = {name: told[name] for name in ("gamma", "crop_border", "pixel_limit", "equalise")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{table.parent / 'report.json'} does not say how the pairs were preprocessed ({error}); "
            "segment the radiographs again."
        ) from None
    if not grey["equalise"]:
        raise ValueError(f"the pairs of {table} were made with equalise=False, which is not measured here.")
    return {key: Path(row["file"]) for key, row in rows.items()}, grey


def measure(
    case: finder.Case, files, grey: dict, shifts, settings, names, answer: Callable, calibrated: dict | None = None
) -> list[dict]:
    """A row for a case as it is (shift "none") and for each shift of it. Raises ValueError, FileNotFoundError.

    files, grey: as radiographs() gives them; answer(image, lung, case): the probabilities (K, classes) of its patches.
    """
    if (case.folder, case.case) not in files:
        raise ValueError("masks.csv has no such case; name the masks.csv of these pairs with --masks.")
    pixels = radiograph.read(files[case.folder, case.case], grey["pixel_limit"]).pixels
    lungs = lung_labels(case, pixels.shape)
    rows = []
    for name, kind, changed, labels in measured.versions(shifts, pixels, lungs, settings.seed, case.case):
        box = preprocess.content_box(changed) if grey["crop_border"] else None
        image = preprocess.preprocess(changed, grey["gamma"], box)
        mask = (labels >= suite.LUNGS[0]).astype(np.uint8)
        if not mask.any():
            continue  # moved out of the image
        size = settings.patch_size if settings.approach == "global" else settings.img_size
        image, lung = dataset.prepare(image, mask, size, settings.resolution)
        vote = predict.tally(
            answer(image, lung, case.case), settings.vote, predict.drawn(settings), calibrated=calibrated
        )
        row = {"case": case.case, "folder": case.folder, "label": "" if case.label is None else names[case.label]}
        row |= {"shift": name, "kind": kind, "predicted": names[vote["predicted"]]}
        rows.append(row | predictions.probabilities(names, vote["p"]))
    return rows


def lung_labels(case: finder.Case, shape: tuple[int, int]) -> np.ndarray:
    """The label map of a case on its radiograph's grid. Where it does not agree with the lung mask, which may have been
    corrected by hand, or is missing, the mask counts, divided into sides at its middle column."""
    labels, mask = pairs.load_labels(case.place, case.case), pairs.load(case.place, case.case)[1]
    if labels is None or not np.array_equal(labels >= suite.LUNGS[0], mask):
        middle = np.average(np.arange(mask.shape[1]), weights=mask.sum(0))
        sides = np.where(np.arange(mask.shape[1]) > middle, *suite.LUNGS)
        labels = (mask * sides).astype(np.uint8)
    if labels.shape != shape:
        raise ValueError(f"its pair is {labels.shape} and its radiograph {shape} pixels; segment it again.")
    return labels


def summarise(frame: pd.DataFrame, level: float = proportion.LEVEL) -> pd.DataFrame:
    """A row a shift: cases, consistency with its exact interval over patients, mean change of the probability of the
    class predicted without the shift, and accuracy where the cases have labels."""
    clean = frame[frame["shift"] == measured.CLEAN].set_index(["folder", "case"])
    table = []
    for name, group in frame.groupby("shift", sort=False):
        before = clean.loc[list(zip(group.folder, group.case, strict=True))]
        same = group.predicted.to_numpy() == before.predicted.to_numpy()
        columns = [f"p_{predicted}" for predicted in before.predicted]
        was, now = (
            np.array([row[name] for (_, row), name in zip(part.iterrows(), columns, strict=True)])
            for part in (before, group)
        )
        stays = name == measured.CLEAN  # by definition
        low, high = (np.nan, np.nan) if stays else proportion.of_cases(same, group.patient.to_numpy(), level)
        row = {"shift": name, "kind": group.kind.iloc[0], "n": len(group), "consistency": same.mean()}
        row |= {"low": low, "high": high, "mean_change_of_p": (now - was).mean()}
        labelled = group[group.label != ""]
        row["accuracy"] = (labelled.predicted == labelled.label).mean() if len(labelled) else np.nan
        table.append(row)
    return pd.DataFrame(table)
