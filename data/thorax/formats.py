"""The formats radiographs come in, written: JSRT .IMG, PNG of 8 and 16 bits, JPEG, DICOM, SCR gif, metadata.xls."""

import hashlib
import io
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pydicom
import xlwt
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

BITS12 = 4095
COLUMNS = ("source", "filename", "patientid", "offset", "sex", "age", "finding", "Class", "view", "license")
SUFFIX = {"img": ".IMG", "png8": ".png", "png16": ".png", "jpeg": ".jpg", "dicom": ".dcm", "dicom1": ".dcm"}


def write_image(path: Path, radiograph: np.ndarray, kind: str, facts: dict[str, Any] | None = None) -> None:
    """Write a radiograph (H, W) float in 0..1, bone bright, as `kind`, a key of SUFFIX.

    img: JSRT's raw 2048 x 2048 big-endian uint16 of 12 bits, dark = high; png16: the 12 bits spread over 16; dicom1:
    MONOCHROME1. DICOM takes `facts` (see `write_dicom`). ValueError for an .IMG of another size.
    """
    if kind in ("dicom", "dicom1"):
        write_dicom(path, radiograph, kind == "dicom1", facts)
    elif kind == "img":
        if radiograph.shape != (2048, 2048):
            raise ValueError(f"{path}: a JSRT .IMG is 2048 x 2048, not {radiograph.shape}; write a PNG copy instead.")
        (BITS12 - np.round(radiograph * BITS12)).astype(">u2").tofile(path)
    elif kind == "png16":
        write_array(path, np.round(np.round(radiograph * BITS12) * (65535 / BITS12)).astype(np.uint16))
    else:
        write_array(path, np.round(radiograph * 255).astype(np.uint8))


def write_array(path: Path, array: np.ndarray) -> None:
    """Write uint8 or uint16 (H, W) as the PNG or JPEG that the suffix says; OSError if it cannot be written."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 2]
    ok, encoded = cv2.imencode(path.suffix, array, options)
    if not ok:
        raise OSError(f"{path}: OpenCV could not encode it; is this build of OpenCV complete?")
    path.write_bytes(encoded.tobytes())


def write_gif(path: Path, mask: np.ndarray) -> None:
    """Write a mask (H, W) of 0/1 as SCR does: a grey gif of 0 and 255."""
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def make_uid(*names: Any) -> str:
    """A DICOM UID under the UUID root (2.25) that depends on the names alone."""
    return "2.25." + str(int(hashlib.sha256("\0".join(map(str, names)).encode()).hexdigest()[:30], 16))


def write_dicom(path: Path, radiograph: np.ndarray, inverted: bool, facts: dict[str, Any]) -> None:
    """Write an uncompressed DICOM of 12 bits in 16: MONOCHROME2, or MONOCHROME1 where `inverted`.

    facts: dict of patient, sex, age (years), view ("PA", "AP", "AP Supine", "L"), hospital, case, seed, offset (days)
    and spacing (mm a pixel). Dates are made up and fixed; the patient does not exist.
    """
    stored = np.round(radiograph * BITS12).astype(np.uint16)
    low, high = np.percentile(stored[::4, ::4], (0.5, 99.5))
    if inverted:
        stored = (BITS12 - stored).astype(np.uint16)
        low, high = BITS12 - high, BITS12 - low
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = make_uid("image", facts["seed"], facts["case"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = make_uid("study", facts["seed"], facts["case"])
    ds.SeriesInstanceUID = make_uid("series", facts["seed"], facts["case"])
    ds.StudyDate = f"2001{1 + facts['offset'] // 28 % 12:02d}{1 + facts['offset'] % 28:02d}"
    ds.StudyTime = "120000"
    ds.Modality = "DX"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = "limited-cxr phantom"
    ds.InstitutionName = facts["hospital"]
    ds.PatientName = f"Phantom^{facts['patient']}"
    ds.PatientID = f"PHANTOM-{facts['patient']}"
    ds.PatientSex = facts["sex"]
    ds.PatientAge = f"{facts['age']:03d}Y"
    ds.BodyPartExamined = "CHEST"
    ds.ViewPosition = {"L": "LL"}.get(facts["view"], facts["view"][:2])
    ds.PatientOrientation = ["P", "F"] if facts["view"] == "L" else ["L", "F"]
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", "1", "1"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.PatientBirthDate = ""
    ds.ImagerPixelSpacing = ds.PixelSpacing = [f"{facts['spacing']:.5f}"] * 2
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.WindowCenter, ds.WindowWidth = f"{(low + high) / 2:.1f}", f"{max(high - low, 1):.1f}"
    ds.BurnedInAnnotation = "NO"
    ds.PixelData = stored.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)


def write_metadata(path: Path | IO[bytes], rows: list[dict]) -> None:
    """Write metadata.xls to a path or an open file: one sheet a source, one row an image; rows are dicts by COLUMNS,
    None leaves a cell empty. Raises ValueError for what a workbook cannot hold, such as a sheet named a/b."""
    book = xlwt.Workbook()
    try:
        for source in sorted({row["source"] for row in rows}):
            sheet = book.add_sheet(source)
            for column, name in enumerate(COLUMNS):
                sheet.write(0, column, name)
            for line, row in enumerate((row for row in rows if row["source"] == source), 1):
                for column, name in enumerate(COLUMNS):
                    if row[name] is not None:
                        sheet.write(line, column, row[name])
        held = io.BytesIO()
        book.save(held)
    except Exception as error:  # xlwt has no kind of its own, and fails at whatever it stumbles over
        raise ValueError(
            f"a workbook cannot hold these rows ({error}); change the table, or use it as .csv."
        ) from error
    if hasattr(path, "write"):
        path.write(held.getvalue())
    else:
        Path(path).write_bytes(held.getvalue())
