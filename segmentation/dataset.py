"""Which radiographs there are, with which masks, and those of a training in memory."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from cxr.errors import BadData
from cxr.labels import ORGANS
from cxr.reading import radiograph
from cxr.run import engine
from cxr.shifts import suite
from segmentation import transforms
from segmentation.augment import augment, brighten
from segmentation.drawn_masks import truth

# Folder names of the organs in SCR, in Montgomery, and plainly
_FOLDERS = {
    "heart": ("heart",),
    "left": ("left lung", "leftMask", "left"),
    "right": ("right lung", "rightMask", "right"),
    "mediastinum": ("mediastinum", "cardiomediastinum"),  # heart and great vessels: to evaluate outside of it
}
_MASKS = (".gif", ".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Case:
    """A radiograph and the files of its masks by organ: heart, left, right, or lungs (both), or labels (0..3)."""

    name: str
    image: Path
    masks: dict[str, Path]


def jsrt(root: Path) -> list[Case]:
    """The cases of `root`/JSRT (.IMG, or PNG or JPEG copies) with the masks of `root`/SCR/fold{1,2}/masks/<organ>/,
    sorted by name. Raises BadData if there are none."""
    files = [p for p in sorted((root / "JSRT").glob("JPC[LN]N*")) if p.suffix.lower() in radiograph.SUFFIXES]
    if not files:
        raise BadData(
            f"{root / 'JSRT'} holds no JPC*.IMG, .png or .jpg files; see data/README.md, or make a synthetic set with "
            "`python data/make_phantom.py` and name its folder: dir_data_root=data/phantom"
        )
    # fold1 holds the masks of one half of the cases, fold2 those of the other.
    found = {(p.parent.name, p.stem): p for p in (root / "SCR").glob("fold[12]/masks/*/*")}
    cases = []
    for file in files:
        masks = {}
        for organ in ORGANS:
            folder = _FOLDERS[organ][0]
            expected = root / "SCR" / "fold*" / "masks" / folder / f"{file.stem}.gif"
            masks[organ] = found.get((folder, file.stem), expected)
        cases.append(Case(file.stem, file, masks))
    return _distinct(cases)


def montgomery(root: Path) -> list[Case]:
    """The cases of `root`/MontgomerySet: CXR_png/ with ManualMask/leftMask/ and rightMask/."""
    folder = root / "MontgomerySet"
    return image_folder(folder / "CXR_png", folder / "ManualMask")


def known_set(name: str, root: Path) -> list[Case]:
    """The cases of a public set, jsrt or montgomery. Raises BadData."""
    sets = {"jsrt": jsrt, "montgomery": montgomery}
    if name not in sets:
        raise BadData(f"train_sets has {name!r}; it takes {' and '.join(sets)}.")
    return sets[name](root)


def image_folder(images: Path, masks: Path) -> list[Case]:
    """Every radiograph of a folder with its masks: `masks`/<organ>/<name>.png (organ folders named as in SCR or
    Montgomery), or one file `masks`/<name>.png, either labels 0..3 or lungs against zero. Raises BadData."""
    try:
        files, _ = radiograph.find([images])
    except FileNotFoundError as error:
        raise BadData(f"{error} See data/README.md for where each set goes.") from None
    if not files:
        raise BadData(f"{images} holds no radiographs.")
    folders = {o: masks / name for o in _FOLDERS for name in _FOLDERS[o] if (masks / name).is_dir()}
    cases = []
    for file in files:
        name = radiograph.case_of(file.name)
        places = {organ: _mask_file(folder, name) for organ, folder in folders.items()}
        places = places or {"labels": _mask_file(masks, name)}
        cases.append(Case(name, file, places))
    return _distinct(cases)


def _distinct(cases: list[Case]) -> list[Case]:
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        files = " and ".join(str(case.image) for case in cases if case.name == twice[0])
        raise BadData(f"{len(twice)} cases are there more than once, for example {files}; keep one of each.")
    return cases


def _mask_file(folder: Path, stem: str) -> Path:
    names = [f"{stem}{tail}{end}" for tail in ("", "_mask") for end in _MASKS]
    return next((folder / n for n in names if (folder / n).exists()), folder / f"{stem}.png")


def official_split(cases: list, seed: int = 407) -> dict[str, list]:
    """The authors' split of the sorted JSRT cases: shuffled, the first 80 % train, to 92 % validate, the rest test.

    With 247 cases and seed 407: 197, 30 and 20. Source: METHOD as published (Oh et al. 2020) and the authors' code.
    """
    order = list(range(len(cases)))
    np.random.RandomState(seed).shuffle(order)
    train, val = int(0.80 * len(cases)), int(0.92 * len(cases))
    parts = {"train": order[:train], "val": order[train:val], "test": order[val:]}
    return {name: [cases[i] for i in part] for name, part in parts.items()}


LUNGS_ONLY = 4  # target of a pixel outside the lungs of a case without a heart mask: background or heart


def load(case: Case, settings, augmented: bool = False) -> tuple:
    """A training case: as the network sees it, (1, h, w) float32 0..255 and targets (h, w) uint8; or, to be augmented,
    the radiograph before equalisation and its label map, both twice the network's size at most, (H, W) float32 0..1 and
    (H, W) uint8. Raises BadData or radiograph.Unreadable, naming the file."""
    xray = radiograph.read_frontal(case.image, settings.pixel_limit)
    pixels = xray.pixels
    organs = truth(case.masks, pixels.shape, xray.orientation)
    if not {"left", "right"} <= set(organs):
        known = ", ".join(organs)
        raise BadData(
            f"{case.image} needs masks of left and right lung, best of the heart too, for training, not only "
            f"of {known}."
        )
    known = [organ for organ in ORGANS if organ in organs]
    for organ in known:
        if not organs[organ].any():
            raise BadData(f"the mask {case.masks.get(organ, case.masks.get('labels'))} holds no {organ}.")
        if organs[organ].shape != pixels.shape:  # SCR drew at half of JSRT's size
            size = pixels.shape[1], pixels.shape[0]
            organs[organ] = cv2.resize(organs[organ].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
    stack = [organs.get(organ, np.zeros(pixels.shape, bool)) for organ in ORGANS]
    if augmented:
        image, labels = suite.unit(pixels), transforms.label_map(stack)
        labels[labels == 0] = 0 if "heart" in organs else LUNGS_ONLY
        factor = 2 * max(settings.resize_height, settings.resize_width) / max(pixels.shape)
        if factor < 1:
            size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return image, labels
    image, box = transforms.prepare(pixels, settings)
    target = transforms.network_target(stack, box, settings)
    target[target == 0] = 0 if "heart" in organs else LUNGS_ONLY
    return transforms.network_input(image, box, settings), target


class Radiographs(torch.utils.data.Dataset):
    """Cases in memory at the network's size (320 kB each at 256 x 256), or, augmented, at twice that, changed anew each
    epoch before they are equalised.

    Items are (image (1, H, W) float32 0..255, target (H, W) int64). Reading them is the integrity check: every file
    at fault is named in one BadData.
    """

    def __init__(self, cases: list[Case], settings, augmented: bool = False):
        self.cases, self.settings, self.augmented, self.epoch = cases, settings, augmented, 0
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(self._try, cases))
        faults = [r for r in results if isinstance(r, str)]
        if faults:
            raise BadData("\n".join([f"{len(faults)} of {len(cases)} cases cannot be used:", *faults]))
        self.items = results

    def _try(self, case: Case):
        try:
            return load(case, self.settings, self.augmented)
        except (BadData, radiograph.Unreadable) as error:
            return str(error)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        image, target = self.items[index]
        if self.augmented:
            rng = engine.generator(self.settings.seed, "augment", self.epoch, self.cases[index].name)
            image, target = self._changed(image, target, rng)
        return image, torch.from_numpy(target.astype(np.int64))

    def _changed(self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator):
        """A new view of a case, equalised after its changes as a radiograph is that comes so."""
        outside = LUNGS_ONLY if (labels == LUNGS_ONLY).any() else 0
        labels = np.where(labels == LUNGS_ONLY, 0, labels).astype(np.uint8)
        image, labels = augment(image, labels, self.settings, rng)
        image, box = transforms.prepare((image * 65535).round().astype(np.uint16), self.settings)
        target = transforms.network_target([labels == label for label in ORGANS.values()], box, self.settings)
        target[target == 0] = outside
        small = transforms.network_input(image, box, self.settings)[0].numpy()
        return torch.from_numpy(brighten(small, self.settings, rng))[None], target
