"""Random changes of a training radiograph and its label map, before equalisation: as other patients, beds, machines and
copies would have made it (cxr/shifts)."""

import numpy as np

from cxr.labels import HEART, LEFT, RIGHT
from cxr.shifts import copies, exposure, geometry, objects, opacities

# Each with the range that its strength is drawn from: as far as the shift suite goes, or a little less
_OPACITIES = (
    (opacities.consolidate, 0.05, 0.6),
    (opacities.haze, 0.2, 0.95),
    (opacities.effuse, 0.05, 0.6),
    (opacities.collapse, 0.1, 0.5),
    (opacities.white_out, 0.2, 1.0),
)
_OBJECTS = (
    (objects.collimate, 0.02, 0.15),
    (objects.border, 0.02, 0.1),
    (objects.letter, 0.015, 0.05),
    (objects.leads, 1, 6),
    (objects.tubes, 1, 3.99),
    (objects.pacemaker, 0.2, 0.6),
)
_COPIES = (
    (copies.resample, 160, 400),
    (copies.jpeg, 20, 80),
    (copies.unsharp, 0.3, 4),
    (copies.enhance_edges, 0.5, 4),
    (copies.enhance_edges, 0.5, 4),
    (copies.blur, 0.0005, 0.004),
    (copies.noise, 0.005, 0.07),
)
_EXPOSURES = (
    (exposure.narrow_window, 0.01, 0.15),
    (exposure.burn_out, 0.02, 0.25),
    (exposure.gamma, 0.5, 2),
    (exposure.local_contrast, 1, 8),
)


def augment(image: np.ndarray, labels: np.ndarray, settings, rng: np.random.Generator):
    """(H, W) float32 0..1 and (H, W) uint8 labels -> the same kinds, changed by what the settings allow."""
    image, labels = _move(image, labels, settings, rng)
    if rng.random() < settings.flip:
        image, labels = np.ascontiguousarray(image[:, ::-1]), mirror_labels(labels)
    if rng.random() < settings.opacity:
        for change, low, high in _some(_OPACITIES, rng):
            image, labels = change(image, labels, rng.uniform(low, high), rng)
    if rng.random() < settings.objects:
        for change, low, high in _some(_OBJECTS, rng):
            image, labels = change(image, labels, rng.uniform(low, high), rng)
    if rng.random() < settings.copies:
        for change, low, high in _some(_COPIES, rng):
            image = change(image, rng.uniform(low, high), rng)
    if rng.random() < settings.exposure:
        change, low, high = _EXPOSURES[rng.integers(len(_EXPOSURES))]
        image = change(image, rng.uniform(low, high), rng)
    return np.ascontiguousarray(np.clip(image, 0, 1), np.float32), np.ascontiguousarray(labels)


def brighten(image: np.ndarray, settings, rng: np.random.Generator) -> np.ndarray:
    """(H, W) 0..255 after equalisation, with another contrast and brightness: how much of the radiograph is lung, bed
    and collimator shifts every rank."""
    image = 255 * np.clip(image / 255, 0, 1) ** np.exp(rng.uniform(-1, 1) * np.log1p(settings.contrast))
    return np.clip(image + rng.uniform(-1, 1) * settings.contrast / 5 * 255, 0, 255).astype(np.float32)


def mirror_labels(labels: np.ndarray) -> np.ndarray:
    """The labels of the mirror image: what was the left lung is now on the right lung's side, and is called so."""
    swap = np.array([0, HEART, RIGHT, LEFT, 4], np.uint8)
    return swap[labels[..., ::-1]]


def _move(image, labels, settings, rng):
    angle = rng.uniform(-settings.rotation, settings.rotation)
    size = np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale))
    squeeze = np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale))  # copies are squeezed to squares, children broad
    down, right = rng.uniform(-settings.shift, settings.shift, 2)
    # Outside is black, as beyond the collimator, or the edge drawn out, as in a closer view.
    return geometry.move(image, labels, angle, size, squeeze, down, right, edge=rng.random() < 0.5)


def _some(changes, rng):
    """One of the changes, or in three of ten cases two."""
    return [changes[i] for i in rng.choice(len(changes), 2 if rng.random() < 0.3 else 1, replace=False)]
