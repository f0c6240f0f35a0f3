"""Which pairs are to be predicted, whose they are, and predictions.csv: a row a case."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classification.cases.dataset import Case
from classification.splitting import known, parts
from cxr import pairs
from cxr.run import journal as journals

TABLE = "predictions.csv"
_TEXT = ("case", "folder", "label", "patient", "status", "reason", "predicted")


class BadInput(ValueError):
    """Nothing can be predicted; the message says why and what to do."""


def default_input(settings) -> Path:
    """The test part of the split. Raises BadInput with the remedy if there is none."""
    root = Path(settings.dir_split)
    if (root / "test").is_dir():
        return root / "test"
    folds = [fold for fold in parts.roots(root) if fold != root] if root.is_dir() else []
    remedy = f"name a fold: dir_split={folds[0]}" if folds else "make it with classification/split.py"
    raise BadInput(f"there is no folder {root / 'test'}; {remedy}, or give folders of pairs with -i.")


def find(inputs: Iterable, folders: Mapping[str, int]) -> tuple[list[Case], list[str]]:
    """The pairs in some folders, to any depth, sorted by folder and case, and notes for the user.

    folders: the class of each folder that the network knows, upper and lower case alike. A case's folder is its place
    below the folder given, or that folder's own name; the first part of it tells the label. Half pairs are listed too,
    so that they become rows with a reason. Below a folder given, other runs' results are passed over: a segmentation
    into folders of its own, with its masks.csv, and a split. Raises BadInput if there are no pairs, two of one name, or
    if a folder given is a split as a whole, whose folders train, val and test are no classes.
    """
    loose = {name.casefold(): index for name, index in folders.items()}
    found, unknown, passed_over = {}, set(), []
    for given in map(Path, inputs):
        if not given.is_dir():
            raise BadInput(f"there is no folder {given}; give one of pairs, as segmentation/inference.py writes them.")
        if own := parts.part_folders(given):
            raise BadInput(f"{given} is a whole split, whose parts are no classes: give one of them, {own[-1]}.")
        for place in _places(given, passed_over):
            below = os.path.relpath(place, given)
            folder = os.path.basename(os.path.abspath(given)) if below == "." else below
            first = folder.split(os.sep)[0]
            label = folders.get(first, loose.get(first.casefold()))
            for case in [*pairs.find(place), *pairs.halves(place)]:
                found.setdefault(os.path.realpath(place / case), Case(case, folder, place, label))
                if label is None:
                    unknown.add(folder)
    asked = {os.path.realpath(given) for given in inputs}
    passed_over = [str(place) for place in passed_over if os.path.realpath(place) not in asked]
    if not found:
        where = ", ".join(map(str, inputs))
        remedy = "write some with segmentation/inference.py"
        if passed_over:
            remedy = f"those in {_some(passed_over)} are results of other runs: give such a folder by itself"
        raise BadInput(f"there are no pairs in {where}; {remedy}.")
    names = defaultdict(list)
    for case in found.values():
        names[case.folder, case.case].append(str(case.place))
    twice = [(key, places) for key, places in names.items() if len(places) > 1]
    if twice:
        (folder, case), places = twice[0]
        raise BadInput(
            f"{len(twice)} cases would have one row for several pairs, for example {folder}/{case} in "
            f"{' and '.join(places[:3])}: predict these folders apart, with -o. Nothing was written."
        )
    notes = [f"these weights know no folder {_some(unknown)}: its cases have no label"] if unknown else []
    if passed_over:
        notes.append(f"skipped {_some(passed_over)}, which hold results of other runs; to use one, give it by itself")
    return sorted(found.values(), key=lambda case: (case.folder, case.case)), notes


def _places(given: Path, passed_over: list[Path]) -> Iterable[Path]:
    """The visible folders in `given`, itself among them; linked ones are followed, once each so that a loop ends.
    Other runs' results are added to passed_over instead."""
    seen = set()
    for here, inner, files in os.walk(given, followlinks=True):
        place, real = Path(here), os.path.realpath(here)
        segmented = known.MASKS in files and not pairs.find(place)  # one class by itself is a folder as any other
        if real in seen or seen and (segmented or parts.part_folders(place)):
            passed_over += [] if real in seen else [place]
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield place


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def patients(cases: Sequence[Case], inputs: Iterable, settings) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The patient of each (folder, case) as known.people() tells it, and notes for the user."""
    people, notes = known.people(cases, inputs, settings)
    return {(case.folder, case.case): who for case, (who, _) in zip(cases, people, strict=True)}, notes


def row(case: Case, patient: str, names: Sequence[str], result: Mapping | str) -> dict:
    """A case's row: result is predict.tally()'s, with coverage and patches added, or why there is none, as text.

    Numbers are rounded to six decimals, so that metrics computed from the table are those of the run.
    """
    cells = {"case": case.case, "folder": case.folder, "label": "" if case.label is None else names[case.label]}
    cells["patient"] = patient
    if isinstance(result, str):
        return cells | {"status": "failed", "reason": result, "predicted": ""}
    cells |= {"status": "ok", "reason": "", "predicted": names[result["predicted"]]}
    cells |= {f"p_{name}": round(float(p), 6) for name, p in zip(names, result["p"], strict=True)}
    cells |= {f"votes_{name}": int(votes) for name, votes in zip(names, result["votes"], strict=True)}
    cells |= {"vote_entropy": round(result["entropy"], 6), "standard_error": round(result["standard_error"], 6)}
    return cells | {"coverage": round(result["coverage"], 6), "patches": result["patches"]}


def journal(output: Path, rank: int):
    """A context with the function that adds a row to this process's journal of predictions.csv."""
    return journals.writer(output / TABLE, rank)


def merge(output: Path, forget: set = frozenset(), patient_of: Mapping | None = None) -> pd.DataFrame:
    """Fold the journals into predictions.csv but for the cases to `forget`, and return it sorted by folder and case.

    patient_of, by (folder, case), replaces what an earlier run knew of the patients.
    """
    rows = journals.merge(output / TABLE, _TEXT, forget)
    keys = zip(rows.folder, rows.case, strict=True)
    now = [(patient_of or {}).get(key, before) for key, before in zip(keys, rows.patient, strict=True)]
    if now != rows.patient.tolist():
        journals.save(output / TABLE, rows.assign(patient=now))
    return rows.assign(patient=now)


def finished(output: Path) -> set[tuple[str, str]]:
    """The cases that have a row without failure."""
    if not (output / TABLE).exists():
        return set()
    rows = journals.read(output / TABLE, _TEXT)
    rows = rows[rows.status == "ok"]
    return set(zip(rows.folder, rows.case, strict=True))


def columns(rows: pd.DataFrame, names: Sequence[str]) -> tuple:
    """Truth (n,), prediction (n,), probabilities (n, classes) and patients (n,) of rows without failure and with a
    label, as cxr/stats/scores.py takes them."""
    index = {name: i for i, name in enumerate(names)}
    p = rows[[f"p_{name}" for name in names]].to_numpy(float)
    truth, predicted = (np.array([index[name] for name in rows[column]]) for column in ("label", "predicted"))
    return truth, predicted, p, rows.patient.to_numpy()
