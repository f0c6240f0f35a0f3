"""What would a split by image be worth? The same cases, read by models that do and do not know their patients."""

import numpy as np
import pandas as pd

from classification.trust import answers, probe, views
from classification.trust.part import Figure, Part
from classification.trust.subject import Subject
from cxr.stats import bootstrap

TITLE = "What would a split by image be worth?"
MEANS = "By so much a split by image flatters every figure, since images of one patient lie on both sides of it."
SEEDS = 5  # of the folds


def measure(subject: Subject) -> Part:
    """The accuracy of a small model (probe.py) on the network's frozen features (answers.py), every case predicted once
    by models of folds by image and once of folds by patient, over SEEDS seeds of the folds; their paired difference
    over all cases, and over those whose patient has several. It accuses nobody: it tells what a split is worth."""
    if subject.model is None:
        return Part("leakage", TITLE, MEANS, [], "No network, no features to train on.", None, probe.NO_NETWORK)
    patient = subject.patient
    several = pd.Series(patient).duplicated(keep=False).to_numpy()
    if len(set(patient[several])) < probe.LEAST:
        missing = f"It takes {probe.LEAST} patients with several images."
        return Part("leakage", TITLE, MEANS, [], "Hardly a patient has several images.", None, missing)
    x = answers.of_cases(subject)[views.LUNGS].features
    right = {"image": np.arange(len(patient)), "patient": patient}
    for name, unit in right.items():
        seeds = range(subject.seed, subject.seed + SEEDS)
        held = [probe.out_of_fold(x, subject.label, unit, seed).argmax(1) == subject.label for seed in seeds]
        right[name] = np.mean(held, 0)
    gap = right["image"] - right["patient"]
    figures = {f"accuracy by {name}": _mean(values, patient) for name, values in right.items()}
    figures["by image less by patient"] = _mean(gap, patient)
    figures["the same, patients with several images"] = _mean(gap[several], patient[several])
    verdict = (
        f"Split by image the same cases are read with accuracy {probe.told(figures['accuracy by image'])}, split by "
        f"patient with {probe.told(figures['accuracy by patient'])}; the difference is "
        f"{probe.told(figures['by image less by patient'])}."
    )
    return Part("leakage", TITLE, MEANS, probe.named(figures), verdict, False)


def _mean(values: np.ndarray, patient: np.ndarray) -> Figure:
    low, high = bootstrap.mean_interval(values, patient)
    return Figure("", float(values.mean()), low, high, len(values), len(set(patient)), f"mean of {SEEDS} seeds")
