"""From folders of pairs to masked images in memory, and the class of each."""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from classification.cases import packed
from cxr import pairs
from cxr.resize import resize


class BadData(ValueError):
    """Folders or pairs that cannot be used; the message says which and what to do."""


class Case(NamedTuple):
    """A pair and what is known of it."""

    case: str  # its name
    folder: str  # name of the folder it lies in
    place: Path  # that folder
    label: int | None  # index of its class; None where it is not known


def class_map(classes: Sequence[str], folders: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """The names of the classes, and the class that each folder belongs to, by its index.

    classes are the header's: "CLASS", "CLASS=FOLDER" or "CLASS=FOLDER+FOLDER"; if there are none, each folder is a
    class, in alphabetical order. The map holds every folder of the header, there or not, and all `folders`, which
    may differ from the header in upper and lower case. Raises BadData for a folder that no class names, with both
    lists, and for a class or a folder named twice.
    """
    folders = sorted(folders)
    if not classes:
        odd = [folder for folder in folders if "=" in folder]
        if odd:
            raise BadData(f"folder {odd[0]!r} has = in its name, which separates classes from folders; rename it.")
        return folders, {folder: index for index, folder in enumerate(folders)}
    names, found = [], {}
    for index, entry in enumerate(classes):
        name, equals, listed = entry.partition("=")
        names.append(name)
        for folder in listed.split("+") if equals else [name]:
            if not name or not folder or name in names[:-1] or folder in found:
                raise BadData(f"classes has {entry!r}: name each class and each folder once, as CLASS=FOLDER+FOLDER.")
            found[folder] = index
    loose = {folder.casefold(): index for folder, index in found.items()}
    unknown = [folder for folder in folders if folder not in found and folder.casefold() not in loose]
    if unknown:
        raise BadData(
            f"no class takes the folders {', '.join(unknown)}; classes names the folders "
            f"{', '.join(found)}; add them to classes in header.py, take them away, or give 'classes=[]' "
            "for a class of each folder."
        )
    return names, found | {folder: found.get(folder, loose[folder.casefold()]) for folder in folders}


def class_entries(names: Sequence[str], folders: dict[str, int]) -> list[str]:
    """What class_map() made, back in the header's form, so that it holds whatever folders come later."""
    entries = []
    for index, name in enumerate(names):
        own = [folder for folder, of in folders.items() if of == index]
        entries.append(name if own in ([], [name]) else f"{name}={'+'.join(own)}")
    return entries


def with_own(classes: Sequence[str], folders: Iterable[str]) -> tuple[list[str], list[str]]:
    """The header's classes and one of its own for each folder that none of them takes, and the names of these folders.

    For what asks no network, which would know its classes only. A folder called as a class is taken for it; where no
    folder is any class's, the header's classes are left out. Raises BadData as class_map().
    """
    names, found = class_map(classes, [])
    index = {name.casefold(): i for i, name in enumerate(names)} | {name.casefold(): i for name, i in found.items()}
    own = [folder for folder in sorted(folders) if classes and folder.casefold() not in index]
    if not classes or len(own) == len(list(folders)):
        return [], own
    called = {folder: index[folder.casefold()] for folder in folders if folder.casefold() in index}
    return class_entries(names, found | called) + class_map([], own)[0], own


def find_folders(root: Path) -> list[str]:
    """Sorted names of the subfolders of root that hold pairs. Raises BadData if there is no folder root."""
    if not Path(root).is_dir():
        raise BadData(f"there is no folder {root}; make it with segmentation/inference.py or classification/split.py.")
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and pairs.find(entry.path))


def find_cases(root: Path, classes: Sequence[str], labelled: bool | None = None) -> list[Case]:
    """The pairs in the folders of root, or directly in it, sorted by folder and case.

    labelled True takes the folders for classes, by class_map(); False takes no label; None takes them for classes
    unless no class names any of them. Pairs directly in root have no label. Raises BadData.
    """
    root = Path(root)
    folders = find_folders(root)
    direct = pairs.find(root)
    if direct and folders:
        raise BadData(f"{root} holds pairs directly and in folders ({', '.join(folders)}); give one or the other.")
    if not direct and not folders:
        raise BadData(
            f"{root} holds no pairs, neither in folders nor directly; write them with segmentation/inference.py."
        )
    if direct and labelled:
        raise BadData(f"{root} holds pairs directly, so that their class is not known; put them in a folder a class.")
    if direct:
        return [Case(case, root.resolve().name, root, None) for case in direct]
    if labelled is None:
        named = {folder.casefold() for folder in class_map(classes, [])[1]}
        labelled = not classes or any(folder.casefold() in named for folder in folders)
    label = class_map(classes, folders)[1] if labelled else dict.fromkeys(folders)
    return [Case(case, name, root / name, label[name]) for name in folders for case in pairs.find(root / name)]


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
