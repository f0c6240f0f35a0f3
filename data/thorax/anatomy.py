"""The drawn body: the curves that bound lungs, heart and diaphragm, and what lies within them.

Everything is laid out in a canonical plane of 1024 x 1024 units of 0.35 mm, seen as a radiograph is hung: x grows to
the right of the image, which is the patient's left; y grows downwards; the midline of an upright patient is x = 512.
The outlines are curves and not pictures, so a mask of any size is the curves' own and exact, whatever its noise.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import cv2
import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

UNIT_MM = 0.35  # one canonical unit on the detector: a 1024 px copy of a 358 mm radiograph
CANVAS = 1024.0
MIDLINE = 512.0
STEP = 0.25  # spacing of the tabulated curves, in units: finer than a pixel of any mask drawn here
FIRST, LAST = -400.0, 1500.0  # the tabulated range

# Distance from the midline (units) against y, for an average adult in full inspiration. The heart is drawn over them.
LATERAL = [
    (78, 128), (84, 168), (100, 204), (140, 263), (180, 303), (220, 329), (260, 347), (300, 360), (380, 378),
    (460, 390), (540, 400), (620, 408), (700, 414), (780, 416), (880, 411), (1000, 402),
]  # fmt: skip
MEDIAL_RIGHT = [
    (78, 127), (84, 106), (100, 86), (140, 59), (180, 48), (220, 45), (300, 50), (380, 62), (460, 74), (560, 78),
    (1000, 78),
]  # fmt: skip
MEDIAL_LEFT = [
    (78, 127), (84, 108), (100, 95), (140, 80), (180, 73), (220, 70), (260, 72), (320, 88), (380, 112), (430, 118),
    (480, 122), (560, 122), (1000, 122),
]  # fmt: skip
# The heart's outline (x from the midline, patient's left positive; y), clockwise on the image from its top.
HEART = [
    (-2, 455), (70, 466), (148, 503), (186, 543), (218, 583), (238, 621), (251, 660), (252, 700), (232, 740),
    (160, 769), (45, 780), (-50, 752), (-90, 705), (-105, 660), (-109, 620), (-103, 578), (-92, 538), (-66, 490),
]  # fmt: skip
HEART_WIDTH = 361.0


def tabulate(
    points: Sequence[tuple[float, float]], spread: float = 1.0, start: float = 0.0, stretch: float = 1.0
) -> np.ndarray:
    """A smooth curve through (y, distance) points, sampled every STEP over the canonical range; float32."""
    at, value = np.array(points, float).T
    at = start + (at - start) * stretch
    grid = np.arange(FIRST, LAST, STEP)
    return (PchipInterpolator(at, value * spread)(np.clip(grid, at[0], at[-1]))).astype(np.float32)


def look_up(table: np.ndarray, values: np.ndarray | float) -> np.ndarray | float:
    """The tabulated curve at canonical coordinates (any shape)."""
    index = ((values - FIRST) * (1 / STEP)).astype(np.int32)
    return table[np.clip(index, 0, len(table) - 1)]


def shape_body(patient: SimpleNamespace, pose: SimpleNamespace) -> SimpleNamespace:
    """The curves of one exposure: tables of the lungs' outer and inner borders, domes and the heart's outline.

    Returns a namespace; `lateral`, `medial` and `dome` are dicts by "left" and "right" (the patient's), `heart_radius`
    is the heart's radius by angle about `heart_centre`.
    """
    top = 78.0
    stretch = patient.height
    body = SimpleNamespace(patient=patient, pose=pose, top=top, lateral={}, medial={}, dome={})
    grid = np.arange(FIRST, LAST, STEP)
    dome_right = top + (742 - top) * stretch + patient.dome_right + pose.breath
    tops = {"right": dome_right, "left": dome_right + patient.dome_gap}
    for side, medial, spread in (("right", MEDIAL_RIGHT, 1.0), ("left", MEDIAL_LEFT, patient.left_width)):
        body.lateral[side] = tabulate(LATERAL, patient.width * spread, top, stretch)
        body.medial[side] = tabulate(medial, patient.width, top, stretch)
        body.lateral[side][grid < top] = -1  # nothing above the apex
        outer = float(body.lateral[side].max())
        place = np.abs(grid - MIDLINE) / outer
        peak = 0.47
        outward = np.clip((place - peak) / (1 - peak), 0, None) ** 2.7 * patient.dome_lateral
        inward = np.clip((peak - place) / peak, 0, None) ** 2 * 48
        body.dome[side] = (tops[side] + outward + inward).astype(np.float32)
    knob_at = top + (272 - top) * stretch
    body.knob_at = knob_at
    body.medial["left"] += (patient.knob * np.exp(-(((grid - knob_at) / 30) ** 2))).astype(np.float32)
    body.tops = tops
    _shape_heart(body, patient, pose, stretch)
    return body


def _shape_heart(body: SimpleNamespace, patient: SimpleNamespace, pose: SimpleNamespace, stretch: float) -> None:
    """Add the heart: its outline scaled to the wanted cardiothoracic ratio and set down on the diaphragm."""
    thorax = float(body.lateral["left"].max() + body.lateral["right"].max())
    width = min(patient.ctr * pose.magnify, 0.60) * thorax
    points = np.array(HEART, float)
    right, left = -points[:, 0].min(), points[:, 0].max()
    points[:, 0] *= np.where(
        points[:, 0] < 0, patient.heart_right * width / right, (1 - patient.heart_right) * width / left
    )
    ceiling = body.top + (455 - body.top) * stretch + 0.25 * pose.breath - 30 * (width / HEART_WIDTH - 1)
    floor = body.tops["left"] + 36
    points[:, 1] = ceiling + (points[:, 1] - 455) * (floor - ceiling) / (780 - 455)
    points[:, 0] += MIDLINE + 0.6 * pose.turn
    centre = points.mean(0)
    angle = np.arctan2(points[:, 1] - centre[1], points[:, 0] - centre[0])
    order = np.argsort(angle)
    radius = np.hypot(*(points - centre).T)[order]
    angle = angle[order]
    spline = CubicSpline(np.append(angle, angle[0] + 2 * np.pi), np.append(radius, radius[0]), bc_type="periodic")
    turns = np.linspace(-np.pi, np.pi, 4097)
    body.heart_centre = centre
    body.heart_foot = {}
    body.heart_radius = spline(turns).astype(np.float32)
    outline = centre + body.heart_radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
    grid = np.arange(FIRST, LAST, STEP)
    # Below its widest row the heart rests on the diaphragm: without this, lung would creep in underneath it.
    body.floor = {}
    for side, sign in (("left", 1), ("right", -1)):
        reach = sign * (outline[:, 0] - MIDLINE)
        widest = reach.argmax()
        body.floor[side] = np.where(grid > outline[widest, 1], np.float32(reach[widest]), np.float32(0))
        body.heart_foot[side] = float(outline[widest, 1])


def pixel_size(shape: tuple[int, int]) -> float:
    """Canonical units a pixel of an image of this shape: its shorter side sees the whole canvas."""
    return CANVAS / min(shape)


def locate(shape: tuple[int, int], pose: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Canonical coordinates of every pixel centre of an image: two float32 arrays (H, W), x and y."""
    height, width = shape
    unit = pixel_size(shape)
    x = ((np.arange(width) + 0.5) * unit - width * unit / 2 - pose.shift[0]).astype(np.float32)[None, :]
    y = ((np.arange(height) + 0.5) * unit - height * unit / 2 - pose.shift[1]).astype(np.float32)[:, None]
    cos, sin = np.float32(np.cos(pose.tilt) / pose.zoom), np.float32(np.sin(pose.tilt) / pose.zoom)
    return x * cos + y * sin + np.float32(MIDLINE), y * cos - x * sin + np.float32(CANVAS / 2)


def place(points: np.ndarray, shape: tuple[int, int], pose: SimpleNamespace) -> np.ndarray:
    """Pixel coordinates (N, 2) of canonical points (N, 2): the inverse of `locate`."""
    points = (np.asarray(points, float) - (MIDLINE, CANVAS / 2)) * pose.zoom
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
    turned = np.stack([points[:, 0] * cos - points[:, 1] * sin, points[:, 0] * sin + points[:, 1] * cos], 1)
    return (turned + pose.shift) / pixel_size(shape) + np.array(shape[::-1]) / 2 - 0.5


def measure(body: SimpleNamespace, x: np.ndarray, y: np.ndarray) -> SimpleNamespace:
    """How every pixel lies to the curves: a namespace of (H, W) arrays.

    `left` True on the patient's left; `out` distance from the midline; `lateral`, `medial`, `dome` the borders there;
    `floor` the heart's reach in the rows below its widest, 0 above;
    `heart` radius over the heart's radius in that direction (below 1 inside).
    """
    left = x > MIDLINE
    place = SimpleNamespace(x=x, y=y, left=left, out=np.abs(x - MIDLINE))
    # both sides' tables laid end to end, so that one index finds side and height
    size = len(body.dome["left"])
    side = left.astype(np.int32) * np.int32(size)
    row = np.clip(((y - FIRST) * (1 / STEP)).astype(np.int32), 0, size - 1) + side
    column = np.clip(((x - FIRST) * (1 / STEP)).astype(np.int32), 0, size - 1) + side
    for name, index in (("lateral", row), ("medial", row), ("floor", row), ("dome", column)):
        table = getattr(body, name)
        setattr(place, name, np.concatenate([table["right"], table["left"]]).take(index))
    dx, dy = x - np.float32(body.heart_centre[0]), y - np.float32(body.heart_centre[1])
    away, turn = cv2.cartToPolar(dx, dy)  # 0 to 2 pi; the outline's table starts at -pi
    turn = (turn * np.float32(4096 / (2 * np.pi)) + np.float32(2048.5)).astype(np.int32) % 4096
    place.heart = away / body.heart_radius.take(turn)
    return place


def label_organs(place: SimpleNamespace) -> np.ndarray:
    """Labels (H, W) uint8: 0 background, 1 heart, 2 left lung, 3 right lung, as SCR draws them.

    A lung is the aerated field: not covered by heart, mediastinum or the diaphragm's dome. No two organs overlap.
    """
    heart = place.heart < 1
    inner = np.maximum(place.medial, place.floor)
    lung = (place.out < place.lateral) & (place.out > inner) & (place.y < place.dome) & ~heart
    return np.where(heart, 1, np.where(lung, np.where(place.left, 2, 3), 0)).astype(np.uint8)
