"""What is known of the cases of a run: predictions, pairs, and the training of the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from classification.cases import finder
from classification.page.beside import finite
from classification.voting import predictions
from cxr import digest
from cxr.errors import BadData
from cxr.run import caselist, runreport

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
    """A sentence if the network was trained on some of the cases that metrics.json measures, or if that is unknown."""
    if metrics.get(caselist.NAME, {}) is None:
        return [caselist.untold()]
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

    masks as beside.qualities(), markers as beside.read_biomarkers() gives them. `right` is whether the prediction is
    the label; `seed` tells answers to one case apart, where crossval.py pooled those of several trainings.
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
