"""The calibration of weights, fitted to cases with a label: after a training, and for calibrate.py."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from classification.cases import stream
from classification.cases.finder import Case
from classification.model import classifier
from classification.voting import calibration, predict, predictions
from cxr.errors import BadData
from cxr.run import engine


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
    """The calibration of weights by a predictions.csv of raw probabilities, such as one of a cross-validation. Raises
    ValueError."""
    _, settings, names, _ = classifier.open_classifier(weights, settings)
    rows, known = predictions.read(file)
    if {*known} != {*names}:
        raise BadData(f"{file} knows {', '.join(known)}, and the weights {', '.join(names)}.")
    if "set" in rows and (rows["set"] != "").any():
        raise BadData(f"{file} holds probabilities that are calibrated already; predict again with calibrate=False.")
    truth, _, p, patients = predictions.columns(rows[(rows.predicted != "") & (rows.label != "")], names)
    made = predictions.beside(file, "report.json").get("settings") or {}
    about = {"approach": settings.approach, "repeat": made.get("repeat", settings.repeat)}
    return calibration.fit(p, truth, patients, names) | about


def told(found: dict) -> str:
    """What was fitted, in a sentence."""
    thresholds = ", ".join(f"{name} {value:.2f}" for name, value in found["thresholds"].items())
    return (
        f"Calibrated on {found['cases']} validation cases: temperature {found['temperature']:.3f}; a class belongs to "
        f"the set of a case if 1 - p is at most: {thresholds}."
    )
