"""A radiograph in, its label map out: what inference.py and evaluate.py share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from cxr import radiograph
from segmentation import masks, network, transforms


@dataclass(frozen=True)
class Prepared:
    """A radiograph ready for the network: image (H, W) float32 0..255, the box within its borders, the network's
    input (1, h, w), and the spacing in mm."""

    image: np.ndarray
    box: tuple[int, int, int, int]
    small: torch.Tensor
    spacing_mm: tuple[float, float] | None


def prepare(path: Path, settings) -> Prepared:
    """Read and preprocess one radiograph. Raises radiograph.Unreadable."""
    film = radiograph.read(path, settings.pixel_limit)
    try:
        image, box = transforms.prepare(film.pixels, settings)
    except ValueError as error:  # one grey level within the borders
        raise radiograph.Unreadable(f"{path}: {error}") from None
    return Prepared(image, box, transforms.network_input(image, box, settings), film.spacing_mm)


def probabilities(model, batch: list[Prepared], settings, device) -> torch.Tensor:
    """(N, 4, h, w) float32 probabilities at the network's size, on the CPU."""
    images = torch.stack([item.small for item in batch]).to(device)
    return network.probabilities(model, images, settings.mirror, settings.decision).cpu()


def label_map(small: torch.Tensor, item: Prepared) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probabilities (4, h, w) of one radiograph -> label map (H, W) uint8 on its own grid, the same cleaned, and the
    reasons to distrust it. Probabilities are made larger, not labels: contours come out smooth."""
    top, bottom, left, right = item.box
    size = (bottom - top, right - left)
    large = F.interpolate(small[None], size, mode="bilinear", align_corners=False)[0]
    best = arg_max(large).numpy()
    first, second = small.topk(2, dim=0).values
    sure = F.interpolate((first - second)[None, None], size, mode="bilinear", align_corners=False)[0, 0].numpy()
    before, margin = np.zeros(item.image.shape, np.uint8), np.zeros(item.image.shape, np.float32)
    before[top:bottom, left:right], margin[top:bottom, left:right] = best, sure
    labels = masks.clean(before)
    return before, labels, masks.quality(before, labels, margin)


def arg_max(p: torch.Tensor) -> torch.Tensor:
    """(C, H, W) -> (H, W) uint8, the first of the greatest: torch's argmax(0), which takes twenty times as long
    where the classes lie far apart in memory."""
    top, best = p[0].clone(), torch.zeros(p.shape[1:], dtype=torch.uint8)
    for i in range(1, len(p)):
        best.masked_fill_(p[i] > top, i)
        torch.maximum(top, p[i], out=top)
    return best
