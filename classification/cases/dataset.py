"""From pairs to masked images in memory."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F

from classification.cases import packed
from classification.cases.finder import Case
from cxr import pairs
from cxr.errors import BadData
from cxr.resize import resize


def prepare(image: np.ndarray, mask: np.ndarray, size: int, resolution: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A pair as the classifier sees it: the masked image (size, size) uint8, and its lung (size, size) uint8 0/1.

    Arguments as shrink().
    """
    small, lung = shrink(image, mask, size, resolution)
    return small * lung, lung


def shrink(image: np.ndarray, mask: np.ndarray, size: int, resolution: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image and lung at the classifier's size, not yet multiplied: both (size, size) uint8, the lung 0/1.

    image (H, W) float32 0..255, mask (H, W) uint8 0/1. The image is resized by bicubic interpolation, the
    mask by bilinear, both with antialiasing; the sides may change their ratio, as published. A lung too small to keep a
    pixel keeps those that hold a pixel of the mask. resolution: the image is brought to so many pixels a side before,
    if not 0, so that all images are equally sharp, whatever size they were copied at.
    """
    whole = torch.from_numpy(image)[None]
    if resolution:
        whole = resize(whole, resolution, resolution)
    small = resize(whole, size, size)[0].round().clamp(0, 255).to(torch.uint8).numpy()
    soft = torch.from_numpy(mask.astype(np.float32))[None, None]
    lung = (F.interpolate(soft, (size, size), mode="bilinear", antialias=True)[0, 0] >= 0.5).numpy()
    if not lung.any():
        rows, columns = np.nonzero(mask)
        lung[rows * size // mask.shape[0], columns * size // mask.shape[1]] = True
    return small, lung.astype(np.uint8)


class Images:
    """The images and lungs of cases, decoded by threads and kept in memory up to settings.cache_gb.

    They are settings.img_size wide, or settings.patch_size for approach=global. What does not fit into the cache is
    read again each time, so that memory does not grow with the number of cases.
    """

    def __init__(self, cases: Sequence[Case], settings):
        self.cases = list(cases)
        self.size = settings.patch_size if settings.approach == "global" else settings.img_size
        self.resolution = settings.resolution
        self._room = int(settings.cache_gb * 1e9)
        self._lock = threading.Lock()
        self._read: dict[int, Future] = {}  # being read, or read and kept
        self._pool = ThreadPoolExecutor(max(settings.num_workers, 1))

    def __len__(self) -> int:
        return len(self.cases)

    def batch(self, indices: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Masked image and lung of each case, as prepare() gives them. Raises pairs.BadPair."""
        return next(self.stream([indices]))

    def packed_batch(self, indices: Sequence[int]) -> list[tuple[np.ndarray, packed.Packed]]:
        """Images not yet masked, as shrink() gives them, with the lungs as they are kept."""
        return [future.result() for future in [self._request(index) for index in indices]]

    def stream(self, batches: Iterable[Sequence[int]], faults: bool = False, ahead: int = 2) -> Iterator[list]:
        """batch() of each of `batches`, in order, while the next `ahead` are being read.

        With `faults` a pair that cannot be read gives its pairs.BadPair in its place; without, that is raised.
        """
        batches = iter(batches)
        waiting = deque([self._request(index) for index in indices] for indices in islice(batches, 1 + ahead))
        while waiting:
            futures = waiting.popleft()
            yield [self._unpack(future, faults) for future in futures]
            waiting.extend([self._request(index) for index in indices] for indices in islice(batches, 1))

    def check(self) -> None:
        """Read every pair once, which fills the cache. Raises BadData with every fault at once."""
        single = ([index] for index in range(len(self)))
        found = [item for (item,) in self.stream(single, faults=True, ahead=8) if isinstance(item, pairs.BadPair)]
        if found:
            raise BadData(f"{len(found)} of {len(self)} pairs cannot be used:\n" + "\n".join(map(str, found)))

    def _request(self, index: int) -> Future:
        with self._lock:
            if index not in self._read:
                self._read[index] = self._pool.submit(self._decode, index)
            return self._read[index]

    def _decode(self, index: int) -> tuple[np.ndarray, packed.Packed]:
        case = self.cases[index]
        try:
            image, lung = shrink(*pairs.load(case.place, case.case), self.size, self.resolution)
        except pairs.BadPair:
            with self._lock:
                del self._read[index]
            raise
        small = packed.pack(lung)
        with self._lock:
            if self._room >= image.nbytes + small.nbytes:
                self._room -= image.nbytes + small.nbytes
            else:
                del self._read[index]
        return image, small

    def _unpack(self, future: Future, faults: bool):
        try:
            image, small = future.result()
        except pairs.BadPair as fault:
            if faults:
                return fault
            raise
        lung = packed.unpack(small)
        return image * lung, lung
