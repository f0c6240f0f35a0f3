"""The eight ways a picture may be stored, by EXIF's numbers (tag 274): 1 is upright, 5 to 8 lie on their side."""

import numpy as np

UPRIGHT = 1
TRANSPOSED = (5, 6, 7, 8)
MIRRORED = (2, 3, 6, 7)  # left and right exchanged, once those on their side are transposed
UPSIDE_DOWN = (3, 4, 7, 8)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W) as stored with `orientation`, turned to stand upright, C-contiguous."""
    pixels = pixels.T if orientation in TRANSPOSED else pixels
    rows = -1 if orientation in UPSIDE_DOWN else 1
    columns = -1 if orientation in MIRRORED else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def number(transposed: bool, mirrored: bool, upside_down: bool) -> int:
    """EXIF's number of the turn that is these three, one after the other."""
    kinds = {n: (n in TRANSPOSED, n in MIRRORED, n in UPSIDE_DOWN) for n in range(1, 9)}
    return next(n for n, kind in kinds.items() if kind == (transposed, mirrored, upside_down))
