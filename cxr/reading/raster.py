"""Read PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000 to one (H, W) array without losing a grey level.

Pillow reads the headers and nearly all pixels.  Colour of 16 bits, which Pillow cuts to 8, comes from OpenCV.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from cxr.reading import damage, turn
from cxr.reading.unreadable import Unreadable

# Whole PNG files carry megabytes of XMP or a large colour profile; Pillow's limit is one megabyte.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20

MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
# Small, hardened decoders; the others' belong in a worker process, and so does JPEG, whose warnings are caught there.
READ_IN_PLACE = {"PNG", "BMP", "GIF"}


def kind(head):
    """The format of a file that starts with the bytes `head`, None if it is none of those read here."""
    for magic, name in MAGIC.items():
        # A DICOM file's preamble may hold a TIFF header, so that both kinds of viewers open it.
        if head.startswith(magic) and head[128:132] != b"DICM":
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "BMP"
    return None


def read(path, pixel_limit):
    """{'pixels': (H, W) uint8 or uint16, upright, 'orientation': as the file stores them} of the one picture in `path`.

    orientation is EXIF's number.  Raises Unreadable, and whatever Pillow does.
    """
    with open(path, "rb") as file:  # given by name, Pillow maps a plain TIFF into memory, one on its side wrongly
        name = kind(file.read(256))
        with _opened(file, name, pixel_limit) as image:
            deep = _deep_colour(image, path)
            wrong = missing(path, name)
            if wrong:
                raise Unreadable(f"is a truncated or damaged {name} ({wrong}); get the whole file.")
            orientation = stored_orientation(image)
            try:
                image.load()
            except (OSError, SyntaxError, EOFError, ValueError):
                raise Unreadable(f"is a truncated or damaged {name}; get the whole file.") from None
            pixels = _read_deep(path) if deep else _grey_picture(image)
    if name != "TIFF":  # both libraries turn TIFF themselves
        pixels = turn.upright(pixels, orientation)
    return {"pixels": pixels, "orientation": orientation}


def _opened(file, name, pixel_limit):
    """The picture in a file of the kind `name`, of which Pillow has read the header: one picture of decent size."""
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            image = Image.open(file, formats=[name])
    except Image.DecompressionBombError:
        raise Unreadable(_too_many(None, pixel_limit)) from None
    except (OSError, SyntaxError):
        raise Unreadable(f"is a damaged {name}, or of a kind that cannot be read; save it as a grey PNG.") from None
    if image.width * image.height > pixel_limit:
        raise Unreadable(_too_many(image.size, pixel_limit))
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a photo and its previews
    if frames != 1:
        raise Unreadable(f"holds {frames} pictures; save the one that is meant as a file of its own.")
    return image


def missing(path, name):
    """What is wrong with the compressed pixels of a file of the kind `name`, None if nothing is known to be."""
    if name == "JPEG":
        return damage.of_jpeg(Path(path).read_bytes())
    return damage.of_png(path) if name == "PNG" else None


def stored_orientation(image):
    """EXIF's number of how an opened picture is stored, 1 (upright) where none is told or it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = image.getexif().get(274)
    except Exception:  # Pillow's reader of EXIF raises whatever damaged bytes lead to
        return turn.UPRIGHT
    return told if told in range(1, 9) else turn.UPRIGHT


def _too_many(size, pixel_limit):
    what = f"{size[1]} x {size[0]} pixels are" if size else "its pixels are"
    return f"{what} more than the limit of {pixel_limit:,}."


def _deep_colour(image, path):
    """Whether the pixels are of more than one channel and more than 8 bits."""
    if image.format == "TIFF":
        deep = image.mode not in ("F", "I") and not image.mode.startswith("I;") and max(image.tag_v2.get(258, (1,))) > 8
        if deep and image.tag_v2.get(284) == 2:  # which OpenCV mixes up
            raise Unreadable("is colour of 16 bits in separate planes, which cannot be read; save it as a grey PNG.")
        return deep
    if image.format == "PNG":
        return image.tile and image.mode not in ("I", "I;16") and "16B" in str(image.tile[0].args)
    if image.format == "JPEG2000":  # by the header of its pixels: each channel's bits less one, and its sampling
        header = Path(path).read_bytes().partition(b"\xff\x4f\xff\x51")[2]
        channels = int.from_bytes(header[36:38], "big")
        return channels > 1 and any(bits & 127 > 7 for bits in header[38 : 38 + 3 * channels : 3])
    return False


def _read_deep(path):
    array = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16 or array.shape[2:] == (2,):
        raise Unreadable("is colour of a depth that cannot be read; save it as a grey PNG.")
    if array.ndim == 2:
        return array
    channels = [array[..., i] for i in range(array.shape[2])]
    return grey(channels[2], channels[1], channels[0], channels[3] if len(channels) == 4 else None)


def _grey_picture(image):
    tags = image.tag_v2 if image.format == "TIFF" else {}
    bits, signed = tags.get(258), tags.get(339) == (2,)
    if image.mode.startswith("I") or image.mode == "F":
        array = np.asarray(image)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if image.mode == "I" and bits == (32,) and not signed:  # Pillow takes them as signed
            array = array.view(np.uint32)
        # Pillow turns 1 and 8 bits whose zero is white, not deeper ones.
        array = levels(array)
        return array.max() - array if tags.get(262) == 0 else array
    if image.mode == "L" and signed:  # Pillow takes them as unsigned
        return levels(np.asarray(image).view(np.int8))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        return grey(*np.moveaxis(np.asarray(image.convert("RGBA")), 2, 0))
    return grey(*np.moveaxis(np.asarray(image.convert("RGB")), 2, 0))


def grey(red, green, blue, alpha=None):
    """One channel of the same depth: the common one of a grey picture exactly, else the luma of ITU-R BT.601.

    What is transparent is blank, so black.
    """
    if np.array_equal(red, green) and np.array_equal(green, blue):
        result = red
    else:
        luma = 0.299 * red.astype(np.float32) + 0.587 * green.astype(np.float32) + 0.114 * blue.astype(np.float32)
        result = np.rint(luma).astype(red.dtype)
    top = np.iinfo(red.dtype).max
    if alpha is not None and alpha.min() < top:
        result = np.rint(result * (alpha.astype(np.float32) / top)).astype(red.dtype)
    return np.ascontiguousarray(result)


def levels(values, lowest=0):
    """Numbers of any kind as uint16 in the same order and from `lowest` up, keeping distinct levels distinct.

    Whole numbers that fit are kept, or only shifted; others are stretched over the range, and where that would merge
    levels, numbered (at most 65536 exist in 16 bits; more are stretched).  Raises Unreadable for NaN and infinity.
    """
    if values.dtype in (np.uint8, np.uint16) and lowest == 0:
        return values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Unreadable("holds pixels that are not finite numbers (NaN or infinity).")
    values = values.astype(np.float64)
    low, high, room = values.min(), values.max(), 65535 - lowest
    if low == high:
        return np.full(values.shape, lowest, np.uint16)
    whole = high - low <= room and np.array_equal(values, np.rint(values))
    if whole:
        offset = 0 if low >= lowest and high <= 65535 else lowest - low
        return (values + offset).astype(np.uint16)
    stretched = np.rint((values - low) * (room / (high - low))) + lowest
    present, index = np.unique(values, return_inverse=True)
    if len(present) <= room + 1 and len(np.unique(stretched)) < len(present):
        stretched = index.reshape(values.shape) + lowest
    return stretched.astype(np.uint16)
