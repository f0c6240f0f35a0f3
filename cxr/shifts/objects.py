"""What lies on or about the patient: collimation, borders, lettering, leads, tubes, a pacemaker.

Images are (H, W) float32 0..1, label maps (H, W) uint8 or None. Nothing here changes where the organs are, but for
`border`, which makes the picture smaller within its frame.
"""

import cv2
import numpy as np


def collimate(image, labels, margin, rng):
    """Black outside a slightly turned rectangle, up to `margin` of each side, never across the lungs."""
    height, width = image.shape
    top, bottom, left, right = rng.uniform(0.3, 1, 4) * margin
    box = _organ_box(labels)
    if box:
        low, high, first, last = box
        top, left = min(top, max(low / height - 0.02, 0)), min(left, max(first / width - 0.02, 0))
        bottom = min(bottom, max(1 - high / height - 0.02, 0))
        right = min(right, max(1 - last / width - 0.02, 0))
    lean = rng.uniform(-0.01, 0.01, 4) * min(1, margin / 0.05)
    corners = np.array(
        [
            [left + lean[0], top],
            [1 - right, top + lean[1]],
            [1 - right + lean[2], 1 - bottom],
            [left, 1 - bottom + lean[3]],
        ]
    ) * (width - 1, height - 1)
    inside = np.zeros(image.shape, np.uint8)
    cv2.fillConvexPoly(inside, corners.round().astype(np.int32), 1)
    return np.where(inside > 0, image, image.min() if rng.random() < 0.7 else 0).astype(np.float32), labels


def border(image, labels, share, rng):
    """A black, white or grey frame of `share` of the side about a picture that is smaller by as much."""
    height, width = image.shape
    size = max(8, round(width * (1 - 2 * share))), max(8, round(height * (1 - 2 * share)))
    top, left = (round((side - small) * rng.uniform(0.2, 0.8)) for side, small in ((height, size[1]), (width, size[0])))
    framed = np.full_like(image, rng.choice([0.0, 0.0, 1.0, 0.5]))
    framed[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if labels is not None:
        inner = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
        labels = np.zeros_like(labels)
        labels[top : top + size[1], left : left + size[0]] = inner
    return framed, labels


def letter(image, labels, size, rng):
    """Names, dates and a side marker in the corners, letters `size` of the image's height."""
    side, ink = max(image.shape), np.zeros(image.shape, np.uint8)
    for word in rng.permutation(["L", "R", "AP", "PORTABLE", "ERECT", "SUPINE", "12:45", "SEMI-ERECT"])[:3]:
        scale = size * image.shape[0] / 22
        thick = max(1, round(size * side / 12))
        (wide, high), _ = cv2.getTextSize(str(word), cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        x = rng.uniform(0.02, 0.25) if rng.random() < 0.5 else rng.uniform(0.75, 0.98) - wide / image.shape[1]
        y = rng.uniform(0.03, 0.12) if rng.random() < 0.7 else rng.uniform(0.88, 0.97)
        at = int(max(x, 0.01) * image.shape[1]), int(max(y * image.shape[0], high))
        cv2.putText(ink, str(word), at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    return np.maximum(image, ink.astype(np.float32) / 255), labels


def leads(image, labels, count, rng):
    """`count` electrocardiogram leads: an electrode each, and a cable to the edge of the picture."""
    image, (height, width) = image.copy(), image.shape
    for _ in range(int(count)):
        start = rng.uniform([0.2, 0.2], [0.8, 0.7])
        end = np.array([rng.choice([0.0, 1.0]), rng.uniform(0.1, 1.0)])
        _curve(image, [start, (start + end) / 2 + rng.uniform(-0.15, 0.15, 2), end], 0.004, rng.uniform(0.15, 0.35))
        centre = tuple((start * (width, height)).astype(int).tolist())
        spot = np.zeros(image.shape, np.uint8)
        cv2.circle(spot, centre, max(2, round(rng.uniform(0.008, 0.016) * max(height, width))), 255, -1, cv2.LINE_AA)
        _add(image, spot, rng.uniform(0.2, 0.5))
    return image, labels


def tubes(image, labels, count, rng):
    """`count` of a tracheal tube, a gastric tube and a central line, in this order."""
    image = image.copy()
    middle = rng.uniform(0.47, 0.53)
    ways = (
        [(middle, 0.0), (middle + rng.uniform(-0.02, 0.02), 0.15), (middle, rng.uniform(0.22, 0.32))],
        [(middle, 0.0), (middle + 0.01, 0.4), (middle + rng.uniform(0.02, 0.06), 0.8), (middle + 0.1, 0.95)],
        [(0.22, rng.uniform(0.05, 0.2)), (0.35, 0.14), (0.45, 0.2), (0.46, rng.uniform(0.35, 0.5))],
    )
    for number, way in enumerate(ways[: int(count)]):
        _curve(image, [np.array(point) for point in way], (0.012, 0.006, 0.004)[number], rng.uniform(0.15, 0.35))
    return image, labels


def pacemaker(image, labels, contrast, rng):
    """A metal case below a clavicle, and its lead to the heart."""
    image, (height, width) = image.copy(), image.shape
    side = rng.choice([-1, 1], p=[0.2, 0.8])  # mostly the patient's left, the image's right
    centre = np.array([0.5 + side * rng.uniform(0.24, 0.32), rng.uniform(0.2, 0.3)])
    case = np.zeros(image.shape, np.uint8)
    axes = (rng.uniform(0.035, 0.055, 2) * max(height, width)).astype(int)
    at = tuple((centre * (width, height)).astype(int).tolist())
    cv2.ellipse(case, at, tuple(axes.tolist()), float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    heart = np.array([0.5 + rng.uniform(0.02, 0.1), rng.uniform(0.55, 0.68)])
    _curve(image, [centre, np.array([0.5 + side * 0.05, 0.25]), np.array([0.47, 0.45]), heart], 0.005, contrast / 2)
    _add(image, case, contrast)
    return image, labels


def _curve(image, points, thickness, contrast):
    """Add a smooth bright line through points (x, y) in shares of the sides, in place; thickness likewise."""
    height, width = image.shape
    points = np.array(points, float) * (width, height)
    along = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, 60)
    degree = min(len(points) - 1, 3)
    path = np.stack([np.polyval(np.polyfit(along, points[:, axis], degree), fine) for axis in (0, 1)], 1)
    line = np.zeros(image.shape, np.uint8)
    width = max(1, round(thickness * max(height, width)))
    cv2.polylines(line, [path.round().astype(np.int32)], False, 255, width, cv2.LINE_AA)
    _add(image, line, contrast)


def _add(image, ink, contrast):
    """Brighten an image where there is ink (H, W) uint8, in place."""
    np.clip(image + ink * np.float32(contrast / 255), 0, 1, out=image)


def _organ_box(labels):
    """Top, bottom, left, right of all organs, or None."""
    if labels is None or not labels.any():
        return None
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]
