"""How grey was chosen: windows, burnt-out regions, gamma, local contrast.

Images are (H, W) float32 0..1. Monotone changes are undone by equalisation; what is clipped is lost.
"""

import cv2
import numpy as np


def narrow_window(image, share, rng=None):
    """The darkest and the brightest `share` of the pixels are clipped to black and white."""
    low, high = np.quantile(image[::4, ::4], [share, 1 - share])
    return np.clip((image - low) / max(high - low, 1e-3), 0, 1)


def burn_out(image, share, rng=None):
    """Overexposed for the mediastinum: the darkest `share` of the pixels within the picture, mostly lung, is black."""
    inside = image[::4, ::4][image[::4, ::4] > 0.02]
    low = np.quantile(inside, share) if inside.size else 0.0
    return np.clip((image - low) / max(1 - low, 1e-3), 0, 1)


def gamma(image, exponent, rng=None):
    """Another display curve."""
    return image**exponent


def local_contrast(image, clip, rng=None):
    """Contrast-limited adaptive histogram equalisation on 8 x 8 tiles (CLAHE, K. Zuiderveld 1994)."""
    stored = (image * 255).round().astype(np.uint8)  # OpenCV clips 16 bits at another rate, next to nothing
    return cv2.createCLAHE(clip, (8, 8)).apply(stored).astype(np.float32) / 255
