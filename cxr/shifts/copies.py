"""What copying and post-processing do to a radiograph: resampling, JPEG, sharpening, blur, noise.

Images are (H, W) float32 0..1. Lengths are shares of the longer side, so that a strength means the same at every size;
of a part of an image, `whole` is the longer side of the image.
"""

import cv2
import numpy as np


def resample(image, side, rng=None, whole=None):
    """To `side` pixels on the longer side and back."""
    height, width = image.shape
    factor = side / (whole or max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC if factor < 1 else cv2.INTER_AREA)
    return np.clip(back, 0, 1)


def jpeg(image, quality, rng=None, whole=None):
    """Eight bits, through JPEG of this quality (libjpeg's 1 to 100)."""
    stored = cv2.imencode(".jpg", (image * 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255


def unsharp(image, amount, rng=None, whole=None, radius=0.004):
    """Unsharp mask: `amount` times what a blur of `radius` takes away is added."""
    return np.clip(image + amount * (image - _blurred(image, radius, whole)), 0, 1)


def enhance_edges(image, amount, rng=None, whole=None):
    """Multi-scale edge enhancement: every band of detail is amplified, the fine ones most, and broad contrast is
    compressed, as the post-processing of digital bedside systems does."""
    result, rest = np.zeros_like(image), image
    for octave in range(6):
        smooth = _blurred(image, 0.001 * 2**octave, whole)
        result += (1 + amount * (1 - octave / 6)) * (rest - smooth)
        rest = smooth
    middle = float(np.median(rest))
    return np.clip(result + middle + (rest - middle) / (1 + amount / 4), 0, 1)


def blur(image, radius, rng=None, whole=None):
    """Out of focus, or moved, by a Gaussian of this standard deviation."""
    return _blurred(image, radius, whole)


def noise(image, deviation, rng, whole=None):
    """Quantum mottle: noise of a correlation length of about a pixel at 512, stronger where little radiation came
    through."""
    height, width = image.shape
    factor = 512 / (whole or max(height, width))
    size = (max(1, round(height * factor)), max(1, round(width * factor))) if factor < 1 else image.shape
    grain = rng.standard_normal(size, np.float32)
    grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(image + deviation * grain * (0.5 + image), 0, 1)


def _blurred(image, radius, whole):
    return cv2.GaussianBlur(
        image, (0, 0), max(radius * (whole or max(image.shape)), 0.2), borderType=cv2.BORDER_REPLICATE
    )
