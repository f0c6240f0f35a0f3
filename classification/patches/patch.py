"""Where patches of the lung are centred, and how they are cut, many at once."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

SAMPLING = ("random", "grid")
_CHUNK = 64  # patches turned at a time: bounds the memory of their sampling grids, some 0.4 MB each


def centres(lung: np.ndarray, count: int, rng: np.random.Generator | None, sampling: str = "random") -> np.ndarray:
    """Where `count` patches are centred: (count, 2) int64 rows and columns of lung pixels.

    random  uniform over the lung's pixels, row and column together, with replacement (Oh et al. 2020, section III-B)
    grid    the middles of `count` parts of about equal area, nearly square; needs no `rng`, always the same

    lung (H, W), not zero inside. Raises ValueError for a lung without pixels, or an unknown sampling.
    """
    if not np.any(lung):
        raise ValueError("the lung has no pixel to centre a patch on; segment the radiograph again.")
    if sampling == "random":
        inside = np.flatnonzero(lung)
        chosen = inside[rng.integers(len(inside), size=count)]
    elif sampling == "grid":
        chosen = _grid(lung, count)
    else:
        raise ValueError(f"sampling={sampling!r} is unknown; it is {' or '.join(SAMPLING)}.")
    return np.stack(np.divmod(chosen, lung.shape[1]), 1)


def _grid(lung: np.ndarray, count: int) -> np.ndarray:
    """Flat indices of `count` evenly spread pixels: each connected piece of the lung gets its share of them."""
    pieces, number = ndimage.label(lung, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=number + 1)[1:]
    shares = areas * count / areas.sum()
    parts = np.floor(shares).astype(int)
    parts[np.argsort(parts - shares, kind="stable")[: count - parts.sum()]] += 1  # the largest remainders
    chosen = [_spread(np.flatnonzero(pieces == i + 1), lung.shape, parts[i]) for i in np.flatnonzero(parts)]
    return np.concatenate(chosen)


def _spread(inside: np.ndarray, shape: tuple[int, int], count: int) -> np.ndarray:
    """`count` of the flat indices `inside`: these are cut into strips of columns, each strip into runs of rows, all of
    equal area, and each part gives its pixel nearest to its centroid. More parts than pixels: some come again."""
    height, width = shape
    row, column = np.divmod(inside, width)
    by_column = np.sort(column * height + row)
    across = np.count_nonzero(np.bincount(column))  # columns that have pixels
    strips = int(np.clip(round(across / math.sqrt(len(inside) / count)), 1, count))
    ends = np.linspace(0, count, strips + 1).round().astype(int)  # how many parts come before each strip
    chosen = []
    for before, after in zip(ends[:-1], ends[1:], strict=True):
        column, row = np.divmod(_part(by_column, before / count, after / count), height)
        by_row = np.sort(row * width + column)
        for part in range(after - before):
            pixels = _part(by_row, part / (after - before), (part + 1) / (after - before))
            row, column = np.divmod(pixels, width)
            chosen.append(pixels[np.argmin((row - row.mean()) ** 2 + (column - column.mean()) ** 2)])
    return np.array(chosen)


def _part(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """The values from one share of them to another, at least one."""
    first = min(round(start * len(values)), len(values) - 1)
    return values[first : max(round(end * len(values)), first + 1)]


def cut(images: torch.Tensor, which, centres, size: int, rotation=None, flip=None) -> torch.Tensor:
    """Cut patches of all images at once, on the images' device: (P, 1, size, size) float32, 0..255.

    images    (N, H, W) uint8, zero outside the lungs
    which     (P,) the image of each patch
    centres   (P, 2) rows and columns; the centre is pixel (size // 2, size // 2) of the patch
    rotation  (P,) degrees, counter-clockwise about the centre, bilinear; 0, or None, copies the pixels
    flip      (P,) true where the patch is mirrored left to right, after the rotation

    What lies outside the image is zero: a patch at the border is padded, never squashed.
    """
    device, half = images.device, size // 2
    which, centres = (torch.as_tensor(part).to(device, non_blocking=True).long() for part in (which, centres))
    if rotation is None:
        patches = _windows(images, half, size)[which, centres[:, 0], centres[:, 1]][:, None].float()
    else:
        rotation = torch.as_tensor(rotation, dtype=torch.float32)
        reach = wide_enough(size, rotation)  # before it goes to a GPU, which would have to be waited for
        rotation = rotation.to(device, non_blocking=True)
        angle = torch.deg2rad(rotation)
        windows = _windows(images, reach, 2 * reach + 1)
        patches = images.new_empty((len(which), 1, size, size), dtype=torch.float32)
        for some in torch.arange(len(which), device=device).split(_CHUNK):
            wide = windows[which[some], centres[some, 0], centres[some, 1]][:, None].float()
            exact = wide[:, :, reach - half : reach - half + size, reach - half : reach - half + size]
            still = (rotation[some] == 0)[:, None, None, None]
            patches[some] = torch.where(still, exact, _turn(wide, angle[some], size))
    if flip is not None:
        flip = torch.as_tensor(flip).to(device, non_blocking=True)[:, None, None, None].bool()
        patches = torch.where(flip, patches.flip(-1), patches)
    return patches


def wide_enough(size: int, degrees: torch.Tensor) -> int:
    """How far the window about a pixel must reach so that patches of it turned by these degrees keep their corners."""
    angle = torch.deg2rad(degrees)
    most = (angle.cos().abs() + angle.sin().abs()).max() if len(angle) else 1.0
    return math.ceil(size // 2 * most) + 1


def window(image: np.ndarray, row: int, column: int, reach: int) -> np.ndarray:
    """What cut() needs to know of an image (H, W): the window (2 reach + 1, 2 reach + 1) about a pixel, a copy, zero
    beyond the image. A patch cut about its middle is the same as one cut about the pixel of the image."""
    found = np.zeros((2 * reach + 1, 2 * reach + 1), image.dtype)
    top, left = row - reach, column - reach
    part = image[max(top, 0) : top + len(found), max(left, 0) : left + len(found)]
    above, before = max(-top, 0), max(-left, 0)
    found[above : above + part.shape[0], before : before + part.shape[1]] = part
    return found


def _windows(images: torch.Tensor, before: int, size: int) -> torch.Tensor:
    """A view (N, H, W, size, size) of the window about every pixel, which has `before` pixels before it."""
    padded = F.pad(images, (before, size - before, before, size - before))
    return padded.unfold(1, size, 1).unfold(2, size, 1)


def _turn(wide: torch.Tensor, angle: torch.Tensor, size: int) -> torch.Tensor:
    """The middles of windows (P, 1, 2 r + 1, 2 r + 1), turned about their central pixel: (P, 1, size, size)."""
    reach = wide.shape[-1] // 2
    across = torch.arange(size, device=wide.device, dtype=torch.float32) - size // 2
    down, cos, sin = across[:, None], angle.cos()[:, None, None], angle.sin()[:, None, None]
    # Where in the window each pixel of the turned patch comes from; rows grow downwards.
    grid = torch.stack([cos * across - sin * down, sin * across + cos * down], -1) / reach
    return F.grid_sample(wide, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def coverage(lung: np.ndarray, centres: np.ndarray, size: int) -> float:
    """Share of the lung's pixels, (H, W) not zero inside, that lie in at least one patch of this size."""
    height, width = lung.shape
    starts = np.maximum(centres - size // 2, 0)
    stops = np.minimum(centres - size // 2 + size, (height, width))
    change = np.zeros((height + 1, width + 1), np.int64)  # +1 and -1 at the corners; its double sum counts patches
    for rows, columns, sign in ((starts, starts, 1), (starts, stops, -1), (stops, starts, -1), (stops, stops, 1)):
        np.add.at(change, (rows[:, 0], columns[:, 1]), sign)
    covered = change.cumsum(0).cumsum(1)[:-1, :-1] > 0
    return float(covered[lung > 0].mean())
