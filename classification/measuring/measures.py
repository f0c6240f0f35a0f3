"""The numbers of one case: how large its lungs are, how grey, how even, and how wide its heart is.

image (H, W) float32 is the preprocessed radiograph, grey 0..255, mask (H, W) uint8 is 1 in either lung, labels (H, W)
uint8 is 0 background, 1 heart, 2 left, 3 right lung (the patient's), or None where a pair has none.
"""

import math

import cv2
import numpy as np
import torch
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import regionprops

from classification.cases import dataset
from classification.patches import patch
from cxr.figures import contours
from cxr.labels import HEART, LEFT, RIGHT
from cxr.resize import resize
from segmentation import masks

# What classes are compared in, and what it is called in a figure. Areas in pixels are not among them: they measure the
# resolution of the radiograph, and so do millimetres of radiographs whose spacing is not known.
MARKERS = {
    "lung_fraction": "Lung area / image area",
    "area_lungs_mm2": "Lung area (mm²)",
    "left_right_ratio": "Left / right lung area",
    "lung_aspect": "Height / width of both lungs",
    "lung_mean": "Mean lung intensity",
    "lung_sd": "SD of lung intensity",
    "spread_between": "Spread between patches",
    "spread_within": "Spread within patches",
    "ctr": "Cardiothoracic ratio",
}
COLUMNS = [
    "area_lungs", "area_left", "area_right", "area_lungs_mm2", "area_left_mm2", "area_right_mm2", "lung_fraction",
    "left_right_ratio", "lung_aspect", "lung_mean", "lung_sd", "spread_between", "spread_within", "heart_width",
    "thorax_width", "ctr",
]  # fmt: skip


def measure(image, mask, labels, settings, rng):
    """Every biomarker of a case in pixels, as a dict of floats; NaN for what cannot be known.

    area_lungs, area_left, area_right  pixels (see `square_millimetres`)
    lung_fraction                      area of both lungs over that of the image
    left_right_ratio                   area of the left over that of the right lung
    lung_aspect                        height over width of the box about both lungs
    lung_mean, lung_sd                 of the grey of all lung pixels at the radiograph's own size
    spread_between, spread_within      see `spread`
    heart_width, thorax_width, ctr     greatest transverse diameters in pixels, and their ratio (Danzer 1919)

    Without labels the sides, the widths and the ratios are NaN, and so are the widths without a heart or with one lung.
    Raises ValueError for labels of another shape than the image.
    """
    if labels is not None and labels.shape != image.shape:
        raise ValueError(
            f"the label map {labels.shape} and the image {image.shape} differ in shape; write the pair "
            "again with segmentation/inference.py."
        )
    grey = image[mask > 0].astype(np.float64)
    (lungs,) = regionprops(mask)
    top, left, bottom, right = lungs.bbox
    row = {
        "area_lungs": float(lungs.area),
        "lung_fraction": float(lungs.area) / mask.size,
        "lung_aspect": (bottom - top) / (right - left),
        "lung_mean": float(grey.mean()),
        "lung_sd": float(grey.std()),
    }
    row |= spread(image, mask, settings, rng)
    found = masks.measures(np.zeros_like(mask) if labels is None else labels)
    if labels is None:
        found = dict.fromkeys(found, math.nan)
    left, right = found["area_left"], found["area_right"]
    row["left_right_ratio"] = left / right if left and right else math.nan
    return row | {name: found[name] for name in ("area_left", "area_right", "heart_width", "thorax_width", "ctr")}


def square_millimetres(row, spacing_mm):
    """The areas of a row of `measure` in mm², {name_mm2: float}; spacing_mm is (row, column), or None for NaN."""
    pixel = math.nan if spacing_mm is None else float(np.prod(spacing_mm))
    return {f"{name}_mm2": float(row[name] * pixel) for name in ("area_lungs", "area_left", "area_right")}


