"""Calibrated probabilities of the vote, and the set of classes that a case may have.

One temperature makes the mean probabilities of the patches sharper or softer (Guo et al. 2017, section 4.2). A split
conformal threshold of each class then says which probability is too small for a case of it (Vovk 2012, label
conditional; Sadinle, Lei and Wasserman 2019). Both are fitted to validation cases and kept with the weights.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classification.model import weightfile
from cxr.run import checksum, engine

KEY = "calibration"  # where a weights file keeps it
REPEAT = 100  # patches that calibrations were fitted with which do not tell, as those of the weights that ship
LEVEL = 0.9  # of the cases of each class, so many have it in their set
LEAST = 1e-6  # raw probabilities count as this at least


def fit(p: np.ndarray, truth: Sequence[int], patients: Sequence, names: Sequence[str]) -> dict:
    """What apply() and sets() need, in plain types: temperature; level; of each class its threshold, and how many
    patients have it; cases.

    p (n, classes) mean probabilities, truth (n,) indices into `names`, patients (n,) of any hashable kind.

    The temperature minimises the negative log-likelihood, each patient counting once, plus (ln T)^2 / 2: a prior that
    weighs less than one patient and keeps T finite where validation is all right. The threshold of a class is the
    LEVEL quantile of 1 - p of the class over its cases, each patient counting once and one more patient at infinity,
    which is valid for a new patient's case where patients are exchangeable (Lee, Barber and Willett 2023, hierarchical
    conformal prediction); with one case a patient it is split conformal prediction. Of fewer than 9 patients it is 1,
    and the class belongs to every set. Raises ValueError for no cases.
    """
    from scipy.optimize import minimize_scalar  # here, since those that only predict need no scipy

    p, truth = np.asarray(p, float), np.asarray(truth, int)
    if not len(p):
        raise ValueError("there are no cases with a label to calibrate on.")
    member, _ = pd.factorize(np.asarray(patients, object))
    weights = 1 / np.bincount(member)[member]

    def loss(log_temperature: float) -> float:
        found = apply(p, {"temperature": np.exp(log_temperature)})[np.arange(len(p)), truth]
        return float(-weights @ np.log(found.clip(1e-300)) + log_temperature**2 / 2)

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-6}).x))
    scores = 1 - apply(p, {"temperature": temperature})
    thresholds, counts = {}, {}
    for c, name in enumerate(names):
        own = truth == c
        thresholds[name] = _threshold(scores[own, c], member[own])
        counts[name] = len(set(member[own]))
    about = {"temperature": temperature, "level": LEVEL, "thresholds": thresholds, "patients": counts}
    return about | {"cases": len(p)}


def _threshold(scores: np.ndarray, member: np.ndarray) -> float:
    """The conformal quantile of scores (n,) of patients `member` (n,): 1, where these are too few."""
    _, index, sizes = np.unique(member, return_inverse=True, return_counts=True)
    order = np.argsort(scores)
    reached = np.cumsum(1 / sizes[index][order]) >= LEVEL * (len(sizes) + 1) - 1e-9
    return float(scores[order][reached.argmax()]) if reached.any() else 1.0


def apply(p: np.ndarray, found: Mapping) -> np.ndarray:
    """Calibrated probabilities (..., classes): p ** (1 / temperature), made to sum to 1. The order of classes stays."""
    raised = np.clip(p, LEAST, 1) ** (1 / found["temperature"])
    return raised / raised.sum(-1, keepdims=True)


def undo(p: np.ndarray, found: Mapping) -> np.ndarray:
    """The mean probabilities that apply() made these of. At small temperatures many are small, and none is cut off."""
    raised = p ** found["temperature"]
    return raised / raised.sum(-1, keepdims=True)


def slope(patches: np.ndarray, p: np.ndarray, found: Mapping, c: int) -> np.ndarray:
    """How each of K patches (K, classes) moves the calibrated probability of class c, up to a constant: (K,). p
    (classes,) is the patches' mean (the delta method: the derivative of apply())."""
    share, p = apply(p, found), np.clip(p, LEAST, 1)
    return share[c] / found["temperature"] * (patches[:, c] / p[c] - patches / p @ share)


def sets(p: np.ndarray, found: Mapping) -> np.ndarray:
    """Which classes belong to the set of calibrated p (..., classes): bool, of any number of classes, also none."""
    return 1 - p <= np.array([*found["thresholds"].values()])


def kept(weights: Path | Sequence[Path], settings) -> tuple[dict | None, list[str]]:
    """The calibration of a weights file where settings.calibrate wants one and it fits, and sentences for the user.
    It fits its approach, and as many patches as it was fitted with or more: the mean of fewer scatters more. Raises
    ValueError for a file that cannot be read."""
    if not settings.calibrate:
        return None, []
    raw = "p_<class> are the raw means of the patches, without sets"
    if not isinstance(weights, Path):
        return None, [f"several networks together keep no calibration: {raw}"]
    found = weightfile.read(weights)[2][KEY]
    if not found:
        return None, [f"these weights keep no calibration: {raw}; fit one with classification/calibrate.py"]
    if found["approach"] != settings.approach:
        return None, [f"these weights were calibrated for approach={found['approach']}: {raw}"]
    least = found.get("repeat", REPEAT)
    if settings.approach == "local" and settings.repeat < least:
        return None, [f"these weights were calibrated by the vote of {least} patches, whose mean scatters less: {raw}"]
    few = [name for name, threshold in found["thresholds"].items() if threshold >= 1]
    return found, [f"every set holds {', '.join(few)}, with too few validation patients for a threshold"] if few else []


def keep(weights: Path, found: dict, output: Path) -> None:
    """Write a weights file with its calibration. Raises ValueError for one that is none of this project's."""
    if weights.suffix == ".safetensors":
        state, held = weightfile.parts(weights)
    else:
        held = engine.load(weights)
    if "classes" not in held:
        raise ValueError(f"{weights} does not tell its classes; give best.pt of classification/train.py.")
    if weights.suffix == ".safetensors":
        checksum.save(state, output, held | {KEY: json.dumps(found)})
    else:
        engine.save(held | {KEY: found}, output)
