"""One way to change the size of images, for both stages."""

import torch
import torch.nn.functional as F


def resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bicubic with antialiasing, as PIL does it: (..., H, W) float -> (..., height, width)."""
    flat = image.reshape(-1, 1, *image.shape[-2:])
    small = F.interpolate(flat, (height, width), mode="bicubic", antialias=True, align_corners=False)
    return small.reshape(*image.shape[:-2], height, width)
