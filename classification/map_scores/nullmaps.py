"""Maps that know nothing of the class: what a saliency map must beat to be worth looking at.

Each keeps to the lung, or has what the saliency map has there, so that none is easier to beat than it need be.
"""

import numpy as np

NULLS = ("centre", "lung", "coverage", "noise")


def null_maps(saliency: np.ndarray, lung: np.ndarray, coverage: np.ndarray, rng) -> dict[str, np.ndarray]:
    """One null map of each kind for a saliency map; all are (side, side) float32."""
    return {
        "centre": centre(lung),
        "lung": (lung > 0).astype(np.float32),
        "coverage": coverage.astype(np.float32),
        "noise": noise(saliency, lung, coverage, rng),
    }


def centre(lung: np.ndarray) -> np.ndarray:
    """A Gaussian about the middle of the box around both lungs, a quarter of its sides wide, in the lungs only."""
    value = np.ones(lung.shape)
    for axis in (0, 1):
        line = np.flatnonzero(lung.any(1 - axis))
        away = (np.arange(lung.shape[axis]) - (line[0] + line[-1]) / 2) / ((np.ptp(line) + 1) / 4)
        value = value * np.exp(-(away**2) / 2).reshape((-1, 1) if axis == 0 else (1, -1))
    return (value * (lung > 0)).astype(np.float32)


def noise(saliency: np.ndarray, lung: np.ndarray, coverage: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random map as blurred as the saliency map and of the same values, in the lung as beyond it.

    The phases of the map's Fourier transform are drawn anew, which keeps its power spectrum and so its blur (the
    surrogate data of Theiler et al., Physica D 58, 1992). Then each pixel takes the map's value of the same rank,
    among the covered pixels in the lung and among those outside it.
    """
    spectrum = np.abs(np.fft.rfft2(saliency - saliency.mean()))
    field = np.fft.irfft2(spectrum * np.exp(2j * np.pi * rng.random(spectrum.shape)), saliency.shape)
    found = np.zeros_like(saliency)
    covered = coverage > 0
    for part in (covered & (lung > 0), covered & (lung == 0)):
        inside = np.flatnonzero(part)
        found.flat[inside[np.argsort(field.flat[inside], kind="stable")]] = np.sort(saliency.flat[inside])
    return found
