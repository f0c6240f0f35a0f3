"""From stored DICOM values to display values: modality LUT, then VOI LUT or window, then MONOCHROME1 inversion.

Tables and windows that are missing, damaged or absurd are passed by, because equalisation follows: it needs the order
of the grey levels, which the stored values have.
"""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

# A table or window is absurd that leaves more of the pixels at one level, or fewer between the lowest and the highest
ONE_LEVEL = 0.95
SHADES = 0.01
# and a table whose levels, from the least stored value to the greatest, go this share of their way back
BACK = 0.25


def display(dataset, values, counts):
    """Display grey (n,) float64, bone bright, of the stored `values` (n,), which rise and `counts` (n,) pixels have."""
    shades = modality(dataset, values.astype(np.float64), counts)
    seen = _mapped(dataset.get("VOILUTSequence"), shades, counts)
    if seen is None:
        seen = _window(dataset, shades, counts)
    shades = shades if seen is None else seen
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        bits = dataset.BitsStored
        white = (1 << bits) - 1 if shades.min() >= 0 and shades.max() < 1 << bits else shades.max() + shades.min()
        return white - shades
    return shades


def modality(dataset, values, counts):
    """The modality LUT or the rescale of `values` (n,) float64, which `counts` (n,) pixels have (PS3.3 C.11.1); the
    same values where it is unusable."""
    seen = _mapped(dataset.get("ModalityLUTSequence"), values, counts)
    if seen is not None:
        return seen
    slope, intercept = _number(dataset.get("RescaleSlope")), _number(dataset.get("RescaleIntercept"))
    if not slope:  # absent, not a number, or 0, which would leave one grey level
        return values
    return values * slope + (intercept or 0)


def _mapped(sequence, values, counts):
    """The values by a LUT sequence, None if there is none or it makes no sense."""
    table = _table(sequence)
    if table is None:
        return None
    seen = _look_up(table, values)
    return seen if _shows(seen, counts) and _ordered(seen) else None


def _ordered(levels):
    """Whether levels of values in order rise or fall on the whole."""
    steps = np.diff(levels)
    return min(steps[steps > 0].sum(), -steps[steps < 0].sum()) <= BACK * np.abs(steps).sum()


def _window(dataset, values, counts):
    """0..65535 by the first window that makes sense (PS3.3 C.11.2.1.2, C.11.2.1.3), else None."""
    centres, widths = _numbers(dataset.get("WindowCenter")), _numbers(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    function = function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"
    for centre, width in zip(centres, widths, strict=False):
        if centre is None or width is None or width <= (1 if function == "LINEAR" else 0):
            continue
        # A header of its own: by a radiograph's, pydicom would turn the greys over where the rescale slope is negative.
        window = Dataset()
        window.PhotometricInterpretation, window.BitsStored, window.PixelRepresentation = "MONOCHROME2", 16, 0
        window.update({"WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": function})
        seen = apply_windowing(values, window)
        if _shows(np.rint(seen / 257), counts):
            return seen
    return None


def _shows(levels, counts):
    """Whether `counts` pixels at `levels` are still a picture."""
    _, index = np.unique(levels, return_inverse=True)
    share = np.bincount(index, counts) / counts.sum()
    return share.max() <= ONE_LEVEL and share[1:-1].sum() >= SHADES


def _table(sequence):
    """(first value mapped, entries (n,) float64) of a LUT sequence, None if there is none that makes sense."""
    if not sequence:
        return None
    item = sequence[0]
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or data is None or len(descriptor) != 3:
        return None
    count, first, bits = (int(value) for value in descriptor)
    count = count or 1 << 16
    if isinstance(data, bytes):
        # Eight-bit entries come one a byte or, by older writers, one a word.
        data = np.frombuffer(data, np.uint8 if bits <= 8 and len(data) <= count + 1 else "<u2")
    entries = np.atleast_1d(np.asarray(data)).astype(np.float64)[:count]
    if len(entries) < count or count < 2:
        return None
    return first, entries


def _look_up(table, values):
    first, entries = table
    if first >= 1 << 15 and values.min() < 0:
        first -= 1 << 16  # a signed first value, read as unsigned
    return entries[np.clip(np.rint(values - first), 0, len(entries) - 1).astype(np.int64)]


def _number(value):
    """A finite float, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _numbers(value):
    several = value if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)) else [value]
    return [_number(item) for item in several]
