"""Histogram equalisation and gamma, the same for every source of radiographs (Oh et al. 2020, section II)."""

import cv2
import numpy as np

DARK = 20  # of 255: a border this near to black or to white
TOLERANCE = 10  # of 255: what JPEG and a scanner make of one grey level
SMALL = 0.01  # of the largest part: lettering and markers are smaller, patients are not
LOOK_AT = 512  # pixels of the longer side; larger images are looked at in steps of several pixels
LEAST_LEFT = 0.2  # of the image: who finds less found no border


def _counts(pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Number of pixels at each grey level, exact: (256,) or (65536,) int64."""
    levels = 256 if pixels.dtype == np.uint8 else 65536
    if pixels.size < 1 << 24:  # calcHist counts in float32, exact only below 2**24
        return cv2.calcHist([pixels], [0], None, [levels], [0, levels]).ravel().astype(np.int64)
    return np.bincount(pixels.ravel(), minlength=levels)


def preprocess(pixels: np.ndarray, gamma: float = 0.5, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """Equalise over the image's own grey levels, then gamma: 255 * cdf ** gamma.

    pixels: (H, W) uint8 or uint16, bone bright.  box: (top, bottom, left, right), half open; only what lies inside
    enters the histogram, what lies outside is written 0.  Returns (H, W) float32, 0..255.
    For grey v with cumulative count C(v), cdf(v) = (C(v) - Cmin) / (N - Cmin), Cmin the count at the lowest level
    present.  Raises ValueError for another kind of array and for one grey level only.
    """
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected a two-dimensional uint8 or uint16 image, not {pixels.ndim}-D {pixels.dtype}.")
    if box is not None:
        top, bottom, left, right = box
        result = np.zeros(pixels.shape, np.float32)
        result[top:bottom, left:right] = preprocess(pixels[top:bottom, left:right], gamma)
        return result
    counts = _counts(pixels)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise ValueError("the image holds one grey level only.")
    cumulative = np.cumsum(counts)
    lowest = counts[present[0]]
    cdf = np.maximum(cumulative - lowest, 0) / (pixels.size - lowest)
    return cv2.LUT(pixels, (255 * cdf**gamma).astype(np.float32))


def content_box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), half open, of the picture within blank borders; the whole image if it has none.

    pixels: (H, W) uint8 or uint16.  A border is a run of lines along a side that are black, white, or one flat grey;
    what lies in it and is small beside the picture (dust, noise, lettering, markers) does not end it.  Where it is
    not plain what is border, nothing is cut.  Borders in a frame of another grey are taken off one after the other.
    """
    height, width = pixels.shape
    step = -(-max(height, width) // LOOK_AT)
    image = cv2.medianBlur(_as_bytes(pixels), 5)[::step, ::step]  # single pixels and thin lines go, edges stay
    top, bottom, left, right = 0, image.shape[0], 0, image.shape[1]
    taken_off = [None] * 4  # the grey last taken off at each side
    for _ in range(4):
        cuts = _cuts(image[top:bottom, left:right], taken_off)
        top, bottom, left, right = top + cuts[0], bottom - cuts[1], left + cuts[2], right - cuts[3]
        if max(bottom - top, 0) * max(right - left, 0) < LEAST_LEFT * image.size:
            return 0, height, 0, width
        if not any(cuts):
            break
    # Back on the full grid, rounded outwards.
    return (
        max(top * step - step + 1, 0),
        height if bottom == image.shape[0] else min(bottom * step, height),
        max(left * step - step + 1, 0),
        width if right == image.shape[1] else min(right * step, width),
    )


def _as_bytes(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 between the darkest and the brightest thousandth: a hot pixel must not set the scale."""
    counts = _counts(np.ascontiguousarray(pixels))
    low, high = np.searchsorted(np.cumsum(counts), [0.001 * pixels.size, 0.999 * pixels.size])
    scale = 255 / max(int(high) - int(low), 1)
    table = np.clip((np.arange(len(counts)) - low) * scale, 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(pixels), table)


def _cuts(image: np.ndarray, taken_off: list[int | None]) -> list[int]:
    """How many lines to take off at the top, bottom, left and right of an image (H, W) uint8; notes their greys.

    A frame within a frame is of another grey; what is nearly the grey just taken off is a picture that fades into it.
    """
    cuts = [0, 0, 0, 0]
    boxes = {}
    for side, edge in enumerate((image[0], image[-1], image[:, 0], image[:, -1])):
        border = _border_level(edge)
        if border is None or (taken_off[side] is not None and abs(taken_off[side] - border[0]) <= 2 * TOLERANCE):
            continue
        if border not in boxes:
            boxes[border] = _picture_box(image, *border)
        cut = boxes[border][side]
        if cut and (_extreme(border[0]) or _steps_off(image, side, cut, border[0])):
            cuts[side], taken_off[side] = cut, border[0]
    return cuts


def _border_level(edge: np.ndarray) -> tuple[int, int] | None:
    """(level, tolerance) of the outermost line of a border, None where the line looks like a picture."""
    level = int(np.median(edge))
    spread = float(np.median(np.abs(edge.astype(np.int16) - level)))
    tolerance = int(max(TOLERANCE, 5 * spread))
    flat = np.mean(np.abs(edge.astype(np.int16) - level) <= tolerance)
    if tolerance > 2 * TOLERANCE or flat < (0.6 if _extreme(level) else 0.98):
        return None
    return level, tolerance


def _extreme(level: int) -> bool:
    return level <= DARK or level >= 255 - DARK


def _steps_off(image: np.ndarray, side: int, cut: int, level: int) -> bool:
    """Whether a grey border ends in a step, two lines on, rather than fading into the picture."""
    lines = image if side < 2 else image.T
    inside = min(cut + 2, len(lines) - 1)
    line = lines[-1 - inside] if side % 2 else lines[inside]
    return np.median(np.abs(line.astype(np.int16) - level)) > 2 * TOLERANCE


def _picture_box(image: np.ndarray, level: int, tolerance: int) -> tuple[int, int, int, int]:
    """Blank lines (top, bottom, left, right) about the parts of an image that differ from `level` and are not small."""
    differs = cv2.inRange(image, max(level - tolerance, 0), min(level + tolerance, 255)) == 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(differs.astype(np.uint8), connectivity=8)
    parts = stats[1:]
    if len(parts) == 0:
        return 0, 0, 0, 0
    areas = parts[:, cv2.CC_STAT_AREA]
    parts = parts[areas >= SMALL * areas.max()]
    left, top = parts[:, cv2.CC_STAT_LEFT], parts[:, cv2.CC_STAT_TOP]
    right, bottom = left + parts[:, cv2.CC_STAT_WIDTH], top + parts[:, cv2.CC_STAT_HEIGHT]
    return (int(top.min()), int(image.shape[0] - bottom.max()), int(left.min()), int(image.shape[1] - right.max()))
