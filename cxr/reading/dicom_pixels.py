"""The pixels of a DICOM dataset: decoded, freed of padding and foreign bits, as one grey array."""

import numpy as np
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import JPEGExtended12Bit, RLELossless

from cxr.reading.dicom_display import display
from cxr.reading.raster import grey, levels
from cxr.reading.unreadable import Unreadable


def read_grey(dataset, path):
    """(H, W) uint16 in display polarity of the one grey frame of `dataset`, which was read from `path`.

    The display values are computed once for each stored value, not for each pixel.  Padding becomes 0 and nothing
    else does.
    """
    stored = _decoded(dataset, path)
    if stored.ndim != 2:
        raise Unreadable(f"its pixels are {stored.ndim}-dimensional; a radiograph has two dimensions.")
    padding = _padding(dataset, stored)
    stored = _used_bits(dataset, stored)
    low, high = int(stored.min()), int(stored.max())
    if high - low < 1 << 16:
        values, index = np.arange(low, high + 1), stored.astype(np.int64) - low
    else:
        values, index = np.unique(stored, return_inverse=True)
    kept = index.ravel() if padding is None else index[~padding]
    counts = np.bincount(kept, minlength=len(values))
    present = counts > 0
    table = np.zeros(len(values), np.uint16)
    # The lowest level is kept for the padding: equalisation takes the count of that level out of the histogram.
    table[present] = levels(display(dataset, values[present], counts[present]), lowest=0 if padding is None else 1)
    shown = table[index]
    if padding is not None:
        shown[padding] = 0
    return shown


def _decoded(dataset, path):
    """The stored values (H, W)."""
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsStored > 8:
        return _decode_12_bit_jpeg(path)  # pydicom refuses to let GDCM do it, GDCM does it well
    # pydicom would clear the unused bits as if they were always the upper ones; _used_bits() does it by HighBit.
    return pixel_array(dataset, raw=True, correct_unused_bits=False)


def _decode_12_bit_jpeg(path):
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    image = reader.GetImage() if reader.Read() else None
    buffer = image.GetBuffer() if image else None
    if buffer is None or image.GetPixelFormat().GetBitsAllocated() != 16:
        raise Unreadable("holds damaged JPEG Extended pixels; get the whole file.")
    kind = "<i2" if image.GetPixelFormat().GetPixelRepresentation() else "<u2"
    return np.frombuffer(buffer.encode("utf-8", "surrogateescape"), kind).reshape(image.GetDimension(1), -1)


def _padding(dataset, stored):
    """Where the pixels are padding (PS3.3 C.7.5.1.1.2), None where there is none or nothing else."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return None
    last = dataset.get("PixelPaddingRangeLimit")
    bits = dataset.BitsAllocated
    signed = stored.dtype.kind == "i"
    ends = []
    for end in (first, first if last is None else last):
        end = int.from_bytes(end, "little") if isinstance(end, bytes) else int(end)
        end %= 1 << bits  # writers confuse signed and unsigned
        ends.append(end - (1 << bits) if signed and end >> (bits - 1) else end)
    padding = (stored >= min(ends)) & (stored <= max(ends))
    return padding if padding.any() and not padding.all() else None


def _used_bits(dataset, stored):
    """The bits of the value itself: old writers keep overlays in the unused ones above (PS3.5 8.1.1).

    Other writers fill all 16 bits and say 12.  Where the upper bits are used, the smoother picture is the right one:
    an overlay makes steps where it is kept, a value where it is cut.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and syntax != RLELossless:
        return stored  # image codecs return the value alone, and may know its depth better than the header
    used, allocated = dataset.BitsStored, dataset.BitsAllocated
    shift = dataset.get("HighBit", used - 1) + 1 - used
    if stored.dtype.kind not in "ui" or not (0 < used < allocated and 0 <= shift <= allocated - used):
        return stored
    room = 8 * stored.dtype.itemsize
    cut = stored << (room - used - shift) >> (room - used)  # signed kinds keep their sign
    if shift or np.array_equal(cut, stored) or _roughness(cut) <= _roughness(stored):
        return cut
    return stored


def _roughness(pixels):
    pixels = pixels.astype(np.float32)
    return sum(np.abs(np.diff(pixels, axis=axis)).mean() for axis in (0, 1) if pixels.shape[axis] > 1)


def read_colour(dataset):
    """(H, W) uint8 or uint16 grey of the one colour frame of `dataset`."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colour = apply_color_lut(pixel_array(dataset, raw=True), dataset)
    else:
        _settle_colours(dataset)
        colour = pixel_array(dataset)
    if colour.ndim != 3:
        raise Unreadable(f"its pixels are {colour.ndim - 1}-dimensional; a radiograph has two dimensions.")
    if colour.dtype.itemsize > 2:
        colour = (colour >> (8 * colour.dtype.itemsize - 16)).astype(np.uint16)
    return grey(*np.moveaxis(colour[..., :3], 2, 0))


def _settle_colours(dataset):
    """Correct what writers of plain colour files forget or get wrong: planes, and RGB said to be YBR."""
    if dataset.get("PlanarConfiguration") is None:
        dataset.PlanarConfiguration = 0
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or dataset.PhotometricInterpretation == "RGB":
        return
    pixels = dataset.Rows * dataset.Columns
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        if len(dataset.PixelData) < 3 * pixels * dataset.BitsAllocated // 8:
            return
        dataset.PhotometricInterpretation = "YBR_FULL"  # not subsampled, whatever it says
    if dataset.BitsAllocated == 8:
        raw = np.frombuffer(dataset.PixelData, np.uint8, 3 * pixels)
        raw = raw.reshape(3, pixels) if dataset.PlanarConfiguration else raw.reshape(pixels, 3).T
        if np.array_equal(raw[0], raw[1]) and np.array_equal(raw[1], raw[2]):  # a grey picture as RGB
            dataset.PhotometricInterpretation = "RGB"
