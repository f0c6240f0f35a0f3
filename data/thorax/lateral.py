"""A lateral thorax: the patient faces the left of the image, spine on the right, both lungs over each other."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import cv2
import numpy as np

from data.thorax.anatomy import locate, pixel_size, place
from data.thorax.beam import BONE, LUNG_TISSUE, SOFT, chord, scatter
from data.thorax.bones import fill, ribbon
from data.thorax.chance import draw_pose
from data.thorax.lungs import draw_branches, grow_tree, wavy


def border(y: np.ndarray, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """A smooth vertical border: x at every y, through (y, x) points."""
    at, value = np.array(points, float).T
    grid = np.arange(-300, 1400)
    curve = cv2.GaussianBlur(np.interp(grid, at, value).astype(np.float32)[None], (0, 0), 22)[0]
    return curve[np.clip((y + 300).astype(np.int32), 0, len(curve) - 1)]


def draw_lateral(
    patient: SimpleNamespace, shape: tuple[int, int], keys: Callable[..., np.random.Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """Detector signal (H, W) float32 of a left lateral radiograph and the mask (H, W) bool of its lung fields.

    keys(name) gives the generator of each structure, as for the frontal view.
    """
    rng = keys("lateral pose")
    pose = draw_pose(rng)
    unit = pixel_size(shape)
    x, y = locate(shape, pose)
    big = 1 + 0.05 * patient.habitus
    front = border(y, [(-300, 420), (30, 410), (110, 330), (240, 232), (420, 175), (640, 150), (820, 170), (1400, 160)])
    front = 512 + (front - 512) * big - 25 * (patient.breast > 0) * np.exp(-(((y - 560) / 130) ** 2))
    back = border(y, [(-300, 690), (30, 700), (120, 800), (300, 905), (480, 925), (700, 900), (900, 850), (1400, 840)])
    within = (x - front) / (back - front)
    depth = 27 * np.sqrt(np.clip(1 - np.abs(2 * within - 1) ** 4, 0, 1))
    depth = depth * np.interp(y, [-100, 60, 300], [0.45, 0.62, 1])
    wall = border(y, [(-300, 590), (90, 580), (140, 480), (210, 385), (300, 305), (500, 245), (700, 225), (1400, 240)])
    spine = border(y, [(-300, 590), (60, 610), (200, 700), (380, 770), (560, 790), (760, 765), (960, 715), (1400, 690)])
    rear = spine + 78 * np.clip((y - 60) / 200, 0, 1)  # lung lies beside the spine as well
    gap, drop = 22 + patient.dome_gap * 0.5, patient.dome_right * 0.5
    domes = [
        725 + drop + lift + 0.00045 * np.clip(430 - x, 0, None) ** 2 + 0.00125 * np.clip(x - 430, 0, None) ** 2
        for lift in (0, gap)
    ]
    air = np.zeros(shape, np.float32)
    for dome in domes:
        side = chord(x - wall, 60) * chord(rear - x, 90) * chord(y - 95, 240) * chord(dome - y, 14)
        air += (9.5 * side).astype(np.float32)
    size = 0.9 + 0.6 * (patient.ctr - 0.45)
    dx, dy = x - 400, y - 605  # the heart lies on the diaphragm and leans on the sternum
    r = np.hypot((dx * 0.9 + dy * 0.44) / (196 * size), (dy * 0.9 - dx * 0.44) / (150 * size))
    heart = np.clip(1 - r**2, 0, 1)
    air *= 1 - 0.45 * heart**0.6
    arch = np.clip(1 - (np.abs(np.hypot((x - 590) / 85, (y - 330) / 95) - 1) * 3.2) ** 2, 0, 1)
    arch = arch * np.clip((345 - y) / 40, 0, 1)
    descent = np.clip(1 - ((x - 688) / 26) ** 2, 0, 1) * np.clip((y - 300) / 60, 0, 1) * np.clip((640 - y) / 200, 0, 1)
    arch = np.maximum(arch, 0.7 * descent)
    hila = np.exp(-(((x - 560) / 52) ** 2) - ((y - 455) / 62) ** 2)
    lungs = air > 4
    soft = depth - np.minimum(air, 0.8 * depth) * (1 - LUNG_TISSUE) + 2.0 * heart + 2.2 * arch + 2.6 * hila
    soft = soft + draw_tree(pose, shape, unit, keys("lateral vessels")) * np.clip(air / 8, 0, 1)
    arms = np.clip(1 - (((x - 380) * 0.8 + (y + 40) * 0.6) / 150) ** 2, 0, 1) * np.clip((190 - y) / 110, 0, 1)
    soft = (soft + 7 * arms) * (1 + 0.012 * wavy(shape, rng, 6))
    bone = draw_column(x, y, spine, unit) + draw_cage(wall, spine, pose, shape, unit, keys("lateral ribs"))
    tube = np.clip(1 - ((x - (545 + 0.13 * y)) / 24) ** 2, 0, 1) * (y < 440)
    total = SOFT * np.maximum(soft - 1.8 * np.sqrt(tube), 0) + BONE * patient.bone * bone * (depth > 1)
    total = cv2.GaussianBlur(total.astype(np.float32), (0, 0), max(1.2 / unit, 0.35))
    return scatter(total, 0.5), lungs


def draw_tree(pose: SimpleNamespace, shape: tuple[int, int], unit: float, rng: np.random.Generator) -> np.ndarray:
    """Vessels of both lungs fanning from the hila, cm, (H, W) float32."""
    fan = np.linspace(0, 2 * np.pi, 13)[:-1] + rng.normal(0, 0.1, 12)
    starts = np.array([560.0, 455.0]) + rng.normal(0, 14, (12, 2))
    return 2.2 * draw_branches(*grow_tree(starts, fan, np.full(12, 7.5), rng), shape, unit, pose)


def draw_column(x: np.ndarray, y: np.ndarray, spine: np.ndarray, unit: float) -> np.ndarray:
    """Vertebral bodies and their discs in profile, cm, (H, W) float32."""
    phase = (y - 40) / 71
    within = np.abs(phase - np.floor(phase) - 0.5)
    half = 44 * (1 - 0.14 * np.cos(2 * np.pi * within))
    body = np.clip(1 - ((x - spine) / half) ** 6, 0, 1) ** 0.5
    disc = np.clip((within - 0.40) / 0.05, 0, 1)
    arch = np.clip(1 - ((x - spine - 78) / 34) ** 2, 0, 1) * np.clip(1 - (within / 0.3) ** 2, 0, 1)
    return (2.3 * body * (1 - 0.7 * disc) + 0.7 * arch).astype(np.float32)


def draw_cage(
    wall: np.ndarray,
    spine: np.ndarray,
    pose: SimpleNamespace,
    shape: tuple[int, int],
    unit: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Ribs sloping forwards and down, of both sides, and the sternum, cm, (H, W) float32."""
    shell, core, plate = (np.zeros(shape, np.uint8) for _ in range(3))
    along = np.linspace(0, 1, 40)
    for offset in (0, 26):
        for number in range(1, 11):
            back = 800 + 60 * np.sin(min(number, 6) / 6 * 1.57) - 60 * (number < 2)
            start = np.array([back, 60 + 71 * number + offset])
            reach = np.interp(number, [1, 3, 7, 10], [300, 470, 530, 330])
            fall = np.interp(number, [1, 4, 10], [90, 190, 230]) + rng.normal(0, 6)
            path = np.stack([start[0] - reach * along**1.1, start[1] + fall * np.sin(along * 1.45)], 1)
            points = place(path, shape, pose)
            fill(shell, [ribbon(points, 10 / unit)])
            fill(core, [ribbon(points, 6.5 / unit)])
    rows = np.linspace(190, 560, 30)
    x = np.interp(rows, [150, 300, 500, 700], [385, 285, 230, 208])
    fill(plate, [ribbon(place(np.stack([x, rows], 1), shape, pose), 12 / unit)])
    return (shell.astype(np.float32) * 0.5 - core.astype(np.float32) * 0.22 + plate.astype(np.float32) * 1.2) / 255
