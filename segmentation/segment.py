"""A radiograph in, its label map out: what inference.py and evaluate.py share."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from cxr.reading import radiograph
from segmentation import masks, transforms, weights


@dataclass(frozen=True)
class Prepared:
    """A radiograph ready for the network: image (H, W) float32 0..255, the box within its borders, the network's
    input (1, h, w), the spacing in mm, and view and orientation as of a Radiograph."""

    image: np.ndarray
    box: tuple[int, int, int, int]
    small: torch.Tensor
    spacing_mm: tuple[float, float] | None
    view: str | None = None
    orientation: int = 1


def prepare(path: Path, settings) -> Prepared:
    """Read and preprocess one radiograph. Raises radiograph.Unreadable, of it NotFrontal for a lateral view."""
    read = radiograph.read_frontal(path, settings.pixel_limit)
    try:
        item = prepare_pixels(read.pixels, settings, read.spacing_mm)
    except ValueError as error:
        raise radiograph.Unreadable(f"{path}: {error}") from None
    return replace(item, view=read.view, orientation=read.orientation)


def prepare_pixels(pixels: np.ndarray, settings, spacing_mm=None) -> Prepared:
    """Preprocess pixels (H, W) uint8 or uint16, bone bright. Raises ValueError for one grey level."""
    image, box = transforms.prepare(pixels, settings)
    return Prepared(image, box, transforms.network_input(image, box, settings), spacing_mm)


def probabilities(model, batch: list[Prepared], settings, device) -> torch.Tensor:
    """(N, 4, h, w) float32 probabilities at the network's size, on the CPU."""
    images = torch.stack([item.small for item in batch]).to(device)
    return weights.probabilities(model, images, settings.mirror, settings.decision).cpu()


class Segmented(NamedTuple):
    """What the network made of a radiograph, on the radiograph's own grid."""

    before: np.ndarray  # label map (H, W) uint8 as it came
    labels: np.ndarray  # the same, cleaned
    reasons: list[str]  # to distrust it
    margin: float  # mean over the organs' pixels of the first class's probability minus the second's; NaN without any


def label_map(small: torch.Tensor, item: Prepared) -> Segmented:
    """Probabilities (4, h, w) of one radiograph -> its label map. Probabilities are made larger, not labels: contours
    come out smooth."""
    top, bottom, left, right = item.box
    before = np.zeros(item.image.shape, np.uint8)
    before[top:bottom, left:right] = largest(small.numpy(), (right - left, bottom - top))
    first, second = small.topk(2, dim=0).values
    organs = small.argmax(0) > 0
    margin = float((first - second)[organs].mean()) if organs.any() else float("nan")
    labels = masks.clean(before)
    return Segmented(before, labels, masks.quality(before, labels, margin), margin)


def largest(p: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Argmax of probabilities (C, h, w) made larger, (H, W) uint8, ties going to the first class; size: (W, H).

    Class by class and by OpenCV: all of an image's at once take three times as long, most of it in torch's argmax(0),
    and torch would give every thread that writes radiographs another team of its own.
    """
    best, top = np.zeros(size[::-1], np.uint8), cv2.resize(p[0], size)
    for label, plane in enumerate(p[1:], 1):
        large = cv2.resize(plane, size)
        cv2.copyTo(np.full_like(best, label), cv2.compare(large, top, cv2.CMP_GT), best)
        cv2.max(large, top, dst=top)
    return best
