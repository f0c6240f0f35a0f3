"""How the picture of a DICOM file lies, by its header: size of a pixel, view, and which way up it is stored."""

import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from cxr.reading import turn

# By the words of ViewPosition (PS3.3 C.8.1.1, and what writers put there).  A decubitus view (RLD, LLD) is frontal, the
# patient lying on a side, and does not say from where, unless the first word does.
OBLIQUE = "OBL[A-Z]*|[LR][APL]O|MLO|LMO"
LATERAL = "[XLR]?LAT|[LR]?LATERAL|[LR]L|SAG|SAGITTAL"
DECUBITUS = "DEC[A-Z]*|[LR]LD"
# By ViewCodeSequence (PS3.16 CID 4010, SNOMED CT, then SNOMED RT with its prior codes), where ViewPosition says nothing
VIEW_CODES = {"399348003": "AP", "272479007": "PA", "R-10206": "AP", "R-10214": "PA", "R-40888": "PA"}
_LATERAL = """399067008 399173006 399198007 399260004 399352003 30730003
    R-102CD R-10236 R-10232 R-10224 R-10228 G-A145 R-10222"""
_OBLIQUE = """399182000 399184004 399236003 399135007 399356000 399006002 399038007 399160007 399312000 399059000
    260427002 260426006 399368009 399099002 399004004 399132005 399325008 399288005 399225005
    R-102C1 R-10238 R-10234 R-10220 R-40985 R-10218 R-10212 R-10210 R-10204 R-10208 R-10216
    R-40783 R-40782 R-10226 R-10230 R-10246 R-10252 R-10254 R-10248 R-10250"""
VIEW_CODES |= dict.fromkeys(_LATERAL.split(), "lateral") | dict.fromkeys(_OBLIQUE.split(), "oblique")
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
    told = dataset.get("ViewPosition") or ""
    told = next(filter(None, map(_position, told if isinstance(told, MultiValue) else [told])), None)
    if told is None and dataset.get("ViewCodeSequence"):
        told = VIEW_CODES.get(str(dataset.ViewCodeSequence[0].get("CodeValue") or ""))
    if told is None:
        ends = _patient_orientation(dataset).split("/")  # the first letter of each is where it runs to above all
        across = [set(letters) for letters in ends if re.fullmatch("[LRAP][LRAPHF]{0,2}", letters)]
        if len(ends) == 2 and len(across) == 1 and across[0] & set("AP"):  # front or back of the patient at the sides
            return "oblique" if across[0] & set("LR") else "lateral"
    return told


def _position(text):
    """What one value of ViewPosition says."""
    words = re.findall("[A-Z]+", str(text).upper())
    if any(re.fullmatch(OBLIQUE, word) for word in words):
        return "oblique"
    lying = any(re.fullmatch(DECUBITUS, word) for word in words)
    if not lying and any(re.fullmatch(LATERAL, word) for word in words):
        return "lateral"
    return words[0] if words and words[0] in ("AP", "PA") else None
