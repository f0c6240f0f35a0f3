"""From a radiograph's pixels and masks to what the network is given."""

import numpy as np
import torch

from cxr.reading import radiograph
from cxr.resize import resize


def prepare(pixels: np.ndarray, settings) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Preprocess a radiograph: (H, W) integers -> (H, W) float32 0..255, zero outside the box, and the box.

    Raises ValueError for one grey level only within the box.
    """
    box = radiograph.content_box(pixels) if settings.crop_border else (0, pixels.shape[0], 0, pixels.shape[1])
    if settings.equalise:
        return radiograph.preprocess(pixels, settings.gamma, box), box
    top, bottom, left, right = box
    image = np.zeros(pixels.shape, np.float32)
    inside = pixels[top:bottom, left:right].astype(np.float32)
    image[top:bottom, left:right] = (inside - inside.min()) * (255 / max(np.ptp(inside), 1))
    return image, box


def network_input(image: np.ndarray, box, settings) -> torch.Tensor:
    """What the network sees of a prepared radiograph: (1, resize_height, resize_width) float32, 0..255."""
    top, bottom, left, right = box
    inside = torch.from_numpy(np.ascontiguousarray(image[top:bottom, left:right]))
    return resize(inside[None], settings.resize_height, settings.resize_width).clamp(0, 255)


def network_target(organs: list[np.ndarray], box, settings) -> np.ndarray:
    """Masks of heart, left and right lung, (H, W) boolean -> labels (resize_height, resize_width) uint8.

    A pixel's label is the argmax of 0.5 (background) and the resized masks, so overlaps go to the first organ.
    """
    top, bottom, left, right = box
    inside = np.stack(organs)[:, top:bottom, left:right]
    return resized_labels(inside, settings.resize_height, settings.resize_width)


def resized_labels(organs: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks of heart, left and right lung (3, H, W) -> the same area as labels (height, width) uint8."""
    return label_map(resize(torch.from_numpy(organs.astype(np.float32)), height, width).numpy())


def label_map(organs) -> np.ndarray:
    """Masks of heart, left and right lung (3, H, W), boolean or soft -> labels (H, W) uint8, overlaps to the first."""
    organs = np.asarray(organs, np.float32)
    return np.concatenate([np.full_like(organs[:1], 0.5), organs]).argmax(0).astype(np.uint8)
