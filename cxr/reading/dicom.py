"""Read the one image of a DICOM file to (H, W) in display polarity, as a frontal image hangs, and of its header only
spacing and view.

This file knows headers: what is a radiograph and what is refused.  dicom_geometry.py reads how it lies,
dicom_pixels.py decodes, dicom_display.py is the way from stored to displayed grey levels.
"""

import contextlib
import logging
import struct
import warnings

import pydicom
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit

from cxr.reading import damage, dicom_geometry, turn
from cxr.reading.dicom_pixels import read_colour, read_grey
from cxr.reading.unreadable import Unreadable

UNCOMPRESSED = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
NO_RADIOGRAPH = {
    "SEG": "a segmentation",
    "RTDOSE": "a dose map",
    "SR": "a report",
    "KO": "a list of images",
    "PR": "a presentation state",
    "RTSTRUCT": "contours",
    "RTPLAN": "a treatment plan",
    "ECG": "an electrocardiogram",
    "DOC": "a document",
}

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote values of the header


def is_dicom(head):
    """Whether a file that starts with the bytes `head` is DICOM, with its preamble or without."""
    if head[128:132] == b"DICM":
        return True
    # Without it, a file begins with an element of group 2 or 8, which names its kind of value or a short length.
    for order in "<>":
        if len(head) >= 8 and struct.unpack(f"{order}H", head[:2])[0] in (2, 8):
            element, length = struct.unpack(f"{order}H", head[2:4])[0], struct.unpack(f"{order}I", head[4:8])[0]
            if element <= 0x0100 and (
                head[4:6] in (b"UL", b"CS", b"UI", b"DA", b"SH", b"LO", b"OB", b"TM", b"SQ")
                or (length <= 64 and order == "<")
            ):
                return True
    return False


def is_uncompressed(path):
    """Whether the file says in its meta header that its pixels are stored plainly: safe to read in this process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_file_meta_info(path).get("TransferSyntaxUID") in UNCOMPRESSED
    except OSError:
        raise
    except Exception:  # a damaged or missing meta header: whatever it is, it belongs into the worker
        return False


def read(path, pixel_limit):
    """{'pixels': (H, W) uint8 or uint16, 'spacing_mm': (row, column) or None, 'view': AP, PA, lateral, oblique or None,
    'orientation': EXIF's number of how the file stores it}.

    Padding becomes the lowest level, which equalisation leaves out of the histogram.  A frontal radiograph whose header
    tells that it is stored mirrored, upside down or on its side (PatientOrientation) is turned, so that its rows run
    to the patient's left and its columns to the feet: the pixels are then on another grid than the file's.  Raises
    Unreadable, and on damaged files whatever pydicom and its decoders raise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        _check(dataset, pixel_limit)
        pixels = _pixels(dataset, path)
        spacing, view = dicom_geometry.spacing(dataset), dicom_geometry.view(dataset)
        orientation = turn.UPRIGHT if view in ("lateral", "oblique") else dicom_geometry.orientation(dataset)
        if spacing and orientation in turn.TRANSPOSED:
            spacing = spacing[::-1]
        pixels = turn.upright(pixels, orientation)
        return {"pixels": pixels, "spacing_mm": spacing, "view": view, "orientation": orientation}


def _pixels(dataset, path):
    grey = dataset.SamplesPerPixel == 1 and dataset.PhotometricInterpretation != "PALETTE COLOR"
    compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    with damage.heard() if compressed else contextlib.nullcontext() as warned:
        pixels = read_grey(dataset, path) if grey else read_colour(dataset)
    if warned:
        raise Unreadable(f"holds truncated or damaged JPEG pixels ({warned[0]}); get the whole file.")
    return pixels


def _check(dataset, pixel_limit):
    if "DirectoryRecordSequence" in dataset:
        raise Unreadable("is a DICOMDIR, an index of other files; name those or their folder.")
    what = NO_RADIOGRAPH.get(str(dataset.get("Modality", "")))
    if what:
        raise Unreadable(f"is DICOM, but {what} and no radiograph.")
    if not len(dataset):  # pydicom drops all that it has read where a compressed image does not end
        raise Unreadable("is DICOM that ends too early, truncated or damaged; get the whole file.")
    if "PixelData" not in dataset:
        floats = "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
        raise Unreadable(
            "is DICOM with pixels in floating point, which no radiograph has."
            if floats
            else "is DICOM without pixels: truncated, or no image."
            if "Rows" in dataset
            else "is DICOM without an image."
        )
    frames = dataset.get("NumberOfFrames") or 1
    if frames != 1:
        raise Unreadable(f"holds {int(frames)} frames; export the one that is meant.")
    for name in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        if not dataset.get(name):
            raise Unreadable(f"is DICOM without a value for {name}, so its pixels cannot be read.")
    dataset.PhotometricInterpretation = str(dataset.PhotometricInterpretation).strip().upper()
    dataset.SamplesPerPixel = dataset.get("SamplesPerPixel") or 1
    if dataset.SamplesPerPixel not in (1, 3):
        raise Unreadable(f"has {dataset.SamplesPerPixel} channels; 1 (grey) and 3 (colour) can be read.")
    if dataset.Rows * dataset.Columns > pixel_limit:
        raise Unreadable(f"{dataset.Rows} x {dataset.Columns} pixels are more than the limit of {pixel_limit:,}.")
    if "PixelRepresentation" not in dataset:
        dataset.PixelRepresentation = 0
    if not dataset.get("BitsStored"):
        dataset.BitsStored = dataset.BitsAllocated
    _settle_transfer_syntax(dataset)


def _settle_transfer_syntax(dataset):
    """Give a file without a meta header the transfer syntax that it was found to be written in."""
    if dataset.file_meta.get("TransferSyntaxUID") is None:
        implicit, little = dataset.original_encoding
        if dataset["PixelData"].is_undefined_length:
            raise Unreadable("holds compressed pixels without saying how (no transfer syntax).")
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in UNCOMPRESSED:
        bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
        if dataset.PhotometricInterpretation == "YBR_FULL_422":
            bits = bits * 2 // 3
        if len(dataset.PixelData) * 8 < bits:
            raise Unreadable(f"is truncated: {len(dataset.PixelData)} of {bits // 8} bytes of pixels are there.")
    try:
        known = get_decoder(syntax).is_available or syntax == JPEGExtended12Bit
    except NotImplementedError:
        known = False
    if not known:
        name = syntax.name if syntax.type == "Transfer Syntax" else "something unknown"
        raise Unreadable(
            f"is compressed as {name}, which cannot be decoded here; install python-gdcm "
            "(`pip install python-gdcm`) or export the file uncompressed."
        )
