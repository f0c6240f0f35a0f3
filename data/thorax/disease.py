"""Disease drawn into the lungs: how much of the air at every pixel is filled, and the exact mask of the lesion.

Each pattern is a caricature of what the literature calls typical: bacterial pneumonia fills a lobe or a part of one,
with air bronchograms; tuberculosis makes a thick-walled cavity amid patches in an upper lobe; viral pneumonia draws a
diffuse net from the hila; COVID-19 lays ground glass on both lungs' periphery, lower zones first. `severity` runs from
0 to 1 over the images of a patient.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from data.thorax.anatomy import MIDLINE, look_up
from data.thorax.lungs import hilum, wavy

SEEN = 0.12  # a lesion's mask holds what fills at least this share of the air


def soft(field: np.ndarray, edge: float) -> np.ndarray:
    """0 below -edge, 1 above edge, smooth between."""
    t = np.clip(field / (2 * edge) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def lung_point(body: SimpleNamespace, side: str, level: float, out: float) -> tuple[float, float]:
    """A canonical point in a lung: `level` from apex (0) to dome (1), `out` from hilum side (0) to chest wall (1)."""
    y = body.top + level * (body.tops[side] - body.top)
    inner, outer = (float(look_up(table[side], np.float32(y))) for table in (body.medial, body.lateral))
    sign = 1 if side == "left" else -1
    return MIDLINE + sign * (inner + out * (outer - inner)), y


def blob(
    place_of: SimpleNamespace,
    centre: tuple[float, float],
    radii: Sequence[float],
    rough: np.ndarray,
    edge: float,
    ragged: float = 0.35,
) -> np.ndarray:
    """A lobulated patch about a canonical centre, 0..1."""
    away = np.hypot((place_of.x - np.float32(centre[0])) / radii[0], (place_of.y - np.float32(centre[1])) / radii[1])
    return soft(1 - away + ragged * rough, edge)


def draw_consolidation(
    body: SimpleNamespace, place_of: SimpleNamespace, severity: float, rng: np.random.Generator
) -> tuple:
    """Focal lobar consolidation: one lobe's part, one straight fissure edge, branching air left open."""
    side = "right" if rng.random() < 0.6 else "left"
    level, out = ((0.34, 0.55), (0.62, 0.45), (0.84, 0.5))[rng.integers(3)]
    centre = lung_point(body, side, level + rng.normal(0, 0.03), out + rng.normal(0, 0.06))
    size = (0.75 + 0.45 * severity) * rng.uniform(0.9, 1.15)
    shape = place_of.out.shape
    patch = blob(place_of, centre, (118 * size, 100 * size), wavy(shape, rng, 6), 0.22, 0.22)
    if level < 0.5:  # the minor fissure: a sharp, nearly level floor
        patch = patch * soft(centre[1] + 58 * size - place_of.y + 0.06 * (place_of.x - centre[0]), 3)
    hub = hilum(body, side)
    angle = np.arctan2(place_of.y - np.float32(hub[1]), place_of.x - np.float32(hub[0])) + 0.12 * wavy(shape, rng, 10)
    tubes = np.clip(1 - np.abs(np.sin(angle * 6)) / 0.16, 0, 1) * soft(wavy(shape, rng, 12), 0.6)
    texture = 0.86 + 0.10 * wavy(shape, rng, 24, 2)
    return patch * np.clip(texture, 0.5, 1) * (0.62 + 0.3 * severity) * (1 - 0.38 * tubes), {side}


def draw_cavity(body: SimpleNamespace, place_of: SimpleNamespace, severity: float, rng: np.random.Generator) -> tuple:
    """Upper-lobe tuberculosis: a thick-walled cavity, patches and nodules about it, sometimes spread across."""
    side = "right" if rng.random() < 0.6 else "left"
    shape = place_of.out.shape
    centre = lung_point(body, side, rng.uniform(0.2, 0.33), rng.uniform(0.42, 0.62))
    radius = rng.uniform(34, 52) * (0.85 + 0.35 * severity)
    rough = wavy(shape, rng, 10)
    away = np.hypot(place_of.x - np.float32(centre[0]), (place_of.y - np.float32(centre[1])) * 1.12) + 5 * rough
    wall = np.exp(-(((away - radius) / (0.24 * radius)) ** 2)) * 0.75
    around = blob(place_of, (centre[0], centre[1] + 20), (125, 120), rough, 0.5, 0.5)
    nodules = soft(wavy(shape, rng, 52, 1) - 1.1, 0.9) * around
    filled = np.maximum(wall, (0.20 + 0.16 * severity) * around * np.clip(0.7 + 0.4 * wavy(shape, rng, 22), 0, 1.3))
    filled = np.maximum(filled, 0.42 * nodules)
    inside = away < radius
    lesion = inside | (wall > SEEN) | (around > 0.3)
    filled = np.where(inside, np.minimum(filled, wall), filled)
    sides = {side}
    if severity > 0.6:  # bronchogenic spread to the other upper zone
        other = "left" if side == "right" else "right"
        spread = blob(place_of, lung_point(body, other, 0.36, 0.5), (90, 80), wavy(shape, rng, 8), 0.5, 0.5)
        spots = spread * (0.12 + 0.35 * soft(wavy(shape, rng, 52, 1) - 0.9, 0.9))
        filled = np.maximum(filled, spots)
        lesion |= spread > 0.3
        sides.add(other)
    return filled, sides, lesion


