"""Bones in the way of the beam: ribs, spine, clavicles, scapulae, humeri; centimetres of bone for every pixel."""

from types import SimpleNamespace

import cv2
import numpy as np

from data.thorax.anatomy import MIDLINE, look_up, place

SUBPIXEL = 4  # bits of sub-pixel position for OpenCV


def fill(canvas: np.ndarray, polygons: list[np.ndarray], value: int = 255) -> None:
    """Fill antialiased polygons (pixel coordinates, (N, 2) each) on a uint8 canvas, in place."""
    for polygon in polygons:
        points = np.round(np.asarray(polygon) * (1 << SUBPIXEL)).astype(np.int32)
        cv2.fillPoly(canvas, [points], value, cv2.LINE_AA, SUBPIXEL)


def ribbon(path: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """The polygon of a band about a path (N, 2) with half-width `width` (a number or N of them)."""
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
    offset = normal * np.broadcast_to(np.asarray(width, float), len(path))[:, None]
    return np.concatenate([path + offset, (path - offset)[::-1]])


def rib_path(body: SimpleNamespace, number: int, side: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Canonical path (N, 2) of one rib from spine to cartilage, and the index where it turns to the front.

    A rib is a tilted ring: seen from the front its back runs outwards and ever more steeply down to the chest wall and
    its front comes back inwards, lower. `number` counts from 1.
    """
    stretch = body.patient.height
    spacing = 73 * stretch
    drop = np.interp(number, [1, 2, 3, 5, 8, 11], [34, 66, 98, 138, 165, 165]) * stretch
    start = body.top - 4 + (number - 1) * spacing + rng.normal(0, 3)
    front = np.interp(number, [1, 2, 5, 8, 11], [1.0, 1.1, 1.25, 1.1, 1.0])
    end = np.interp(number, [1, 3, 6, 8, 9, 10, 11], [2.75, 2.68, 2.62, 2.4, 2.2, 1.95, 1.8])
    turn = np.linspace(0.1, end, 46)
    wall = float(look_up(body.lateral[side], np.float32(start + 0.8 * drop))) + 4
    if number == 1:
        wall *= 0.86
    sign = 1 if side == "left" else -1
    squared = np.sin(turn) * (1 + 0.10 * np.sin(2 * turn) ** 2)  # the chest is rounder than an ellipse
    out = wall * np.minimum(squared, 1.0)
    fall = (1 - np.cos(turn)) - 0.10 * np.sin(2 * np.minimum(turn, np.pi / 2))
    fall = np.where(turn > np.pi / 2, 1 + (-np.cos(turn)) * front, fall)
    x = MIDLINE + sign * out + np.where(turn > np.pi / 2, body.pose.turn, -0.3 * body.pose.turn)
    return np.stack([x, start + drop * fall], 1), int(np.searchsorted(turn, np.pi / 2)) + 1


def draw_ribs(body: SimpleNamespace, shape: tuple[int, int], unit: float, rng: np.random.Generator) -> np.ndarray:
    """Bone of all ribs, cm, (H, W) float32: the back dense with bright rims, the front fainter and broader."""
    outer = [np.zeros(shape, np.uint8) for _ in range(2)]
    inner = [np.zeros(shape, np.uint8) for _ in range(2)]
    for side in ("left", "right"):
        for number in range(1, 12):
            path, bend = rib_path(body, number, side, rng)
            thick = np.interp(number, [1, 4, 8, 11], [12.5, 11, 11.5, 9.5])
            width = thick * (1 + 0.06 * np.sin(np.linspace(0, 5, len(path)) + rng.uniform(0, 6)))
            width = width * np.interp(np.arange(len(path)), [0, 3, 10, bend, len(path)], [0.7, 0.75, 1, 0.86, 1.15])
            points = place(path, shape, body.pose)
            for layer, part in ((0, slice(0, bend + 1)), (1, slice(bend - 1, None))):
                scale = body.pose.zoom / unit
                fill(outer[layer], [ribbon(points[part], width[part] * scale)])
                fill(inner[layer], [ribbon(points[part], width[part] * scale * 0.66)])
    bone = np.zeros(shape, np.float32)
    for layer, (shell, marrow) in enumerate(((0.62, 0.24), (0.34, 0.10))):
        bone += outer[layer].astype(np.float32) * (shell / 255) - inner[layer].astype(np.float32) * (marrow / 255)
    return bone


def clavicle_path(body: SimpleNamespace, side: str) -> np.ndarray:
    """Canonical path (N, 2) of a clavicle from the sternum outwards: a flat S that climbs to the shoulder."""
    sign = 1 if side == "left" else -1
    along = np.linspace(0, 1, 40)
    width = body.patient.width
    lift = body.patient.clavicle + (22 if body.pose.portable else 0)
    x = MIDLINE + sign * (38 + 345 * along) * width + body.pose.turn
    y = 218 - lift - 128 * along**0.9 + 13 * np.sin(2 * np.pi * along * 0.95) + 5 * sign
    return np.stack([x, y], 1)


def clavicle_outline(body: SimpleNamespace, side: str) -> np.ndarray:
    """The clavicle as a polygon in canonical coordinates (N, 2), thicker at both ends."""
    path = clavicle_path(body, side)
    along = np.linspace(0, 1, len(path))
    return ribbon(path, 13 + 7 * np.exp(-(((along - 0.02) / 0.14) ** 2)) + 3 * along)


def clavicle_mask(body: SimpleNamespace, place_of: SimpleNamespace, shape: tuple[int, int], side: str) -> np.ndarray:
    """Mask (H, W) uint8 0/1 of the part of a clavicle within the rib cage, which is the part SCR outlines."""
    canvas = np.zeros(shape, np.uint8)
    points = place(clavicle_outline(body, side), shape, body.pose)
    cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], 1, cv2.LINE_8, SUBPIXEL)
    within = (place_of.out < place_of.lateral) & (place_of.left == (side == "left"))
    return canvas * within.astype(np.uint8)


def draw_girdle(body: SimpleNamespace, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Bone of clavicles, scapulae and humeri, cm, (H, W) float32."""
    bone = np.zeros(shape, np.float32)
    outer, inner, blade, rim = (np.zeros(shape, np.uint8) for _ in range(4))
    portable = body.pose.portable
    width = body.patient.width
    for side, sign in (("left", 1), ("right", -1)):
        outline = clavicle_outline(body, side)
        middle = clavicle_path(body, side)
        half = np.linalg.norm(outline[: len(middle)] - middle, axis=1)
        fill(outer, [place(outline, shape, body.pose)])
        fill(inner, [place(ribbon(middle, half * 0.62), shape, body.pose)])
        inward = -38 if portable else 12  # shoulders rolled forward carry the blades off the lungs in a PA radiograph
        wing = [
            (352 + inward, 128), (410, 96), (462, 150), (438, 215), (408 + inward / 2, 330), (382 + inward, 428),
            (366 + inward, 432), (350 + inward, 300), (338 + inward, 190),
        ]  # fmt: skip
        wing = np.array(wing, float)
        wing[:, 0] = MIDLINE + sign * wing[:, 0] * width
        points = place(wing, shape, body.pose)
        fill(blade, [points])
        border = place(np.stack([wing[3:7, 0], wing[3:7, 1]], 1), shape, body.pose)
        fill(rim, [ribbon(border, 6 / unit)])
        spine = np.array([(350 + inward, 175), (400, 130), (440, 92), (470, 78)], float)
        spine[:, 0] = MIDLINE + sign * spine[:, 0] * width
        fill(rim, [ribbon(place(spine, shape, body.pose), np.array([4, 8, 11, 15]) / unit)])
        head = np.array([(494, 152)]) if not portable else np.array([(480, 172)])
        head = place(np.stack([MIDLINE + sign * head[:, 0] * width, head[:, 1]], 1), shape, body.pose)[0]
        arm = np.array(
            [(498, 160), (540, 260), (562, 420), (575, 700)]
            if portable
            else [(498, 158), (560, 205), (640, 270), (760, 360)],
            float,
        )
        arm[:, 0] = MIDLINE + sign * arm[:, 0] * width
        fill(outer, [ribbon(place(arm, shape, body.pose), np.array([40, 30, 26, 26]) / unit)])
        fill(inner, [ribbon(place(arm, shape, body.pose), np.array([32, 20, 15, 15]) / unit)])
        for canvas, radius in ((outer, 58), (inner, 49)):
            centre = tuple(int(v) for v in np.round(head * 16))
            cv2.circle(canvas, centre, int(radius / unit * 16), 255, -1, cv2.LINE_AA, SUBPIXEL)
    for canvas, cm in ((outer, 1.0), (inner, -0.45), (blade, 0.28), (rim, 0.4)):
        bone += canvas.astype(np.float32) * (cm / 255)
    return bone


def draw_spine(body: SimpleNamespace, place_of: SimpleNamespace) -> np.ndarray:
    """Bone of the vertebral column, cm, (H, W) float32: waisted bodies, darker discs, pedicles, spinous processes."""
    near = np.nonzero((place_of.out < 115).any(0))[0]  # the only columns worth computing
    columns = slice(near[0], near[-1] + 1)
    y = place_of.y[:, columns]
    stretch = body.patient.height
    period = np.float32(70 * stretch)
    bend = body.patient.scoliosis * np.sin((y - 200) / 260) - 0.3 * body.pose.turn
    x = place_of.x[:, columns] - np.float32(MIDLINE) - bend.astype(np.float32)
    phase = (y - np.float32(body.top - 40)) / period
    within = phase - np.floor(phase)  # 0 and 1 in the disc, 0.5 in the middle of a body
    level = np.clip(phase, 0, 14) / 14
    half = (43 + 12 * level) * (1 - 0.10 * np.cos(2 * np.pi * (within - 0.5)))
    chord = np.sqrt(np.clip(1 - np.square(np.square(x / half)), 0, 1))
    disc = np.clip((np.abs(within - 0.5) - 0.40) / 0.05, 0, 1)
    plate = np.exp(-(((np.abs(within - 0.5) - 0.375) / 0.025) ** 2))
    bone = chord * (0.95 + level) * (1 - 0.5 * disc + 0.2 * plate)
    row = (within - 0.42) * period
    for sign in (-1, 1):
        pedicle = np.hypot((x - sign * half * 0.62) / 9, row / 13)
        bone += 0.55 * np.exp(-((pedicle - 0.9) ** 2) / 0.08)
        process = np.clip(1 - ((x - sign * (half + 16)) / 26) ** 2 - ((row + 4) / 11) ** 2, 0, 1)
        bone += 0.5 * np.sqrt(process)
    spinous = np.clip(1 - (x / 7) ** 2 - ((row - 20) / 14) ** 2, 0, 1)
    total = np.zeros(place_of.out.shape, np.float32)
    total[:, columns] = bone + 0.8 * np.sqrt(spinous)
    return total
