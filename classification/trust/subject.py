"""What the audit examines: the cases of a run, what is known of their radiographs, its predictions, its network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from classification.cases import finder
from classification.cases.classes import class_map
from classification.cases.finder import Case
from classification.model import ensemble
from classification.model.weightfile import SHIPPED, find_weights
from classification.splitting import known
from classification.trust import facts
from classification.voting import predictions
from cxr import digest, tables
from cxr.errors import BadData
from cxr.run import caselist, journal, runreport


@dataclass
class Subject:
    """The cases of one audit, each with a label; every array and table has a row a case, in their order."""

    settings: Any  # of config.load(); with a network, those to use it with
    cases: list[Case]
    names: list[str]  # of the classes
    label: np.ndarray  # (n,) int, indices into names
    patient: np.ndarray  # (n,) str
    facts: pd.DataFrame  # facts.COLUMNS
    predictions: pd.DataFrame | None  # predicted, p_<class>, fold, seen (train, val); seeds averaged
    model: torch.nn.Module | None  # in evaluation mode
    device: torch.device
    seed: int


def gather(
    settings: Any,
    device: torch.device,
    inputs: Sequence | None = None,
    table: Path | None = None,
    masks: Path | str | None = None,
) -> tuple[Subject, Path | list[Path] | None, list[str]]:
    """The subject, the weights of its network, or networks, if it has one, and notes for the user.

    inputs: folders of pairs, by default the test part of the split; table: predictions of them, None for none; masks:
    their masks.csv, None to look for it. Cases without a label, or without a prediction where there are some, are left
    out. The network is the one that made the predictions, by the report.json beside them, unless file_weights is typed;
    those that hold folds are of several, of which none can be asked. Raises ValueError with the remedy.
    """
    inputs = inputs or [finder.test_part(settings)]
    found = finder.find(inputs)
    rows, names = read_predictions(table) if table else (None, None)
    cases, notes = found.cases, list(found.notes)
    with tables.used(f"report.json beside {table}"):
        made = {**(predictions.beside(table, "report.json").get("weights") or {})} if table else None
    model, weights, settings = _network(settings, made, rows, names, notes)
    own = bool(weights) and (made is None or runreport.digest(weights) == made.get("sha256"))
    if weights and not own:
        notes.append(
            "the network asked is not the one that made the predictions, as far as the report.json beside them tells: "
            "what is asked of it does not speak of them"
        )
    listed = own and all(map(caselist.read, [weights] if isinstance(weights, Path) else weights))
    seen = caselist.seen(weights, map(finder.about, cases))[0] if listed else {}
    if rows is not None:
        cases, rows = _aligned(cases, rows, names)
        now = digest.of_pairs(cases)
        changed = sum(old not in ("", new) for old, new in zip(rows.get("digest", now), now, strict=True))
        if changed:
            notes.append(f"{changed} of {len(cases)} cases have changed since they were predicted; predict them again")
        label = np.array([names.index(name) for name in rows.label], int)
        rows["seen"] = [seen.get((case.folder, case.case), "" if listed else caselist.UNKNOWN) for case in cases]
        if (rows.fold != "").all() and caselist.NAME in rows:  # every training of ours keeps a list
            rows["seen"] = rows[caselist.NAME]
    else:
        names, index = class_map(settings.classes, [] if settings.classes else {finder.top(case) for case in cases})
        cases = [case for case in finder.labelled(cases, index) if case.label is not None]
        label = np.array([case.label for case in cases], int)
    if not cases:
        raise BadData("none of these cases has a label and a prediction; give the pairs that were predicted with -i.")
    if left := len(found.cases) - len(cases):
        notes.append(f"{left} of {len(found.cases)} cases are left out: they have no label or no prediction")
    cases = [case._replace(label=int(c)) for case, c in zip(cases, label, strict=True)]
    people, more = known.people(cases, inputs, settings)
    about, told = facts.read(cases, people, inputs, masks, settings)
    patient = np.array([who for who, _ in people], object)
    subject = Subject(settings, cases, names, label, patient, about, rows, model, device, settings.seed)
    return subject, weights, notes + more + told


def _network(
    settings: Any, made: dict | None, rows: pd.DataFrame | None, names: list[str] | None, notes: list[str]
) -> tuple:
    """The network in evaluation mode, its weights file, and the settings to use it with; (None, None, the settings as
    they are) and a note where there is none for these predictions. made: what runreport.about() told of the weights
    that made them. Raises ValueError for weights of the user's."""
    if rows is not None and (rows.fold != "").any() and "file_weights" not in settings._typed:
        notes.append("predictions of several folds have no single network to ask; name one with file_weights=FILE")
        return None, None, settings
    weights, which = _weights(settings, made)
    if weights is None:
        notes.append("no network is asked: that of the predictions is not known, or gone; give file_weights=FILE")
        return None, None, settings
    try:
        model, used, known_names, _ = ensemble.open_weights(weights, settings)
    except ValueError as fault:
        if weights != SHIPPED or "file_weights" in settings._typed:
            raise
        notes.append(f"no network is asked: {str(fault).rstrip('.')}")
        return None, None, settings
    if names and known_names != names:
        notes.append(f"no network is asked: {weights} ({which}) knows other classes than the predictions")
        return None, None, settings
    return model, weights, used


