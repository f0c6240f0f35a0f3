"""A lung in an eighth of its memory, from which a pixel is drawn without unpacking more than the pixel's row."""

from typing import NamedTuple

import numpy as np


class Packed(NamedTuple):
    """A lung (H, W), eight pixels a byte."""

    bits: np.ndarray  # (H, ceil(W / 8)) uint8, each row by itself
    ends: np.ndarray  # (H,) int64, how many pixels of the lung there are down to the end of each row
    width: int

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes + self.ends.nbytes


def pack(lung: np.ndarray) -> Packed:
    """Of a lung (H, W), not zero inside."""
    return Packed(np.packbits(lung, axis=1), np.count_nonzero(lung, axis=1).cumsum(), lung.shape[1])


def unpack(packed: Packed) -> np.ndarray:
    """The lung (H, W) uint8 0/1."""
    return np.unpackbits(packed.bits, axis=1, count=packed.width)


def centre(packed: Packed, rng: np.random.Generator) -> tuple[int, int]:
    """The row and column that patch.centres(lung, 1, rng) would draw: uniform over the pixels of the lung."""
    number = int(rng.integers(packed.ends[-1], size=1)[0])
    row = int(np.searchsorted(packed.ends, number, side="right"))
    inside = np.flatnonzero(np.unpackbits(packed.bits[row], count=packed.width))
    return row, int(inside[number - packed.ends[row]])  # counted from the row's end


def window(packed: Packed, row: int, column: int, reach: int) -> np.ndarray:
    """The lung (2 reach + 1, 2 reach + 1) uint8 0/1 about a pixel, zero beyond the image: as patches.window()."""
    top, bottom = max(row - reach, 0), min(row + reach + 1, len(packed.bits))
    rows = np.unpackbits(packed.bits[top:bottom], axis=1, count=packed.width)
    left, right = max(column - reach, 0), min(column + reach + 1, packed.width)
    found = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    found[top - row + reach :, left - column + reach :][: bottom - top, : right - left] = rows[:, left:right]
    return found
