"""Whose the pairs are that are predicted, and predictions.csv: a row a case."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classification.cases.finder import Case
from classification.splitting import known
from classification.voting.refusal import REFUSED, SCORES
from cxr import tables
from cxr.errors import BadData
from cxr.run import caselist, journal

TABLE = "predictions.csv"
ABOUT = ("case", "folder", "label", "patient", "status", "reason", "predicted")  # in every version
TEXT = (*ABOUT, "set", "mask", caselist.NAME)
STATUSES = {"ok", "failed", REFUSED}


def patients(cases: Sequence[Case], inputs: Iterable, settings) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The patient of each (folder, case) as known.people() tells it, and notes for the user."""
    people, notes = known.people(cases, inputs, settings)
    return {(case.folder, case.case): who for case, (who, _) in zip(cases, people, strict=True)}, notes


def flagged(cases: Sequence[Case], inputs: Iterable, settings) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Why masks.csv flags the mask of a (folder, case), of those that are flagged, and notes for the user."""
    try:
        masks, notes = known.masks(cases, inputs, settings)
    except ValueError as error:  # what may be unknown stops no prediction
        return {}, [f"which masks are flagged is not known: {str(error).rstrip('.')}"]
    found = {key: row["reason"] for key, row in masks.items() if row["status"] != "ok"}
    return found, notes + ([f"{len(found)} of {len(cases)} cases have a flagged mask"] if found else [])


def row(case: Case, patient: str, names: Sequence[str], result: Mapping | str, mask: str = "", seen: str = "") -> dict:
    """A case's row: result is predict.tally()'s, with what Refusal says, coverage and patches added; what Refusal says
    of a case that is refused; or why there is none, as text. mask: why its mask is flagged; seen: train or val where
    the weights were trained on it, unknown where they do not tell.

    Numbers are rounded to six decimals, p to six digits, so that metrics computed from the table are those of the run.
    """
    cells = {"case": case.case, "folder": case.folder, "label": "" if case.label is None else names[case.label]}
    cells["patient"] = patient
    about = {"mask": mask, caselist.NAME: seen}
    if isinstance(result, str):
        return cells | {"status": "failed", "reason": result, "predicted": "", "set": ""} | about
    scores = {name: round(result[name], 4) for name in SCORES if name in result}
    if REFUSED in result:
        return cells | {"status": REFUSED, "reason": result[REFUSED], "predicted": "", "set": ""} | about | scores
    cells |= {"status": "ok", "reason": "", "predicted": names[result["predicted"]]}
    inside = [name for name, held in zip(names, result["set"], strict=True) if held]
    cells |= {"set": "|".join(inside)} | about | scores
    cells |= probabilities(names, result["p"])
    cells |= {f"votes_{name}": int(votes) for name, votes in zip(names, result["votes"], strict=True)}
    cells |= {"vote_entropy": round(result["entropy"], 6), "standard_error": round(result["standard_error"], 6)}
    return cells | {"coverage": round(result["coverage"], 6), "patches": result["patches"]}


def probabilities(names: Sequence[str], p: Sequence[float]) -> dict[str, float]:
    """The columns p_<class> of a row, to six digits: the small ones count where calibration is undone."""
    return {f"p_{name}": float(f"{value:.6g}") for name, value in zip(names, p, strict=True)}


def merge(table: Path, patient_of: Mapping, seen: Mapping) -> pd.DataFrame:
    """Fold the journals into predictions.csv, and return it sorted by folder and case.

    patient_of, by (folder, case), replaces what an earlier run knew of the patients, and `seen`, of the same cases,
    what it knew of their part in the training of the weights: train, val, unknown or "".
    """
    rows = journal.merge(table, TEXT)
    keys = list(zip(rows.folder, rows.case, strict=True))
    known = {"patient": patient_of, caselist.NAME: seen}
    now = rows if caselist.NAME in rows else rows.assign(**{caselist.NAME: ""})
    for name, told in known.items():
        now = now.assign(**{name: [told.get(key, before) for key, before in zip(keys, now[name], strict=True)]})
    if not now.equals(rows):
        journal.save(table, now)
    return now


def read(place: Path) -> tuple[pd.DataFrame, list[str]]:
    """A finished predictions.csv, or that of a folder, and the names of its classes in their order. fold and seed are
    text, "" where it tells none; a label is one of the classes or "". Raises BadData."""
    file = _file(place)
    again = "make it with classification/inference.py"
    if not file.is_file():
        raise BadData(f"there is no {file}; {again}, or name another place (--help).")
    rows = journal.read(file, [*TEXT, "fold", "seed"])
    if missing := [name for name in ABOUT if name not in rows]:
        raise BadData(f"{file} has no column {', '.join(missing)}; {again}.")
    names = [column.removeprefix("p_") for column in rows if column.startswith("p_")]
    if strange := sorted({*rows.predicted, *rows.label[rows.status == "ok"]} - {*names, ""}):
        raise BadData(f"{file} speaks of {', '.join(strange)}, but has no such column p_; {again}.")
    if odd := sorted({*rows.status} - STATUSES):
        raise BadData(f"{file} has the status {', '.join(odd)}; it is one of {', '.join(sorted(STATUSES))}; {again}.")
    ok = rows.status == "ok"
    if ok.any() and len(names) < 2:
        raise BadData(f"{file} knows fewer than two classes; {again}.")
    rows = rows.assign(fold=rows.get("fold", ""), seed=rows.get("seed", ""))
    p, votes = (rows.filter(regex=f"^{start}_").astype(float) for start in ("p", "votes"))
    faults = {
        "lacks a probability": ok & ~((p >= 0) & (p <= 1)).all(axis=1),
        "lacks a whole number of votes": ok & ~((votes % 1 == 0) & (votes >= 0)).all(axis=1),
        "has another status than prediction": ok != (rows.predicted != ""),
        "has a seed that is no number": ~rows.seed.str.fullmatch("[0-9]*"),
    }
    for what, where in faults.items():
        for row in rows[where].itertuples():
            raise BadData(f"{file} {what} of {row.folder}/{row.case}; {again}.")
    if rows.duplicated(["seed", *journal.KEY]).any() or not len(rows):
        raise BadData(f"{file} holds {'a case twice' if len(rows) else 'no row'}; {again}.")
    return rows, names


def beside(place: Path, name: str) -> dict:
    """What report.json or metrics.json tells that lies beside the predictions.csv which read() takes; nothing where
    there is none. Raises BadData."""
    try:
        return tables.json(_file(place).with_name(name))
    except FileNotFoundError:
        return {}


def _file(place: Path) -> Path:
    return place if place.is_file() or place.suffix == ".csv" else place / TABLE


def columns(rows: pd.DataFrame, names: Sequence[str]) -> tuple:
    """Truth (n,), prediction (n,), probabilities (n, classes) and patients (n,) of rows without failure and with a
    label, as cxr/stats/scores.py takes them."""
    index = {name: i for i, name in enumerate(names)}
    p = rows[[f"p_{name}" for name in names]].to_numpy(float)
    truth, predicted = (np.array([index[name] for name in rows[column]]) for column in ("label", "predicted"))
    return truth, predicted, p, rows.patient.to_numpy()