def draw_interstitial(
    body: SimpleNamespace, place_of: SimpleNamespace, severity: float, rng: np.random.Generator
) -> tuple:
    """Diffuse reticular pattern of both lungs, thickest about the hila and towards the bases."""
    shape = place_of.out.shape
    net = np.zeros(shape, np.float32)
    for cells, strength in ((60, 1.0), (96, 0.8)):
        net = np.maximum(net, strength * np.exp(-((wavy(shape, rng, cells, 1) / 0.22) ** 2)))
    centre = np.zeros(shape, np.float32)
    for side in ("left", "right"):
        x, y = hilum(body, side)
        centre += np.exp(-(((place_of.x - np.float32(x)) / 170) ** 2) - ((place_of.y - np.float32(y + 60)) / 230) ** 2)
    weight = np.clip((0.45 + 0.75 * centre) * (1 + 0.25 * wavy(shape, rng, 5)), 0.15, 1.2)
    haze = 0.10 * weight
    filled = (0.16 + 0.16 * severity) * weight * net + haze * (0.5 + severity)
    return filled, {"left", "right"}, weight * (0.8 + 0.4 * severity) > 0.38


def draw_ground_glass(
    body: SimpleNamespace, place_of: SimpleNamespace, severity: float, rng: np.random.Generator
) -> tuple:
    """Bilateral peripheral ground glass: hazy rounded patches by the chest wall through which vessels stay visible."""
    shape = place_of.out.shape
    filled = np.zeros(shape, np.float32)
    for side in ("left", "right"):
        for _ in range(int(rng.integers(2, 4)) + round(1.5 * severity)):
            centre = lung_point(body, side, float(np.clip(rng.normal(0.68, 0.16), 0.3, 0.95)), rng.uniform(0.7, 0.98))
            radii = rng.uniform(58, 92, 2) * (0.85 + 0.4 * severity) * (0.85, 1.2)
            patch = blob(place_of, centre, radii, wavy(shape, rng, 7), 0.55, 0.3)
            filled = 1 - (1 - filled) * (1 - patch * rng.uniform(0.30, 0.42))
    grain = np.clip(1 + 0.13 * wavy(shape, rng, 70, 1), 0.6, 1.4)
    return filled * grain * (0.85 + 0.35 * severity), {"left", "right"}


def draw_nodule(body: SimpleNamespace, place_of: SimpleNamespace, severity: float, rng: np.random.Generator) -> tuple:
    """A solitary nodule of 5 to 20 mm, as in the JSRT set's nodule cases."""
    side = "right" if rng.random() < 0.5 else "left"
    centre = lung_point(body, side, rng.uniform(0.2, 0.85), rng.uniform(0.3, 0.75))
    radius = rng.uniform(9, 28)
    away = np.hypot(place_of.x - np.float32(centre[0]), place_of.y - np.float32(centre[1])) / radius
    away = away + 0.08 * wavy(place_of.out.shape, rng, 20)
    ball = np.sqrt(np.clip(1 - away**2, 0, 1)) * radius * 2 * 0.035 / 9  # its chord over the lung's depth
    return (ball * 1.3).astype(np.float32), {side}, away < 1


PATTERNS = {
    "bacteria": draw_consolidation,
    "Tuberculosis": draw_cavity,
    "virus": draw_interstitial,
    "COVID-19": draw_ground_glass,
    "nodule": draw_nodule,
}


def draw_disease(
    name: str,
    body: SimpleNamespace,
    place_of: SimpleNamespace,
    labels: np.ndarray,
    severity: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the air filled (H, W) float32 in 0..0.95, and the lesion's mask (H, W) uint8 0/1, inside the lungs only.

    Air hidden behind heart and diaphragm fills as well, as it does in a patient; the mask holds what a reader could
    outline, which is lesion within the lungs' labels.
    """
    filled, sides, *lesion = PATTERNS[name](body, place_of, severity, rng)
    reach = place_of.left == ("left" in sides) if len(sides) == 1 else np.ones_like(place_of.left)
    filled = np.clip(filled * reach, 0, 0.95).astype(np.float32)
    seen = lesion[0] & reach if lesion else filled > SEEN
    return filled, (seen & (labels > 1)).astype(np.uint8)
