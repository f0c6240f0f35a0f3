"""The shift suite: one radiograph as other hospitals would have made and copied it, each change at fixed strengths.

Everything is applied to the radiograph before preprocessing and depends on the seed, the shift and the case only.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cxr.shifts import copies, exposure, geometry, objects, opacities

LUNGS = opacities.LUNGS  # labels of the left and the right lung


class Shift(NamedTuple):
    """A named change of one strength: change(image, labels, strength, rng) -> image, labels."""

    name: str
    kind: str  # copy, exposure, geometry, object or opacity
    change: Callable
    strength: float


def _grey(function: Callable) -> Callable:
    """A change of grey alone as one of image and labels."""
    return lambda image, labels, strength, rng: (function(image, strength, rng), labels)


_KINDS = (
    ("copy", "resampled to {:g}", _grey(copies.resample), (384, 512, 768, 2048)),
    ("copy", "JPEG {:g}", _grey(copies.jpeg), (60, 30)),
    ("copy", "unsharp mask {:g}", _grey(copies.unsharp), (1, 3)),
    ("copy", "edge enhancement {:g}", _grey(copies.enhance_edges), (1, 3)),
    ("copy", "blur {:g}", _grey(copies.blur), (0.001, 0.003)),
    ("copy", "noise {:g}", _grey(copies.noise), (0.02, 0.06)),
    ("exposure", "narrow window {:g}", _grey(exposure.narrow_window), (0.05, 0.15)),
    ("exposure", "burnt out {:g}", _grey(exposure.burn_out), (0.1, 0.25)),
    ("exposure", "gamma {:g}", _grey(exposure.gamma), (0.5, 2)),
    ("exposure", "CLAHE {:g}", _grey(exposure.local_contrast), (2, 6)),
    ("geometry", "rotation {:g}", geometry.rotate, (5, 10)),
    ("geometry", "magnification {:g}", geometry.magnify, (1.08, 1.15)),
    ("geometry", "off-centre {:g}", geometry.off_centre, (0.04, 0.08)),
    ("geometry", "width times {:g}", geometry.squeeze, (0.8, 1.25)),
    ("object", "collimation {:g}", objects.collimate, (0.06, 0.12)),
    ("object", "border {:g}", objects.border, (0.05, 0.12)),
    ("object", "lettering {:g}", objects.letter, (0.02, 0.05)),
    ("object", "leads {:g}", objects.leads, (3, 6)),
    ("object", "tubes {:g}", objects.tubes, (2, 3)),
    ("object", "pacemaker {:g}", objects.pacemaker, (0.3, 0.6)),
    ("opacity", "consolidation {:g}", opacities.consolidate, (0.15, 0.4)),
    ("opacity", "diffuse opacity {:g}", opacities.haze, (0.4, 0.8)),
    ("opacity", "effusion {:g}", opacities.effuse, (0.2, 0.4)),
    ("opacity", "atelectasis {:g}", opacities.collapse, (0.2, 0.4)),
    ("opacity", "white-out {:g}", opacities.white_out, (0.3, 0.6)),
)
SUITE = tuple(
    Shift(name.format(strength), kind, change, strength)
    for kind, name, change, strengths in _KINDS
    for strength in strengths
)


def choose(names: list[str]) -> list[Shift]:
    """The shifts called by name, by the beginning of their names, or by kind; all for none. Raises ValueError for a
    name that is none of them."""
    if not names:
        return list(SUITE)
    chosen = [[s for s in SUITE if s.kind == name or s.name.startswith(name)] for name in names]
    for name, found in zip(names, chosen, strict=True):
        if not found:
            known = ", ".join(dict.fromkeys(s.name.rsplit(" ", 1)[0] for s in SUITE))
            raise ValueError(
                f"there is no shift {name!r}; there are {known}, and the kinds copy, exposure, geometry, "
                "object and opacity."
            )
    return list(dict.fromkeys(shift for found in chosen for shift in found))


def shifted(shift: Shift, pixels: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator):
    """A radiograph (H, W) uint8 or uint16 and its label map (H, W) uint8, or None, as the shift makes them.

    The image keeps its type; uint16 is stretched to the full range. Opacities need labels and raise ValueError without.
    """
    if shift.kind == "opacity" and labels is None:
        raise ValueError(f"{shift.name} needs to know where the lungs are; give labels.")
    image, most = unit(pixels), np.iinfo(pixels.dtype).max
    image, labels = shift.change(image, labels, shift.strength, rng)
    return (np.clip(image, 0, 1) * most).round().astype(pixels.dtype), labels


def unit(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 or uint16 -> float32 0..1: uint8 as it is, uint16 from its own darkest to its brightest pixel."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255
    low, high = int(pixels.min()), int(pixels.max())
    return (pixels.astype(np.float32) - low) / max(high - low, 1)
