"""What chance makes of a radiograph: a patient's measures and the pose of one exposure, by the seed and names alone."""

import hashlib
from types import SimpleNamespace
from typing import Any

import numpy as np


def keyed_rng(seed: int, *names: Any) -> np.random.Generator:
    """A numpy Generator that depends on the seed and the names alone: never on order, counts or processes."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return np.random.default_rng([int(seed), *np.frombuffer(digest, "<u4").tolist()])


def draw_patient(rng: np.random.Generator) -> SimpleNamespace:
    """Measures of one person that no two exposures change: sex, age, habitus, lung and heart size (a namespace)."""
    sex = "F" if rng.random() < 0.5 else "M"
    age = int(rng.integers(19, 86))
    habitus = float(np.clip(rng.normal(), -1.8, 1.8))  # lean to heavy
    return SimpleNamespace(
        sex=sex,
        age=age,
        habitus=habitus,
        width=float(np.clip(rng.normal(0.955 if sex == "F" else 1.0, 0.035), 0.87, 1.06)),
        height=float(np.clip(rng.normal(0.95 if sex == "F" else 1.0, 0.04) - 0.015 * habitus, 0.84, 1.07)),
        left_width=float(rng.normal(1.0, 0.015)),  # asymmetry of the two hemithoraces
        ctr=float(np.clip(rng.normal(0.455 + 0.0007 * (age - 50) + 0.012 * habitus, 0.04), 0.38, 0.58)),
        heart_right=float(rng.uniform(0.26, 0.35)),  # share of the heart's width right of the midline
        knob=float(np.clip(18 + 0.28 * (age - 30) + rng.normal(0, 5), 10, 42)),
        dome_right=float(rng.normal(0, 14)),
        dome_gap=float(rng.uniform(8, 34)),  # the right dome stands this much above the left
        dome_lateral=float(rng.uniform(95, 135)),
        breast=float(rng.uniform(1.2, 4.2)) if sex == "F" else 0.0,
        bubble=bool(rng.random() < 0.75),
        scoliosis=float(rng.normal(0, 5)),
        bone=float(np.clip(rng.normal(1.08 - 0.004 * (age - 40), 0.08), 0.7, 1.25)),
        clavicle=float(rng.normal(0, 10)),
    )


def draw_pose(rng: np.random.Generator, view: str = "PA") -> SimpleNamespace:
    """What changes between two exposures of one person: inspiration, turn, tilt, place, magnification (a namespace)."""
    portable = view.startswith("AP")
    return SimpleNamespace(
        view=view,
        portable=portable,
        breath=float(rng.normal(-34 if portable else 0, 14)),  # units; below zero the domes stand higher
        tilt=float(np.deg2rad(np.clip(rng.normal(0, 2.2 if portable else 1.1), -5, 5))),
        turn=float(np.clip(rng.normal(0, 10 if portable else 5), -20, 20)),  # shift of what lies in front, in units
        shift=(float(np.clip(rng.normal(0, 13), -30, 30)), float(np.clip(rng.normal(0, 14), -30, 30))),
        zoom=float(np.clip(rng.normal(0.985, 0.018), 0.93, 1.03)),
        magnify=1.10 if portable else 1.0,  # of the heart, which lies nearer to the tube in AP
    )
