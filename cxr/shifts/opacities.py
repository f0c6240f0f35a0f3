"""Disease that hides the lung: the mask stays where the lung is, its grey becomes that of soft tissue.

Images are (H, W) float32 0..1, label maps (H, W) uint8: 1 heart, 2 left lung, 3 right lung. A lung opaque beside the
heart or above the diaphragm has no edge there (the silhouette sign), so opacity is feathered across the mask's edge
and takes the grey of the tissue that lies between and below the lungs. Ribs stay visible through it.
"""

import cv2
import numpy as np

LUNGS = (2, 3)


def consolidate(image, labels, share, rng):
    """Soft-edged, uneven consolidations of one or both lungs, together about `share` of the lungs."""
    lungs = labels >= LUNGS[0]
    if not lungs.any():
        return image, labels
    field = _texture(image.shape, rng, 6) + 0.25 * _texture(image.shape, rng, 24)
    rows, columns = np.nonzero(lungs)
    for _ in range(rng.integers(1, 4)):
        at = rng.integers(len(rows))
        field += 1.5 * _blob(image.shape, rows[at], columns[at], rng.uniform(0.06, 0.2))
    level = np.quantile(field[lungs], 1 - share)
    return _fill(image, labels, lungs, _soft_step(field - level, 0.35) * rng.uniform(0.65, 1.0)), labels


def haze(image, labels, density, rng):
    """Diffuse opacity of both lungs, as ground glass, ARDS or oedema, uneven and densest towards the bases or the
    periphery; `density` 0..1."""
    lungs = labels >= LUNGS[0]
    if not lungs.any():
        return image, labels
    uneven = 0.75 + 0.35 * _texture(image.shape, rng, rng.integers(4, 12))
    rows = np.flatnonzero(lungs.any(1))
    depth = np.clip((np.arange(len(image)) - rows[0]) / max(len(rows), 1), 0, 1).astype(np.float32)
    slope = 1 + rng.uniform(-0.2, 0.5) * (depth[:, None] - 0.5)
    return _fill(image, labels, lungs, np.clip(density * uneven * slope, 0, 1)), labels


def effuse(image, labels, share, rng):
    """Pleural effusion of one lung: opaque below a meniscus that rises towards the chest wall, `share` of the lung."""
    lung, side = _one_lung(labels, rng)
    if lung is None:
        return image, labels
    columns = np.flatnonzero(lung.any(0))
    outward = np.clip((np.arange(image.shape[1]) - columns[0]) / max(len(columns) - 1, 1), 0, 1)
    outward = outward if side == LUNGS[0] else 1 - outward  # the left lung's chest wall is on the image's right
    height = np.flatnonzero(lung.any(1)).size
    meniscus = height * rng.uniform(0.1, 0.3) * outward**3
    depth = (np.arange(len(image))[:, None] + meniscus).astype(np.float32)
    level = np.quantile(depth[lung], 1 - share)
    return _fill(image, labels, lung, _soft_step((depth - level) / max(height, 1), 0.04)), labels


def collapse(image, labels, share, rng):
    """Atelectasis of a lobe: a wedge of one lung, `share` of it, opaque up to a slanting straight fissure."""
    lung, _ = _one_lung(labels, rng)
    if lung is None:
        return image, labels
    rows, columns = np.indices(image.shape, np.float32)
    slant = rng.uniform(-0.5, 0.5)
    depth = (rows + slant * columns) * rng.choice([-1, 1])  # an upper or a lower lobe
    level = np.quantile(depth[lung], 1 - share)
    return _fill(image, labels, lung, _soft_step((depth - level) / len(image), 0.01) * rng.uniform(0.8, 1.0)), labels


def white_out(image, labels, share, rng):
    """Opaque over `share` of one lung, from its base or as one region, without any visible edge of the lung there."""
    lung, _ = _one_lung(labels, rng)
    if lung is None:
        return image, labels
    rows = np.indices(image.shape, np.float32)[0] / len(image)
    field = rows * rng.uniform(0.5, 3) + 0.35 * _texture(image.shape, rng, 5)
    level = np.quantile(field[lung], 1 - share)
    return _fill(image, labels, lung, _soft_step(field - level, 0.15)), labels


def _one_lung(labels, rng):
    """Mask and label of one of the lungs that are there, or None twice."""
    there = [label for label in LUNGS if (labels == label).any()]
    if not there:
        return None, None
    side = there[rng.integers(len(there))]
    return labels == side, side


def _fill(image, labels, lung, alpha):
    """The lung becomes soft tissue by `alpha` (H, W) 0..1, feathered across its edge; ribs keep some contrast."""
    side = max(image.shape)
    soft = cv2.GaussianBlur(
        cv2.dilate(lung.astype(np.float32), np.ones((3, 3)), iterations=max(1, side // 256)), (0, 0), side * 0.006
    )
    alpha = cv2.GaussianBlur(np.clip(alpha, 0, 1).astype(np.float32), (0, 0), side * 0.003) * soft
    detail = image - cv2.GaussianBlur(image, (0, 0), side * 0.02)
    tissue = _tissue(image, labels)
    dense = np.clip(tissue + 0.7 * detail, 0, 1)
    return np.clip(image + alpha * np.maximum(dense - image, 0), 0, 1).astype(np.float32)


def _tissue(image, labels):
    """Grey of the soft tissue about each lung pixel: a smooth field from the heart and from what lies between and
    below the lungs, within the box of the organs."""
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    height = rows[-1] - rows[0]
    box = slice(rows[0] + height // 4, min(rows[-1] + height // 6 + 1, len(image))), slice(columns[0], columns[-1] + 1)
    outside = labels[box] < LUNGS[0]
    grey = image[box][outside]
    typical = float(np.quantile(grey[::7], 0.6)) if grey.size > 50 else float(image.max()) * 0.8
    weight = np.zeros(image.shape, np.float32)
    weight[box] = outside & (image[box] > 0.5 * typical)
    reach = 0.08 * max(image.shape)
    small = tuple(max(1, side // 8) for side in image.shape[::-1])
    shrunk = [cv2.resize(plane, small, interpolation=cv2.INTER_AREA) for plane in (weight, weight * image)]
    total, sums = (cv2.GaussianBlur(plane, (0, 0), max(reach / 8, 0.5)) for plane in shrunk)
    field = (sums + 0.05 * typical) / (total + 0.05)
    return cv2.resize(field.astype(np.float32), image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _texture(shape, rng, cells):
    """A smooth random field (H, W) float32 of mean 0 and SD of about 0.6, `cells` cells across."""
    coarse = rng.uniform(-1, 1, (int(cells), int(cells))).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _blob(shape, row, column, radius):
    """A Gaussian about a pixel; radius in shares of the longer side."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    radius = radius * max(shape)
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2)).astype(np.float32)


def _soft_step(distance, width):
    """0 below, 1 above, smooth over `width`."""
    return np.clip(distance / width + 0.5, 0, 1).astype(np.float32)
