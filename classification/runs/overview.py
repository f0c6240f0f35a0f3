"""All runs below a folder, as a table: what was set otherwise, what came out, with how many seeds, in what time."""

import json
from pathlib import Path

import pandas as pd

from classification import train
from classification.page import beside, findings
from classification.runs import comparing
from classification.voting import effect, predictions
from cxr import tables
from cxr.errors import BadData
from cxr.run import caselist

# What runs differ in without being other methods
_NAMES = ("dir_", "test_name", "file_", "device", "num_workers", "cache_gb", "compile", "restart", "num_batch_test")


def table(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """A row a run below a folder, the most accurate first: run, cases, patients, seeds, seconds (of inference.py),
    weights_sha256, trained_on (how many of the cases its weights have seen), each metric of metrics.json with low and
    high, and the settings that differ between the runs; and notes, also on each run that is left out since it cannot be
    measured. Raises BadData where none is left."""
    files = sorted(folder.rglob(predictions.TABLE))
    places = [file.parent for file in files]
    places = [place for place in places if not set(place.parents) & set(places)]  # a cross-validation's own runs
    if not places:
        raise BadData(f"{folder} holds no {predictions.TABLE}; classification/inference.py and crossval.py write it.")
    rows, settings, cases, notes = [], [], [], []
    for place in places:
        try:
            with tables.used(place):
                row, setting, keys, told = one(place)
        except BadData as fault:
            notes.append(f"{place.relative_to(folder)} is left out: {str(fault).rstrip('.')}")
            continue
        rows.append({"run": str(place.relative_to(folder)), **row})
        settings.append(setting)
        cases.append(keys)
        notes += [f"{place.relative_to(folder)}: {note}" for note in told]
    if not rows:
        raise BadData(f"{folder} holds no run that can be measured: {'; '.join(notes)}.")
    if any(other != cases[0] for other in cases):
        notes.append("the runs are of different cases: their figures cannot be compared; compare two with --common")
    differ = [name for name in dict.fromkeys(n for held in settings for n in held) if _differs(name, settings)]
    chosen = pd.DataFrame([{name: held.get(name, "") for name in differ} for held in settings])
    found = pd.concat([pd.DataFrame(rows), chosen], axis=1)
    return found.sort_values("accuracy", ascending=False, ignore_index=True), notes


def one(place: Path) -> tuple[dict, dict[str, str], set[tuple[str, str]], list[str]]:
    """The row of a run but for its name, its settings as set_to() gives them, its cases, by folder and name, and notes.
    Raises BadData, and what else comes of a report.json or metrics.json that lacks something."""
    run, made = comparing.read(place), beside.read_json(place / "report.json") or {}
    metrics = beside.read_json(place / "metrics.json") or {}
    if "overall" not in metrics:
        raise BadData(f"{place} has no metrics.json; run classification/inference.py again to measure it.")
    keys = set(zip(run.rows.folder, run.rows.case, strict=True))
    row = {"cases": len(keys), "patients": run.rows.patient.nunique()}
    row |= {"seeds": len(run.seeds), "seconds": made.get("seconds")}
    row["weights_sha256"] = (made.get("weights") or {}).get("sha256", "")
    known = metrics.get(caselist.NAME, {})
    row[caselist.NAME] = caselist.UNKNOWN if known is None else sum(known.values())
    for name in comparing.OVERALL:
        entry = metrics["overall"][name]
        row |= {name: entry["value"], f"{name}_low": entry["low"], f"{name}_high": entry["high"]}
    used, notes = set_to(made)
    return row, used, keys, notes + findings.trained_on(metrics)


def set_to(made: dict) -> tuple[dict[str, str], list[str]]:
    """The settings that a run has read, as text: its training, by header.json beside its weights, and its predictions,
    by report.json; and notes. The seed is the training's where that is known."""
    weights = made.get("weights") or {}
    place, notes = findings.training((weights.get("members") or [weights])[0])
    trained = (beside.read_json(place / "header.json") if place else None) or {}
    predicted = made.get("settings") or {}
    idle = effect.IDLE.get(predicted.get("approach"), ())
    found = {name: predicted[name] for name in predicted if name in effect.DECISIVE and name not in idle}
    other = {*train.UNREAD, *effect.DECISIVE, *idle} - {"seed"}
    found |= {name: trained[name] for name in trained if name not in other}
    return {name: json.dumps(value) for name, value in found.items() if not name.startswith(_NAMES)}, notes


def _differs(name: str, settings: list[dict]) -> bool:
    return len({held.get(name) for held in settings}) > 1
