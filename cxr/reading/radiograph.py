"""Read a radiograph of any format, told by its content and not by its suffix, as one (H, W) array, bone bright.

from cxr.reading import radiograph
found = radiograph.read("JPCLN001.IMG")             # found.pixels, found.spacing_mm, found.source, found.view ...
image = radiograph.preprocess(found.pixels)         # equalised, gamma 0.5: what the networks see
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr.preprocess import content_box, preprocess
from cxr.reading import decode, dicom, foreign, raster, turn
from cxr.reading.unreadable import NotFrontal, Unreadable

__all__ = ["NotFrontal", "Radiograph", "Unreadable", "case_of", "content_box", "find", "legible", "preprocess", "read"]

PIXEL_LIMIT = 8192 * 8192  # above any radiograph (the largest plates are near 5000 x 6000), below a decompression bomb
SMALLEST_SIDE = 32  # pixels; less shows no lungs
JSRT_SIDE = 2048
JSRT_BYTES = 2 * JSRT_SIDE**2
JSRT_WHITE = 4095  # 12 bits

# The suffixes of radiographs: cut off a file's name to name its case.  What a file is, its content tells.
SUFFIXES = set(
    ".img .dcm .dicom .png .apng .jpg .jpeg .jpe .jfif .jp2 .j2k .j2c .jpc .jpf .jpx .tif .tiff .bmp .dib .gif "
    ".webp".split()
)
PASSED_OVER_SUFFIXES = set(
    ".csv .tsv .txt .json .jsonl .md .rst .xls .xlsx .ods .doc .docx .html .htm .xml .pdf .npy .npz .zip .log .yaml "
    ".yml .toml .ini .db .py .sh .pt .safetensors .bib .tfevents".split()
)
PASSED_OVER_NAMES = {"dicomdir", "thumbs.db", "desktop.ini", "readme", "license", "makefile"}
PASSED_OVER_FOLDERS = {"@eadir", "__macosx", "#recycle", "$recycle.bin"}  # thumbnails and leftovers of other systems


@dataclass(frozen=True)
class Radiograph:
    """pixels: (H, W) uint8 or uint16, bone bright, air dark.  spacing_mm: of rows and of columns, None if unknown.

    source: the format ('IMG', 'PNG', 'JPEG', 'TIFF', 'DICOM' ...).  view: 'AP', 'PA', 'lateral' or 'oblique', where
    DICOM says it.  orientation: EXIF's number of how the file stores the pixels, which stand upright here (turn.py).
    """

    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None
    source: str
    view: str | None = None
    orientation: int = turn.UPRIGHT


def read(path, pixel_limit=PIXEL_LIMIT):
    """The radiograph in the file `path`.  Raises Unreadable for whatever cannot be one, hostile bytes included."""
    path = Path(path)
    try:
        radiograph = _read(path, pixel_limit)
        _check(radiograph.pixels)
    except Unreadable as cause:
        raise Unreadable(f"{path}: {cause}") from None
    except OSError as error:
        raise Unreadable(f"{path}: cannot be opened ({error.strerror or type(error).__name__}).") from None
    return radiograph


def read_frontal(path, pixel_limit=PIXEL_LIMIT):
    """As read(), and raises NotFrontal for a lateral or oblique view, by its header alone."""
    radiograph = read(path, pixel_limit)
    if radiograph.view in ("lateral", "oblique"):
        raise NotFrontal(
            f"{path}: its view is {radiograph.view} by its header; give frontal radiographs only.", radiograph.view
        )
    return radiograph


def case_of(name):
    """What the outputs of the radiograph in the file `name` are named after: its name without such a suffix.

    A DICOM file called 1.2.840.10008 keeps its last number. Bytes that are no UTF-8 become as legible() writes them.
    """
    name = legible(str(name)).replace("\\", "/").rsplit("/", 1)[-1]
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def legible(text):
    """A path or name as text that every table and file can hold: bytes that are no UTF-8 (names from an old archive)
    become % and two hexadecimal digits."""
    return re.sub("[\udc80-\udcff]", lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)


def find(paths):
    """Two sorted lists of Path: the files to read in `paths` (files, or folders searched to any depth), and the files
    passed over as plainly not images (tables, text, arrays, DICOMDIR ...).  Every other file is to be read whatever
    its suffix, since content tells the type.  Hidden files and folders, and those in which other systems keep
    thumbnails, are skipped.  Raises FileNotFoundError.
    """
    taken, passed_over = set(), set()
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist.")
        for file in _files(path) if path.is_dir() else [path]:
            plainly_not = file.suffix.lower() in PASSED_OVER_SUFFIXES or file.name.lower() in PASSED_OVER_NAMES
            (passed_over if plainly_not else taken).add(file)
    return sorted(taken), sorted(passed_over)


def _files(folder):
    """The visible files under `folder`; linked folders are followed, once each so that a loop of links ends."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(n for n in folders if n[0] != "." and n.lower() not in PASSED_OVER_FOLDERS)
        yield from (Path(here, name) for name in names if not name.startswith("."))


def _read(path, pixel_limit):
    if not path.is_file():
        raise Unreadable("is a folder; name the files in it." if path.is_dir() else "there is no such file.")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
    if size == 0:
        raise Unreadable("is empty.")
    kind = raster.kind(head)
    if kind:
        in_place = kind in raster.READ_IN_PLACE
        found = (
            decode.guarded(raster.read, path, pixel_limit)
            if in_place
            else decode.in_worker("raster", path, pixel_limit)
        )
        return Radiograph(found["pixels"], None, kind, None, found["orientation"])
    if head[128:132] != b"DICM" and size == JSRT_BYTES:
        radiograph = _read_jsrt(path)
        if radiograph is not None:
            return radiograph
    if dicom.is_dicom(head):
        in_place = dicom.is_uncompressed(path)
        found = (
            decode.guarded(dicom.read, path, pixel_limit) if in_place else decode.in_worker("dicom", path, pixel_limit)
        )
        return Radiograph(found["pixels"], found["spacing_mm"], "DICOM", found["view"], found["orientation"])
    if path.suffix.lower() == ".img" or size == JSRT_BYTES:
        raise Unreadable(
            f"is not a JSRT .IMG, which is {JSRT_BYTES} bytes of big-endian 16-bit values up to {JSRT_WHITE}, "
            f"nor {foreign.KNOWN} by its content."
        )
    raise Unreadable(foreign.what_it_is(head))


def _read_jsrt(path):
    """A JSRT .IMG: 2048 x 2048 big-endian uint16 without a header, 12 bits, dark = high, 0.175 mm a pixel."""
    stored = np.fromfile(path, ">u2")
    if stored.size != JSRT_SIDE**2 or stored.max() > JSRT_WHITE:
        return None
    # Inverted here, so that from here on every source is bone bright.
    return Radiograph(JSRT_WHITE - stored.astype(np.uint16).reshape(JSRT_SIDE, JSRT_SIDE), (0.175, 0.175), "IMG")


def _check(pixels):
    if min(pixels.shape) < SMALLEST_SIDE:
        raise Unreadable(f"is {pixels.shape[0]} x {pixels.shape[1]} pixels; a radiograph needs {SMALLEST_SIDE} a side.")
    if pixels.min() == pixels.max():
        raise Unreadable("holds one grey level only, no image.")