def spread(image, mask, settings, rng):
    """How much the grey of the lung differs between places, and from pixel to pixel within a place.

    The image and its lung are brought to settings.img_size; settings.repeat windows of settings.patch_size pixels are
    centred in the lung, as patches.centres draws them (settings.sampling). Of every window only lung pixels count.

        spread_between  standard deviation of the windows' mean grey
        spread_within   mean of the windows' standard deviations

    Both divide by the number, not by the number less one. Sums over windows come from summed-area tables.
    """
    size = settings.img_size
    # The image goes in unmasked: beside the mask's zeros, resizing would darken the rim of the lung.
    grey = resize(torch.from_numpy(image)[None], size, size)[0].round().clamp(0, 255).double().numpy()
    lung = dataset.prepare(image, mask, size)[1]
    centres = patch.centres(lung, settings.repeat, rng, settings.sampling)
    start = np.maximum(centres - settings.patch_size // 2, 0)
    stop = np.minimum(centres - settings.patch_size // 2 + settings.patch_size, size)
    count, total, square = (_window_sums(part, start, stop) for part in (lung, grey * lung, grey**2 * lung))
    mean = total / count
    # Grey is whole numbers, so that the sums are exact and the difference cannot lose what it is after.
    deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
    return {"spread_between": float(mean.std()), "spread_within": float(deviation.mean())}


def widths(labels):
    """Between which points the two widths of the cardiothoracic ratio lie: {"heart" or "thorax": ((row, column),
    (row, column))}, pixels of the first and the last column of the heart, and of both lungs.

    Where several rows reach that column, their middle. What cannot be measured (no heart, no label map, one lung) is
    left out.
    """
    found = {}
    if labels is None:
        return found
    both = (labels == LEFT).any() and (labels == RIGHT).any()
    for name, organ in (("heart", labels == HEART), ("thorax", labels >= LEFT)):
        columns = np.flatnonzero(organ.any(0))
        if len(columns) and (both or name == "heart"):
            ends = columns[[0, -1]]
            found[name] = tuple((int(np.median(np.flatnonzero(organ[:, end]))), int(end)) for end in ends)
    return found


def picture(image, mask, labels):
    """The radiograph with the contours of its organs and both widths drawn, (h, w, 3) uint8 RGB, no side above 1024.

    The heart's width is vermillion as its contour, the thorax's white, each at the middle height of the two points it
    lies between, with a thin lead to either; the ratio stands in the corner.
    """
    shown = contours.overlay(image, labels if labels is not None else mask * LEFT)
    scale = np.array(shown.shape[:2]) / image.shape
    thick = 2 if max(shown.shape) > 400 else 1
    text = "no cardiothoracic ratio"
    found = widths(labels)
    for name, points in found.items():
        colour = contours.COLOURS[HEART] if name == "heart" else (255, 255, 255)
        (top, left), (bottom, right) = (((np.array(point) + 0.5) * scale).astype(int).tolist() for point in points)
        row = (top + bottom) // 2
        cv2.line(shown, (left, row), (right, row), colour, thick, cv2.LINE_AA)
        for column, end in ((left, top), (right, bottom)):
            cv2.line(shown, (column, row), (column, end), colour, 1, cv2.LINE_AA)
            cv2.line(shown, (column, row - 4 * thick), (column, row + 4 * thick), colour, thick, cv2.LINE_AA)
    if len(found) == 2:
        heart, thorax = (points[1][1] - points[0][1] + 1 for points in (found["heart"], found["thorax"]))
        text = f"heart {heart} / thorax {thorax} pixels = {heart / thorax:.2f}"
    drawn = Image.fromarray(shown)
    font = ImageFont.truetype(findfont("DejaVu Sans"), max(9, shown.shape[1] // 40))
    ImageDraw.Draw(drawn).text((8, 6), text, (255, 255, 255), font, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(drawn)


def _window_sums(values, start, stop):
    """(n,) sums of (H, W) values over windows from start to before stop, (n, 2) rows and columns each."""
    table = cv2.integral(np.ascontiguousarray(values, np.float64))
    (top, left), (bottom, right) = start.T, stop.T
    return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
