"""What other scripts have told of the cases of a run: the quality of the masks, biomarkers, and where the maps lie."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classification import biomarkers
from classification.cases.finder import Case
from classification.measuring import measures
from classification.saliency import maps
from classification.splitting import known, parts
from cxr import digest, tables
from cxr.errors import BadData
from cxr.run import journal


def read_json(file: Path) -> dict | None:
    """A JSON file that holds an object, or None where there is no such file. Raises BadData for a damaged one."""
    try:
        return tables.json(file)
    except FileNotFoundError:
        return None


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


def read_maps(folder: Path, keys: Mapping) -> tuple[dict, int]:
    """The maps of the cases, {(folder, case): [(class, file), ...]}, from cams.csv, and how many cases have maps of
    another pair than the one that was predicted, whose digests `keys` holds as for findings.find_pairs(). Raises
    BadData."""
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