def _weights(settings: Any, made: dict | None) -> tuple[Path | list[Path] | None, str]:
    """find_weights(); if these are not typed, and others made the predictions, those, or None where they are gone."""
    choices = [find_weights(settings)]
    if made is None or "file_weights" in settings._typed:
        return choices[0]
    with tables.used("report.json beside the predictions"):
        theirs = [Path(one.get("file", "")) for one in made.get("members", [made])]
    choices.append((theirs if len(theirs) > 1 else theirs[0], "named by report.json"))
    for weights, which in choices:
        files = [weights] if isinstance(weights, Path) else weights
        if all(file.is_file() for file in files) and runreport.digest(weights) == made.get("sha256"):
            return weights, which
    return None, ""


def read_predictions(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """The labelled predictions of a table, a row a case: folder, case, label, predicted, p_<class>, fold, and
    trained_on and digest where the table has them; and the names of its classes. Cases with several seeds have their
    mean p, which predicts. Raises BadData."""
    rows, names = predictions.read(file)
    columns = [f"p_{name}" for name in names]
    if not (rows.predicted != "").any():
        raise BadData(f"{file} holds no prediction: its cases were refused or failed.")
    rows = rows[(rows.predicted != "") & (rows.label != "")]
    first = [name for name in ("label", "predicted", "fold", caselist.NAME, "digest") if name in rows]
    means = rows.groupby(journal.KEY, as_index=False).agg(
        {**dict.fromkeys(first, "first"), **dict.fromkeys(columns, "mean")}
    )
    if len(means) < len(rows):
        means["predicted"] = np.array(names, object)[means[columns].to_numpy().argmax(1)]
    return means, names


def _aligned(cases: list[Case], rows: pd.DataFrame, names: list[str]) -> tuple[list[Case], pd.DataFrame]:
    """The cases that have a row, and their rows in the same order."""
    place = {key: i for i, key in enumerate(zip(rows.folder, rows.case, strict=True))}
    cases = [case for case in cases if (case.folder, case.case) in place]
    return cases, rows.iloc[[place[case.folder, case.case] for case in cases]].reset_index(drop=True)


def origin(subject: Subject) -> str:
    """A sentence on whether the network had seen the cases that it predicted."""
    rows = subject.predictions
    if known := int(rows.seen.isin(["train", "val"]).sum()):
        return f"The network was trained on {known} of these {len(rows)} cases, so this looks better than it is."
    if (rows.seen == caselist.UNKNOWN).any():
        if (rows.fold != "").all():
            return "The predictions are out of fold; start_weights that knew the cases would make them look better."
        return "Whether the network was trained on these cases is unknown."
    return "By the list in its weights, the network was trained on none of these cases."
