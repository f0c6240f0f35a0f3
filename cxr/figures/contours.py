"""A radiograph with the outlines of its organs, as a picture. Without matplotlib, which takes a second to import."""

from collections.abc import Sequence

import cv2
import numpy as np

from cxr.labels import HEART, LEFT, RIGHT

# label: RGB on a grey radiograph, bright enough for lung and for bone
COLOURS = {HEART: (240, 110, 60), LEFT: (86, 180, 233), RIGHT: (240, 228, 66)}
DASH = 6  # pixels along the contour of a true mask
OVERLAY_SIDE = 1024  # greatest side of an overlay in pixels


def overlay(image: np.ndarray, labels: np.ndarray, truth: np.ndarray | None = None) -> np.ndarray:
    """Radiograph with the contours of heart (vermillion), left lung (sky blue) and right lung (yellow).

    image (H, W) grey 0..255, labels (H, W) 0..3, truth None or a label map whose contours are thin dashes. Returns
    (h, w, 3) uint8 RGB, no side above 1024 pixels.
    """
    if labels.shape != image.shape or (truth is not None and truth.shape != image.shape):
        raise ValueError(f"Image {image.shape} and label map {labels.shape} differ in shape; draw a pair of one case.")
    scale = min(1, OVERLAY_SIDE / max(image.shape))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    radiograph = cv2.resize(np.ascontiguousarray(image, np.float32), size, interpolation=cv2.INTER_AREA)
    picture = np.repeat(np.clip(np.rint(radiograph), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    thick = 2 if max(size) > 400 else 1
    for organ, colour in COLOURS.items():
        for contour in _contours(labels == organ, size):
            cv2.polylines(picture, [contour], True, colour, thick, cv2.LINE_AA)
    if truth is not None:
        for organ in COLOURS:
            for contour in _contours(truth == organ, size):
                # white and black dashes in turn, seen on any grey and told from the three colours
                for i, start in enumerate(range(0, len(contour), DASH)):
                    dash, grey = contour[start : start + DASH + 1], 0 if i % 2 else 255
                    cv2.polylines(picture, [dash], False, (grey, grey, grey), 1, cv2.LINE_AA)
    return picture


def _contours(mask: np.ndarray, size: tuple[int, int]) -> Sequence[np.ndarray]:
    """Outlines of a boolean mask in a picture of size (width, height), each (n, 1, 2) int32 x and y."""
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return cv2.findContours((soft >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
