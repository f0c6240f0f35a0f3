"""How the picture of a DICOM file lies, by its header: size of a pixel, view, and which way up it is stored."""

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from cxr.reading import turn

# By ViewPosition (PS3.3 C.8.1.1): lateral and oblique views, from either side.  A decubitus view (RLD, LLD) is frontal,
# the patient lying on a side, and does not say from where.
VIEWS = {"AP": "AP", "PA": "PA", "RLO": "oblique", "LLO": "oblique"}
VIEWS |= dict.fromkeys(("LL", "RL", "LATERAL", "LAT", "LLAT", "RLAT"), "lateral")
# By ViewCodeSequence (PS3.16 CID 4010), where ViewPosition says nothing
VIEW_CODES = {"399348003": "AP", "272479007": "PA"}
VIEW_CODES |= dict.fromkeys(("399067008", "399173006", "399198007"), "lateral")
VIEW_CODES |= {"R-10206": "AP", "R-10214": "PA"} | dict.fromkeys(("R-102CD", "R-10232", "R-10236"), "lateral")
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def spacing(dataset: Dataset) -> tuple[float, float] | None:
    """(row, column) in mm; at the detector, where the header has no calibrated one."""
    for name in SPACINGS:
        try:
            row, column = (float(value) for value in dataset.get(name))
        except (TypeError, ValueError):
            continue
        if 0.01 <= row <= 10 and 0.01 <= column <= 10:
            return row, column
    return None


def orientation(dataset: Dataset) -> int:
    """EXIF's number of how a frontal image is stored whose rows should run to the patient's left, columns to the feet.

    PatientOrientation (PS3.3 C.7.6.1.1.1) is where the rows and where the columns of the stored pixels run to.  Turns
    that were made before they were stored (FieldOfViewHorizontalFlip, FieldOfViewRotation) are in it already.  Where
    it is missing, or no plain pair of a side and an end, nothing is to be turned.
    """
    pair = _patient_orientation(dataset)
    if not re.fullmatch("[LR]/[HF]|[HF]/[LR]", pair):
        return turn.UPRIGHT
    return turn.number(pair[0] in "HF", "R" in pair, "H" in pair)


def _patient_orientation(dataset):
    told = dataset.get("PatientOrientation")
    return "/".join(str(letters).strip() for letters in told) if isinstance(told, MultiValue) else ""


def view(dataset: Dataset) -> str | None:
    """AP, PA, lateral or oblique, None where no header says so; free text in its place could name the patient."""
    told = VIEWS.get(str(dataset.get("ViewPosition") or "").strip().upper())
    if told is None and dataset.get("ViewCodeSequence"):
        told = VIEW_CODES.get(str(dataset.ViewCodeSequence[0].get("CodeValue") or ""))
    if told is None and re.fullmatch("[AP]/[HF]|[HF]/[AP]", _patient_orientation(dataset)):
        return "lateral"  # front and back of the patient lie in the picture
    return told
