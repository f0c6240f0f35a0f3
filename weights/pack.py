"""One small folder of all that the weights are made from, to be carried to a machine with a GPU."""

import shlex
import shutil
from pathlib import Path

import cv2

from cxr import tables, writing
from cxr.reading import radiograph
from segmentation import dataset, drawn_masks

SIDE, SIDE_EXTRA, QUALITY = 512, 384, 75  # pixels of the longer side; JPEG
EXTRA = 1200  # of kermany_extra, evenly spaced


def pack(data: Path, small: Path) -> str:
    """Copy JSRT with SCR, MontgomerySet, the cohort of cohort.csv and part of kermany_extra into a folder of the same
    layout: radiographs as JPEG of 512 pixels (of kermany_extra 384), masks of 512. Returns a sentence.

    The network sees 256 pixels in stage 1, and the effective resolution is 384 in stage 2: little is lost. Raises
    ValueError where the folder exists, a set is missing or cohort.csv cannot be used.
    """
    if small.exists():
        raise ValueError(f"{small} exists; name a new folder.")
    cohort = tables.read(data / "cohort.csv", ["path"])
    for case in dataset.jsrt(data):
        _radiograph(case.image, small / "JSRT" / f"{case.name}.jpg", SIDE)
        for mask in case.masks.values():
            _mask(mask, small / "SCR" / "fold1" / "masks" / mask.parent.name / f"{case.name}.gif")
    for case in dataset.montgomery(data):
        _radiograph(case.image, small / "MontgomerySet" / "CXR_png" / f"{case.name}.jpg", SIDE)
        for mask in case.masks.values():
            _mask(mask, small / "MontgomerySet" / "ManualMask" / mask.parent.name / mask.name)
    for number, path in enumerate(cohort.path):
        if path:  # which may be absolute, or lead out of the folder: the copy gets a place of its own
            name = f"{Path(path).stem}.jpg"
            target = Path("cohort") / f"{number:05d}" / name
            _radiograph(data / path, small / target, SIDE)
            cohort.loc[number, "path"] = str(target)
    writing.csv(small / "cohort.csv", cohort)
    extra = sorted((data / "kermany_extra").glob("*/*"))
    for image in extra[:: max(1, -(-len(extra) // EXTRA))]:
        _radiograph(image, small / "kermany_extra" / image.parent.name / f"{image.name}.jpg", SIDE_EXTRA)
    size = sum(file.stat().st_size for file in small.rglob("*") if file.is_file())
    following = shlex.join(["python", "weights/make.py", "--data", str(small.absolute()), "--dry-run"])
    return f"Wrote {small}: {size / 1e6:.0f} MB. Next: {following}"


def _radiograph(source: Path, target: Path, side: int) -> None:
    pixels = radiograph.read(source).pixels
    if pixels.dtype != "uint8":
        pixels = cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(target), _smaller(pixels, side, cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise ValueError(f"{target} could not be written; is the disk full?")


def _mask(source: Path, target: Path) -> None:
    from PIL import Image  # the one that writes gif

    target.parent.mkdir(parents=True, exist_ok=True)
    pixels = drawn_masks.read(source)[0]
    if max(pixels.shape) <= SIDE:
        shutil.copyfile(source, target)
        return
    binary = (pixels > pixels.max() // 2).astype("uint8") * 255
    Image.fromarray(_smaller(binary, SIDE, cv2.INTER_NEAREST_EXACT)).save(target)


def _smaller(pixels, side: int, how: int):
    factor = side / max(pixels.shape)
    if factor >= 1:
        return pixels
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how)
