"""The pair: a case as two .npy files, the one thing that later stages read.

`<case>.image.npy` (H, W) grey 0..255 after preprocessing and `<case>.mask.npy` (H, W), 1 inside either lung; beside
them, optional, `<case>.labels.npy` (H, W) uint8 with 0 background, 1 heart, 2 left lung, 3 right lung (the patient's).
A case name may hold dots. Files are written under a temporary name and renamed, the image last, so that a run killed
at any moment leaves no half pair that looks whole.
"""

import os
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from threading import Lock
from tokenize import TokenError

import numpy as np

from cxr import writing
from cxr.errors import BadData
from cxr.labels import NAMES

IMAGE, MASK, LABELS = ".image.npy", ".mask.npy", ".labels.npy"
DTYPES = "float32", "uint8"  # of a saved image
# what numpy raises for a file cut short or scrambled: its header is parsed as Python and can ask for any memory
BROKEN = ValueError, EOFError, MemoryError, SyntaxError, TokenError
HEADERS = Lock()  # numpy reads a header with ast.parse(), which fails now and then in two threads at once (Python 3.11)
SLACK = 1e-3  # grey levels beyond 0..255 that float32 rounding may cause


class BadPair(BadData):
    """A pair that breaks the contract; the message is one sentence that names the case."""


def check(case: str, image: np.ndarray, mask: np.ndarray, allow_empty: bool = False) -> None:
    """Raise BadPair unless image and mask are 2-D, of one shape, finite, image in 0..255, mask >= 0, not empty and not
    of labels that binary() would take apart."""
    for name, array in (("image", image), ("mask", mask)):
        if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "buif":
            raise BadPair(
                f"{case}: the {name} must be a 2-D array of numbers, not {array.dtype} of shape "
                f"{array.shape}; write the pair again with segmentation/inference.py."
            )
    if image.shape != mask.shape:
        raise BadPair(f"{case}: image {image.shape} and mask {mask.shape} differ in shape; write the pair again.")
    low, high = float(image.min()), float(image.max())  # NaN and infinity show in one of the two
    if not np.isfinite([low, high]).all():
        raise BadPair(f"{case}: the image holds values that are not finite; write the pair again.")
    if low < -SLACK or high > 255 + SLACK:
        raise BadPair(
            f"{case}: the image ranges over {low:g} to {high:g}, not within 0..255; save it after preprocessing."
        )
    low, high = float(mask.min()), float(mask.max())
    if not np.isfinite([low, high]).all() or low < 0:
        raise BadPair(f"{case}: the mask holds values below 0 or not finite; write the pair again.")
    if high == 0 and not allow_empty:
        raise BadPair(f"{case}: the mask is empty (no lung was found); look at the radiograph, or leave the case out.")
    if _several(mask, high):
        raise BadPair(
            f"{case}: the mask holds several labels, which do not tell the lungs; save 1 in either lung, or 0 "
            "background, 1 heart, 2 left and 3 right lung."
        )


def _several(mask: np.ndarray, top: float) -> bool:
    """Whether flat areas well between 0 and the greatest value make a tenth of the mask: labels, and no soft edges."""
    if (mask.dtype.kind != "f" and top == 1) or top == max(NAMES):  # of a label map both lungs lie above half
        return False
    here = mask[:-1, :-1]
    flat = (here == mask[1:, :-1]) & (here == mask[:-1, 1:]) & (here > 0.1 * top) & (here < 0.9 * top)
    return np.count_nonzero(flat) > 0.1 * np.count_nonzero(mask)


def binary(mask: np.ndarray) -> np.ndarray:
    """Any mask, bool, 0/1, 0/255, float, as (H, W) uint8 0/1: what lies above half of its greatest value."""
    if mask.dtype == np.uint8 and mask.max() == 1:
        return np.ascontiguousarray(mask)
    return np.ascontiguousarray(mask > mask.max() / 2 if mask.dtype != bool else mask).astype(np.uint8)


