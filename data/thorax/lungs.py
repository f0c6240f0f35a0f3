"""What lies in the lungs' air: hila, the branching vessels, bronchi and trachea; centimetres for every pixel."""

from types import SimpleNamespace

import cv2
import numpy as np

from data.thorax.anatomy import MIDLINE, look_up, place
from data.thorax.bones import SUBPIXEL, fill, ribbon

GAUGE = 330.0  # canvas grey a centimetre of vessel
CM = 0.035  # a canonical unit
NODES = 7  # points along a branch


def grow_tree(
    starts: np.ndarray, headings: np.ndarray, radii: np.ndarray, rng: np.random.Generator, depths: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Branches of vessel trees: paths (B, NODES, 2) and their radii (B, 2) at both ends, canonical units.

    starts (R, 2), headings (R,) and radii (R,) are the roots. Each branch wanders, narrows and splits in two by
    Murray's law (r^3 = r1^3 + r2^3), down to a radius of 0.75. A generation is grown at once.
    """
    paths, ends = [], []
    for depth in range(depths):
        count = len(radii)
        length = (38 + 34 * rng.random(count)) * 0.93**depth
        bend = np.cumsum(rng.normal(0, 0.13, (count, NODES - 1)), 1) + headings[:, None]
        steps = np.stack([np.cos(bend), np.sin(bend)], 2) * (length / (NODES - 1))[:, None, None]
        path = np.concatenate([starts[:, None], starts[:, None] + np.cumsum(steps, 1)], 1)
        thin = radii * 0.92
        paths.append(path)
        ends.append(np.stack([radii, thin], 1))
        share = rng.uniform(0.2, 0.5, count)
        spread = rng.uniform(0.5, 1.0, count) * rng.choice([-1, 1], count)
        starts = np.concatenate([path[:, -1]] * 2)
        headings = np.concatenate([bend[:, -1] + spread * (1 - share), bend[:, -1] - spread * share])
        radii = np.concatenate([thin * share ** (1 / 3), thin * (1 - share) ** (1 / 3)])
        alive = radii > 0.75
        starts, headings, radii = starts[alive], headings[alive], radii[alive]
    return np.concatenate(paths), np.concatenate(ends)


def hilum(body: SimpleNamespace, side: str) -> np.ndarray:
    """Canonical position of a hilum: the left stands a little higher than the right."""
    stretch = body.patient.height
    y = body.top + ((415 if side == "left" else 440) - body.top) * stretch + 0.2 * body.pose.breath
    out = float(look_up(body.medial[side], np.float32(y))) + (14 if side == "left" else 22)
    return np.array([MIDLINE + (out if side == "left" else -out), y])


def vessel_roots(
    body: SimpleNamespace, count: int, radius: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots of one layer of vessels in both lungs for `grow_tree`: a fan of `count` from each hilum."""
    starts, headings, radii = [], [], []
    for side in ("left", "right"):
        fan = np.linspace(-1.32, 1.36, count) + rng.normal(0, 0.09, count)
        offset = rng.normal(0, 7, (count, 2)) + np.stack([np.zeros(count), 26 * np.sin(fan)], 1)
        starts.append(hilum(body, side) + offset)
        headings.append(fan if side == "left" else np.pi - fan)
        # gravity: the lower zones carry more blood
        radii.append(radius * (1 + 0.3 * np.sin(fan)) * rng.uniform(0.8, 1.1, count))
    return np.concatenate(starts), np.concatenate(headings), np.concatenate(radii)


def draw_branches(
    paths: np.ndarray, ends: np.ndarray, shape: tuple[int, int], unit: float, pose: SimpleNamespace
) -> np.ndarray:
    """Blood of branches from `grow_tree`, cm, (H, W) float32; where two cross, the wider one counts."""
    order = np.argsort(ends[:, 0], kind="stable")
    paths, ends = paths[order], ends[order]
    points = place(paths.reshape(-1, 2), shape, pose).reshape(paths.shape)
    along = np.gradient(points, axis=1)
    normal = along[..., ::-1] * (-1, 1) / (np.linalg.norm(along, axis=2, keepdims=True) + 1e-9)
    width = (ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.linspace(0, 1, NODES)) / unit
    canvas = np.zeros(shape, np.uint8)
    bands, greys = [], []
    for share, tone in ((1.0, 0.7), (0.55, 1.0)):
        # a band thinner than a pixel is drawn a pixel wide and as much paler
        offset = normal * np.maximum(width * share, 0.5)[..., None]
        bands.append(np.concatenate([points + offset, (points - offset)[:, ::-1]], 1))
        pale = np.minimum(1, width[:, 0] * share / 0.5)
        greys.append(np.clip(2 * ends[:, 0] * CM * tone * pale * GAUGE, 1, 255))
    bands = np.round(np.stack(bands, 1) * (1 << SUBPIXEL)).astype(np.int32)
    cored = width[:, 0] * 0.55 > 0.5
    for pair, tones, core in zip(bands, np.stack(greys, 1).tolist(), cored, strict=True):
        for band, grey in zip(pair[: 1 + core], tones, strict=False):
            cv2.fillPoly(canvas, [band], int(grey), cv2.LINE_AA, SUBPIXEL)
    return canvas.astype(np.float32) * (1 / GAUGE)


def draw_vessels(body: SimpleNamespace, shape: tuple[int, int], unit: float, rng: np.random.Generator) -> np.ndarray:
    """Blood in the lungs' vessels, cm, (H, W) float32, before the lungs' outline cuts it."""
    total = np.zeros(shape, np.float32)
    for count, radius in ((7, 8.2), (6, 7.0)):
        paths, ends = grow_tree(*vessel_roots(body, count, radius, rng), rng)
        total += draw_branches(paths, ends, shape, unit, body.pose)
    return 2.7 * total  # vessels of other depths lie along the same rays


def draw_hila(body: SimpleNamespace, place_of: SimpleNamespace) -> np.ndarray:
    """Hilar tissue beyond the drawn vessels, cm, (H, W) float32."""
    total = np.zeros_like(place_of.out)
    for side in ("left", "right"):
        x, y = hilum(body, side)
        for dy, wide, high, cm in ((-18, 26, 34, 1.2), (34, 22, 46, 1.3)):
            total += cm * np.exp(
                -(((place_of.x - np.float32(x)) / wide) ** 2) - ((place_of.y - np.float32(y + dy)) / high) ** 2
            )
    return total.astype(np.float32)


def draw_airway(body: SimpleNamespace, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Air of trachea and main bronchi, cm, (H, W) float32: a column that forks at the carina."""
    carina = body.top + (338 - body.top) * body.patient.height
    lean = 0.4 * body.pose.turn
    canvas = np.zeros(shape, np.uint8)
    core = np.zeros(shape, np.uint8)
    knob = body.patient.knob
    trunk = np.array([(0, -80), (0, 120), (-3 - knob * 0.15, 230), (-5 - knob * 0.2, carina - 30), (-4, carina)], float)
    trunk = np.stack(
        [
            np.interp(np.linspace(0, 4, 40), range(5), trunk[:, 0]),
            np.interp(np.linspace(0, 4, 40), range(5), trunk[:, 1]),
        ],
        1,
    )
    right = np.array([(-4, carina - 8), (-32, carina + 34), (-62, carina + 82), (-84, carina + 128)], float)
    left = np.array([(-4, carina - 8), (40, carina + 32), (88, carina + 58), (122, carina + 80)], float)
    for path, half in ((trunk, 23.0), (right, 17.0), (left, 15.0)):
        path[:, 0] += MIDLINE + lean
        taper = np.linspace(half, half * (1 if path is trunk else 0.7), len(path)) / unit
        fill(canvas, [ribbon(place(path, shape, body.pose), taper)])
        fill(core, [ribbon(place(path, shape, body.pose), taper * 0.7)])
    air = canvas.astype(np.float32) * (1.5 / 255) + core.astype(np.float32) * (1.4 / 255)
    return cv2.GaussianBlur(air, (0, 0), max(2.5 / unit, 0.3))


def wavy(shape: tuple[int, int], rng: np.random.Generator, cells: int, octaves: int = 3) -> np.ndarray:
    """Smooth noise (H, W) float32 of zero mean and unit spread, `cells` bumps across; the same at any resolution."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        grid = rng.standard_normal((count, count)).astype(np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return total / (float(total.std()) + 1e-6)
