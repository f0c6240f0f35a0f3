"""Whether a pair shows a frontal chest radiograph, by its look alone, whatever the classifier.

Two thumbnails decide. That of the equalised picture goes through a principal component analysis; a logistic regression
of the components, their squares and what they leave over tells radiographs from their turned, inverted and cut copies
and from noise. That of the lung mask gives where each half of the lungs lies and how large it is, whose Mahalanobis
distance from real ones counts beside it, up to a limit: a lung that stage 1 lost refuses no radiograph by itself.
weights/make_frontal.py fits both.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from cxr.run import checksum

SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "frontal.safetensors"
SIDE = 32  # pixels of a thumbnail
MOST_OF_MASK = 2.0  # times the distance that 1 % of real masks exceed
LEAST_LUNG = 0.01  # share of the picture, added to each half's so that one without lung has a logarithm
FARTHEST = 99.0  # a greater score says no more


class Gate(NamedTuple):
    """What weights/make_frontal.py fitted; arrays of float32."""

    mean: np.ndarray  # (SIDE ** 2,) of the pictures
    components: np.ndarray  # (K, SIDE ** 2) principal components of unit length
    deviation: np.ndarray  # (K,) of the pictures along them
    weight: np.ndarray  # (2 K + 2,) of the logistic regression
    picture: np.ndarray  # (2,) its logit's median over real pictures, and what 1 % of them fall below
    shape: np.ndarray  # (10,) mean of shape() over real masks
    precision: np.ndarray  # (10, 10) its inverse covariance, in units of the distance that 1 % of real masks exceed
    limit: np.ndarray  # (1,) sum of both parts that 0.5 % of real pairs exceed


def load(path: Path = SHIPPED) -> Gate:
    """The gate of a file. Raises ValueError."""
    try:
        with safe_open(path, "np") as file:
            found = Gate(**{name: file.get_tensor(name).astype(np.float32) for name in Gate._fields})
        with safe_open(path, "pt") as file:
            checksum.check(path, {name: file.get_tensor(name) for name in file.keys()}, file.metadata())
    except (FileNotFoundError, OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error}): restore it, or switch refusal off by refuse=0.") from error
    return found


def thumbnails(image: np.ndarray, mask: np.ndarray, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Picture and lung of a pair (H, W), within what is not blank, as (side, side) float32 means over areas."""
    filled = image > 0 if image.any() else np.ones(image.shape, bool)
    rows, columns = (np.flatnonzero(filled.any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return tuple(
        cv2.resize(part[box].astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for part in (image, mask)
    )


def standardise(pictures: np.ndarray) -> np.ndarray:
    """Thumbnails (N, h, w) as rows (N, h * w) of mean 0 and deviation 1."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / (flat.std(1, keepdims=True) + 1e-6)


def features(rows: np.ndarray, mean, components, deviation) -> np.ndarray:
    """What the logistic regression takes of standardise()d pictures: (N, 2 K + 2)."""
    away = rows - mean
    along = away @ components.T
    left = np.maximum((away**2).mean(1) - (along**2).sum(1) / rows.shape[1], 1e-6)[:, None]
    along = along / deviation
    return np.concatenate([along, along**2, left, np.log(left)], 1).clip(-30, 60)


def shape(lungs: np.ndarray) -> np.ndarray:
    """(N, 10) of lung thumbnails (N, h, w): of the left and the right half of each the logarithm of its area, the
    middle's row and column and the spread in both; a half without lung counts as lying in the half's middle."""
    middle = lungs.shape[2] // 2
    return np.concatenate([_half(lungs[:, :, :middle]), _half(lungs[:, :, middle:])], 1)


def _half(lungs: np.ndarray) -> np.ndarray:
    total = lungs.sum((1, 2))
    found = [np.log(total / lungs[0].size / 2 + LEAST_LUNG)]
    for axis in (2, 1):
        profile = np.where(total[:, None] > 0, lungs.sum(axis), 1e-9)
        at = (np.arange(profile.shape[1]) + 0.5) / lungs.shape[1]
        middle = profile @ at / profile.sum(1)
        found += [middle, np.sqrt(((at - middle[:, None]) ** 2 * profile).sum(1) / profile.sum(1))]
    return np.stack(found, 1)


def parts(gate: Gate, pictures: np.ndarray, lungs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How unusual pictures and lungs (N, SIDE, SIDE) are: two (N,), of which 1 % of real ones exceed 1."""
    logit = features(standardise(pictures), gate.mean, gate.components, gate.deviation) @ gate.weight
    middle, low = gate.picture
    away = shape(lungs) - gate.shape
    distance = np.sqrt(np.einsum("ni,ij,nj->n", away, gate.precision, away))
    return (middle - logit) / (middle - low), np.minimum(distance, MOST_OF_MASK)


def score(gate: Gate, image: np.ndarray, mask: np.ndarray) -> float:
    """How unusual a pair (H, W) is for a frontal chest radiograph: below 0 for the most usual, 1 at the limit that
    0.5 % of real ones exceed, FARTHEST at most."""
    picture, lung = thumbnails(image, mask)
    (one,), (other,) = parts(gate, picture[None], lung[None])
    return float(min((one + other) / gate.limit[0], FARTHEST))
