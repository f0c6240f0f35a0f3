"""The controls: what is left of a radiograph when the lungs, or all but the lungs, are taken away.

A classifier that is as good with the lungs blacked out reads the hospital (Maguolo and Nanni 2020). The outline of a
lung tells of disease too, so that the lungs are removed once by their mask and once by the box about them.
"""

import cv2
import numpy as np

FULL, LUNGS, REMOVED, BOX, SHAPE, BORDER = VIEWS = (
    "full image",
    "lungs only",
    "lungs removed",
    "box removed",
    "mask shape",
    "border strip",
)
STRIP = 0.08  # width of the border strip, a share of the side
GREY = 128  # of the lungs where only their shape is shown
THUMBNAIL = 32  # pixels a side


def show(name: str, image: np.ndarray, lung: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a view shows of an image, (H, W) uint8, zero elsewhere, and where it shows it, (H, W) uint8 0/1.

    image (H, W) uint8, not masked; lung (H, W) uint8 0/1, not empty. The strip is shown without the lung in it. A view
    with nothing left to show is black, everywhere.
    """
    kept = np.ones_like(lung)
    if name in (LUNGS, SHAPE):
        kept = lung
    elif name == REMOVED:
        kept = 1 - lung
    elif name == BOX:
        rows, columns = np.flatnonzero(lung.any(1)), np.flatnonzero(lung.any(0))
        kept[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 0
    elif name == BORDER:
        down, across = (max(1, round(side * STRIP)) for side in lung.shape)
        kept[down:-down, across:-across] = 0
        kept = kept * (1 - lung)
    shown = kept * np.uint8(GREY) if name == SHAPE else image * kept
    return shown, kept if kept.any() else np.ones_like(lung)


def thumbnail(shown: np.ndarray) -> np.ndarray:
    """A view as (THUMBNAIL ** 2,) float32 0..1."""
    return cv2.resize(shown, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel().astype(np.float32) / 255