def save(
    folder: str | Path,
    case: str,
    image: np.ndarray,
    mask: np.ndarray,
    labels: np.ndarray | None = None,
    image_dtype: str = "float32",
    allow_empty: bool = False,
) -> None:
    """Write a pair, and the label map where given, so that a kill leaves either the whole pair or none.

    image (H, W) grey 0..255; mask (H, W); labels (H, W) 0..3. image_dtype "float32", or "uint8" (rounded) for a
    quarter of the disk. The folder is made if missing. An older pair of the case is replaced, its label map too.
    Raises BadPair, also for an empty mask unless allow_empty, and ValueError for a bad dtype or case name.
    """
    if image_dtype not in DTYPES:
        raise ValueError(f"image_dtype must be 'float32' or 'uint8', not {image_dtype!r}.")
    if not case or any(c in case for c in "/\\\0"):
        raise ValueError(f"{case!r} cannot name a case, being empty or with a path separator in it; rename the file.")
    image, mask = np.asarray(image), np.asarray(mask)
    check(case, image, mask, allow_empty)
    image = np.clip(image, 0, 255)
    image = np.rint(image).astype(np.uint8) if image_dtype == "uint8" else image.astype(np.float32)
    arrays = {IMAGE: image, MASK: binary(mask)}
    if labels is not None:
        arrays[LABELS] = _checked_labels(case, np.asarray(labels), image.shape)

    folder = Path(folder)
    with ExitStack() as stack:  # which closes the last file first: the image comes into its place after the others
        for end, array in arrays.items():
            np.save(stack.enter_context(writing.replacing(folder / f"{case}{end}")), array, allow_pickle=False)
        # The old image goes first: while the files are exchanged the case counts as not written yet, otherwise a
        # kill in between would leave the old image beside the new mask.
        (folder / f"{case}{IMAGE}").unlink(missing_ok=True)
        if labels is None:
            (folder / f"{case}{LABELS}").unlink(missing_ok=True)


def remove(folder: str | Path, case: str) -> None:
    """Remove a pair and its label map, as far as they are there; the image first, so that a kill leaves no whole
    pair."""
    for end in (IMAGE, MASK, LABELS):
        (Path(folder) / f"{case}{end}").unlink(missing_ok=True)


def is_complete(folder: str | Path, case: str) -> bool:
    """True when image and mask of the case are both there (written whole, by the order in which save() renames)."""
    return all((Path(folder) / f"{case}{end}").is_file() for end in (IMAGE, MASK))


def changed(folder: str | Path, case: str) -> float:
    """When a file of the pair was last written, seconds since 1970; 0 for a case without files."""
    files = (Path(folder) / f"{case}{end}" for end in (IMAGE, MASK, LABELS))
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def find(folder: str | Path) -> list[str]:
    """Sorted names of the cases in the folder that have both an image and a mask."""
    images, masks = _names(folder)
    return sorted(images & masks)


def halves(folder: str | Path) -> list[str]:
    """Sorted names of the cases that have only one of image and mask: an interrupted run, or a file taken away."""
    images, masks = _names(folder)
    return sorted(images ^ masks)


def load(folder: str | Path, case: str, allow_empty: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read a pair of any dtype: image (H, W) float32 in 0..255, mask (H, W) uint8 0/1. Raises BadPair."""
    image, mask = _read(folder, case, IMAGE), _read(folder, case, MASK)
    check(case, image, mask, allow_empty)
    return image.astype(np.float32, copy=False), binary(mask)


def load_labels(folder: str | Path, case: str) -> np.ndarray | None:
    """Read the label map (H, W) uint8 of a case, or None where it has none. Raises BadPair."""
    if not (Path(folder) / f"{case}{LABELS}").is_file():
        return None
    labels = _read(folder, case, LABELS)
    return _checked_labels(case, labels, labels.shape)


def array(path: str | Path) -> np.ndarray:
    """The array of a .npy file, in any thread. Raises one of BROKEN for a file that holds none, and OSError."""
    content = BytesIO(Path(path).read_bytes())
    with HEADERS:
        return np.lib.format.read_array(content, allow_pickle=False)  # np.load would open zip archives as well


def _names(folder: str | Path) -> tuple[set[str], ...]:
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}; write pairs there with segmentation/inference.py.")
    names = [entry.name for entry in os.scandir(folder)]
    return tuple({name[: -len(end)] for name in names if name.endswith(end) and name != end} for end in (IMAGE, MASK))


def _read(folder: str | Path, case: str, end: str) -> np.ndarray:
    path = Path(folder) / f"{case}{end}"
    try:
        return array(path)
    except FileNotFoundError:
        raise BadPair(f"{case}: {path} is missing; write the pair again with segmentation/inference.py.") from None
    except (*BROKEN, OSError) as error:
        raise BadPair(f"{case}: {path} cannot be read ({error}); write the pair again.") from error


def _checked_labels(case: str, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if labels.ndim != 2 or labels.shape != shape or labels.dtype.kind not in "buif":
        raise BadPair(
            f"{case}: the label map must be a 2-D array of the image's shape {shape}, not {labels.dtype} "
            f"of shape {labels.shape}; write the pair again."
        )
    whole = labels.astype(np.uint8)
    if labels.size and (labels.min() < 0 or labels.max() > max(NAMES) or (whole != labels).any()):
        raise BadPair(f"{case}: the label map holds values other than 0, 1, 2 and 3; write the pair again.")
    return whole
