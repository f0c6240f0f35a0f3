"""How the patient lies on the radiograph: rotation, magnification, position, squeezed sides.

Images are (H, W) float32 0..1, label maps (H, W) uint8 as in segmentation/masks.py, or None; both are moved together.
"""

import cv2
import numpy as np


def move(image, labels, angle=0.0, scale=1.0, squeeze=1.0, down=0.0, right=0.0, edge=False):
    """Rotate by `angle` degrees and enlarge by `scale` about the centre, stretch the width by `squeeze`, then shift by
    `down` and `right`, shares of the sides. Outside is black, or with `edge` the outermost pixels drawn out."""
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[0] *= squeeze
    matrix[0, 2] += (1 - squeeze) * (width - 1) / 2
    matrix[:, 2] += right * width, down * height
    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    if labels is not None:
        labels = cv2.warpAffine(labels, matrix, (width, height), flags=cv2.INTER_NEAREST)
    return moved, labels


def rotate(image, labels, degrees, rng):
    """Turned by `degrees`, either way."""
    return move(image, labels, angle=degrees * rng.choice([-1, 1]))


def magnify(image, labels, factor, rng):
    """Nearer to the tube, as in an AP radiograph at the bedside; the edges of the image are lost above 1."""
    return move(image, labels, scale=factor)


def off_centre(image, labels, share, rng):
    """Shifted by `share` of the sides, down or up and to either side."""
    down, right = share * rng.choice([-1, 1], 2)
    return move(image, labels, down=down, right=right)


def squeeze(image, labels, ratio, rng):
    """Stored with another aspect: the width becomes `ratio` of what it was, on a grid of its own."""
    size = max(32, round(image.shape[1] * ratio)), image.shape[0]
    narrow = cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC)
    if labels is not None:
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.clip(narrow, 0, 1), labels
