"""What is known of the cases of a run: predictions, pairs, quality of the masks, biomarkers, and where the maps lie."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classification import biomarkers
from classification.cases import finder
from classification.cases.finder import Case
from classification.measuring import measures
from classification.saliency import maps
from classification.splitting import known, parts
from classification.voting import predictions
from cxr import digest, tables
from cxr.errors import BadData
from cxr.run import caselist, journal, runreport

NUMBERS = ("vote_entropy", "standard_error", "coverage", "patches")
UNKNOWN = "unknown"  # quality of a mask that no masks.csv knows


def read_predictions(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """predictions.read() of a run, with all that the page shows of a case. Raises BadData."""
    rows, names = predictions.read(folder)
    wanted = [*(f"votes_{name}" for name in names), *NUMBERS] if names else []
    if missing := [name for name in wanted if name not in rows]:
        raise BadData(
            f"{folder / predictions.TABLE} has no column {', '.join(missing)}; write it again with "
            "classification/inference.py."
        )
    return rows, names


def read_json(file: Path) -> dict | None:
    """A JSON file that holds an object, or None where there is no such file. Raises BadData for a damaged one."""
    try:
        return tables.json(file)
    except FileNotFoundError:
        return None


def find_pairs(keys: Mapping, given: Sequence | None, told: Sequence | None, settings) -> tuple[dict, list[Path], set]:
    """Where the pairs of the cases lie: {(folder, case): Case}, the folders they were found below, and which cases have
    another pair by now where they were predicted.

    keys: the (folder, case) wanted, with the digest of the pair that was predicted, "" if not known; a pair of another
    digest is none. The folders `given` are taken, else those that the predictions tell of, else the test part of the
    split, else dir_pairs: the first that hold any of the cases. Without any: nothing, and no folder. Raises BadData for
    folders given that do not exist or hold no pairs.
    """
    changed = set()
    if given:
        choices = [given]
    else:
        choices = [told or [], [Path(settings.dir_split) / "test"], [settings.dir_pairs]]
        choices = [[root for root in roots if Path(root).is_dir()] for roots in choices]
    for roots in filter(None, choices):
        try:
            about = finder.find(roots)
        except BadData:
            if given:
                raise
            continue
        found = {(case.folder, case.case): case for case in (*about.cases, *about.halves)}
        found = {key: case for key, case in found.items() if key in keys}
        others = {k for k, now in zip(found, digest.of_pairs(found.values()), strict=True) if keys[k] not in ("", now)}
        found = {key: case for key, case in found.items() if key not in others}
        if roots is choices[0]:
            changed = others
        if found or given:
            return found, [Path(root).absolute() for root in roots], changed
    return {}, [], changed


def qualities(places: Mapping, roots: Sequence[Path], settings) -> tuple[dict, dict | None]:
    """What masks.csv says of the masks, {(folder, case): (status, reason, view)}, and the report.json beside it, if
    any. Raises ValueError for a bad table."""
    rows, _ = known.masks(places.values(), roots, settings)
    found = {key: (row["status"], row["reason"], row["view"]) for key, row in rows.items()}
    near = next((table.parent for root in roots if (table := known.masks_table(root, settings))), None)
    return found, read_json(near / "report.json") if found else None


def find_biomarkers(given: str | None, roots: Sequence[Path], settings) -> Path | None:
    """The file given, else biomarkers/biomarkers.csv in the folders of pairs or above them, of a split in its pairs."""
    if given:
        return Path(given)
    split = [parts.pairs_of(part, settings) for root in roots if (part := known.part_of(root, settings))]
    places = [*roots, *(root.parent for root in roots), *split]
    files = (place / "biomarkers" / "biomarkers.csv" for place in places)
    return next((file for file in files if file.is_file()), None)


def read_biomarkers(file: Path, places: Mapping) -> tuple[dict, dict]:
    """Biomarkers of the pairs in `places`, {(folder, case): {name: float or None}}, and the flags of their masks that
    the table knows, as qualities() gives them. A row is of the pair whose digest it notes, whatever folder it was
    measured in. Raises BadData."""
    rows = table(file, [*biomarkers.ABOUT, "digest"], "classification/biomarkers.py")
    names = [name for name in measures.MARKERS if name in rows]
    measured = {(row["case"], row["digest"]): row for row in rows.to_dict("records")}
    found, flags = {}, {}
    for (key, case), content in zip(places.items(), digest.of_pairs(places.values()), strict=True):
        if not (row := measured.get((case.case, content))):
            continue
        found[key] = {name: finite(row[name]) for name in names}
        if row["status"] == "flagged":
            flags[key] = "flagged", row["reason"], ""
    return found, flags


def read_maps(folder: Path, keys: Mapping) -> tuple[dict, int]:
    """The maps of the cases, {(folder, case): [(class, file), ...]}, from cams.csv, and how many cases have maps of
    another pair than the one that was predicted, whose digests `keys` holds as for find_pairs(). Raises BadData."""
    rows = table(folder / maps.TABLE, maps.TEXT, "classification/visualize_cnn.py")
    names = [column[2:] for column in rows.columns if column.startswith("p_")]
    found, others = {}, 0
    for row in rows[rows.status == "ok"].to_dict("records"):
        key = row["folder"], row["case"]
        noted = {keys.get(key, ""), row.get("digest", "")} - {""}
        if len(noted) > 1:
            others += 1
            continue
        classes = names if row["target"] == "all" else [row["predicted" if row["target"] == "predicted" else "target"]]
        files = maps.files(Case(row["case"], row["folder"], folder, None), classes, row["target"])
        found[key] = [(name, folder / row["folder"] / file) for name, file in zip(classes, files, strict=True)]
    return found, others


def training(weights: dict) -> tuple[Path | None, list[str]]:
    """The folder of the training of weights that report.json tells of, None where it is gone or has trained others
    since; and a note of the latter."""
    file = Path(weights.get("file") or "none/none")
    if file.is_file() and runreport.digest(file) == weights.get("sha256"):
        return file.parent, []
    if not (file.parent / "header.json").is_file():
        return None, []
    return None, [f"{file.parent} has trained other weights since: nothing is told of the training of these"]


def trained_on(metrics: dict) -> list[str]:
    """A sentence if the network was trained on some of the cases that metrics.json measures."""
    known = sum((metrics.get(caselist.NAME) or {}).values())
    if not known:
        return []
    rest = metrics.get(caselist.REST)
    told = f"{known} of {metrics['cases']} measured cases were trained on, so that results look better than they are"
    if not rest:
        return [told]
    of = {name: rest["overall"][name]["value"] for name in ("accuracy", "f1")}
    return [f"{told}; of the {rest['cases']} others the accuracy is {of['accuracy']:.3f} and the F1 {of['f1']:.3f}"]


def cases(rows: pd.DataFrame, names: Sequence[str], masks: Mapping, markers: Mapping) -> list[dict]:
    """The cases as plain types that JSON takes, in the table's order; what is not known is None.

    masks as qualities(), markers as read_biomarkers() gives them. `right` is whether the prediction is the label;
    `seed` tells answers to one case apart, where crossval.py pooled those of several trainings.
    """
    found, several = [], "seed" in rows and rows.seed.nunique() > 1
    for row in rows.to_dict("records"):
        key = row["folder"], row["case"]
        failed = row["status"] != "ok"
        case = {name: row[name] for name in predictions.ABOUT}
        case["right"] = row["predicted"] == row["label"] if row["label"] and not failed else None
        case["p"] = None if failed else [finite(row[f"p_{name}"]) for name in names]
        case["votes"] = None if failed else [int(row[f"votes_{name}"]) for name in names]
        case |= {name: None if failed else finite(row[name]) for name in NUMBERS}
        case["set"], flag = row.get("set", ""), row.get("mask", "")
        case["mask"], case["mask_reason"], case["view"] = masks.get(key, ("flagged" if flag else UNKNOWN, flag, ""))
        case["markers"] = markers.get(key, {})
        case["seed"] = int(row["seed"]) if several else None
        found.append(case)
    return found


def ranges(found: Sequence[Mapping], labels: Mapping[str, str] = measures.MARKERS) -> list[dict]:
    """How each biomarker is spread over the cases: name, label and the percentiles 0, 5, 25, 50, 75, 95, 100, in the
    order of `labels`; one that no case has is left out."""
    spread = []
    for name, label in labels.items():
        values = [case["markers"][name] for case in found if case["markers"].get(name) is not None]
        if values:
            at = np.percentile(values, [0, 5, 25, 50, 75, 95, 100])
            spread.append({"name": name, "label": label, "cases": len(values), "at": [float(f"{v:.6g}") for v in at]})
    return spread


def finite(value) -> float | None:
    """A number as a float, None for NaN and infinity, which JSON does not know."""
    return float(value) if math.isfinite(value) else None


def table(file: Path, text: Sequence[str], script: str) -> pd.DataFrame:
    """A table that `script` writes, its columns `text` as they stand. Raises BadData."""
    if not file.is_file():
        raise BadData(f"there is no {file}; make it with {script}, or name another place (--help).")
    rows = journal.read(file, text)
    missing = [name for name in text if name not in rows]
    if missing:
        raise BadData(f"{file} has no column {', '.join(missing)}; write it again with {script}.")
    return rows
