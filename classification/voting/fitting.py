"""The calibration of weights, fitted to cases with a label: after a training, and for calibrate.py."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from classification.cases import stream
from classification.cases.finder import Case
from classification.model import classifier
from classification.voting import calibration, predict, predictions
from cxr import tables
from cxr.errors import BadData
from cxr.run import caselist, engine


def after_training(fabric, settings, run: Path, cases: list[Case]) -> None:
    """Fit the calibration of a finished run's best weights to its validation cases and keep it in best.pt, if it is
    not there yet: a run killed before that does so when it is started again. Every process calls this. Raises
    ValueError for a best.pt that cannot be read, and BadPair."""
    best = run / "best.pt"
    if not best.exists() or calibration.KEY in engine.load(best):
        return
    try:
        patient_of, _ = predictions.patients(cases, [Path(settings.dir_split) / "val"], settings)
    except ValueError as error:  # a training needs no table of patients
        fabric.print(f"Note: each validation case counts as a patient of its own: {error}")
        patient_of = {(case.folder, case.case): i for i, case in enumerate(cases)}
    found = of_cases(fabric, best, settings, cases, [patient_of[case.folder, case.case] for case in cases])
    if fabric.is_global_zero:
        calibration.keep(best, found, best)
        print(told(found))
    fabric.barrier()


def of_cases(fabric, weights: Path, settings, cases: Sequence[Case], patients: Sequence) -> dict:
    """The calibration of weights, by the vote of `repeat` patches on cases with a label; the processes share them.
    Raises ValueError, BadPair."""
    model, settings, names, _ = classifier.open_classifier(weights, settings)
    predict.check(settings, model)
    predict.ready(model, fabric.device, settings.compile)

    def mean(case, image, lung):
        p, _ = predict.predict_image(model, image, lung, settings, case.case, fabric.device)
        return p.astype(np.float64).mean(0)

    p = stream.shared(fabric, cases, settings, mean)
    about = {"approach": settings.approach, "repeat": settings.repeat}
    return calibration.fit(p, [case.label for case in cases], patients, names) | about


def of_table(file: Path, weights: Path, settings) -> dict:
    """The calibration of weights by a predictions.csv of raw probabilities, such as one of a cross-validation, with the
    report.json and metrics.json beside it. Raises ValueError, also for another approach and for cases that whoever
    predicted them was trained on."""
    _, settings, names, _ = classifier.open_classifier(weights, settings)
    rows, known = predictions.read(file)
    if {*known} != {*names}:
        raise BadData(f"{file} knows {', '.join(known)}, and the weights {', '.join(names)}.")
    if "set" in rows and (rows["set"] != "").any():
        raise BadData(f"{file} holds probabilities that are calibrated already; predict again with calibrate=False.")
    rows = rows[(rows.predicted != "") & (rows.label != "")]
    with tables.used(f"report.json or metrics.json beside {file}"):
        made = {**(predictions.beside(file, "report.json").get("settings") or {})}
        measured = predictions.beside(file, "metrics.json")
        seen = (measured.get(caselist.NAME) or {}).get("train")
    if not {"approach", "repeat"} <= {*made} or measured.get("cases") != len(rows):
        raise BadData(f"report.json and metrics.json beside {file} do not tell of its cases; predict them in one run.")
    if made["approach"] != settings.approach:
        raise BadData(f"{file} was made with approach={made['approach']}, and the weights take {settings.approach}.")
    if seen:
        raise BadData(f"{file} was made by weights that were trained on {seen} of its cases; predict others.")
    truth, _, p, patients = predictions.columns(rows, names)
    return calibration.fit(p, truth, patients, names) | {name: made[name] for name in ("approach", "repeat")}


def told(found: dict) -> str:
    """What was fitted, in a sentence."""
    thresholds = ", ".join(f"{name} {value:.2f}" for name, value in found["thresholds"].items())
    return (
        f"Calibrated on {found['cases']} validation cases: temperature {found['temperature']:.3f}; a class belongs to "
        f"the set of a case if 1 - p is at most: {thresholds}."
    )
