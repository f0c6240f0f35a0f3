"""DICOM: every transfer syntax, every step from stored to displayed grey, every refusal, and no patient data."""

import warnings

import cv2
import dicom_files as make
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sr.codedict import codes
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cxr.reading import decode, dicom, dicom_geometry, radiograph, turn
from cxr.reading.radiograph import Unreadable
from cxr.reading.unreadable import DEFLATED, library_reason

RAMP = make.ramp()


def read(tmp_path, ds, **saving):
    return radiograph.read(make.save(tmp_path / "radiograph.dcm", ds, **saving))


def follows(result, reference, rising=True, rounds=False):
    """Whether `result` orders the pixels as `reference` does and keeps every level of it that is 1e-6 from the next.

    rounds: the reference comes so near to its ends that float64 cannot tell its levels there, and the result may."""
    order = np.lexsort((result.ravel() * (1 if rising else -1.0), reference.ravel()))
    steps = np.diff(result.ravel()[order].astype(np.int64)) * (1 if rising else -1)
    apart, equal = np.diff(reference.ravel()[order]) > 1e-6, np.diff(reference.ravel()[order]) == 0
    if rounds:
        level = reference.ravel()[order][1:]
        equal &= (level > level.min() + 1e-6) & (level < level.max() - 1e-6)
    return bool((steps >= 0).all() and (steps[apart] > 0).all() and (steps[equal] == 0).all())


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_plain_syntaxes_keep_stored_values(tmp_path, syntax):
    image = read(tmp_path, make.dataset(RAMP, PixelSpacing=[0.2, 0.1], ViewPosition="PA"), syntax=syntax)
    assert image.pixels.dtype == np.uint16 and np.array_equal(image.pixels, RAMP)
    assert (image.spacing_mm, image.source, image.view) == ((0.2, 0.1), "DICOM", "PA")


@pytest.mark.parametrize("syntax", ["RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize("kind", ["12 bits", "16 bits", "8 bits", "signed"])
def test_lossless_syntaxes_keep_stored_values(tmp_path, syntax, kind):
    bits, top, dtype = {
        "12 bits": (12, 4095, np.uint16),
        "16 bits": (16, 65535, np.uint16),
        "8 bits": (8, 255, np.uint8),
        "signed": (16, 4095, np.int16),
    }[kind]
    stored = make.ramp(top=top, dtype=dtype) - (1000 if kind == "signed" else 0)
    path = make.compress(make.save(tmp_path / "radiograph.dcm", make.dataset(stored, bits)), syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    image = radiograph.read(path)
    assert np.array_equal(image.pixels, stored.astype(np.int64) - min(0, int(stored.min())))


@pytest.mark.parametrize("syntax", ["JPEG baseline", "JPEG extended"])
def test_lossy_jpeg(tmp_path, syntax):
    bits, top, dtype = (8, 255, np.uint8) if syntax == "JPEG baseline" else (12, 4095, np.uint16)
    stored = make.ramp(96, 96, top, dtype)
    path = make.compress(make.save(tmp_path / "radiograph.dcm", make.dataset(stored, bits)), syntax)
    assert np.abs(radiograph.read(path).pixels.astype(int) - stored).max() <= 0.02 * top


def test_without_preamble_or_meta_header(tmp_path):
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        whole = make.save(tmp_path / "whole.dcm", make.dataset(RAMP), syntax=syntax).read_bytes()
        with_meta = tmp_path / "a"
        with_meta.write_bytes(whole[132:])
        assert np.array_equal(radiograph.read(with_meta).pixels, RAMP)
        bare = tmp_path / "b"
        bare.write_bytes(whole[whole.index(b"\x08\0\x16\0") :])
        assert np.array_equal(radiograph.read(bare).pixels, RAMP)


def test_monochrome1_is_inverted(tmp_path):
    assert np.array_equal(read(tmp_path, make.dataset(RAMP, photometric="MONOCHROME1")).pixels, 4095 - RAMP)


def test_signed_with_rescale(tmp_path):
    stored = RAMP.astype(np.int16) - 2000
    image = read(tmp_path, make.dataset(stored, 16, RescaleSlope="2", RescaleIntercept="4000"))
    assert np.array_equal(image.pixels, stored * 2 + 4000)


def test_negative_slope_inverts(tmp_path):
    image = read(tmp_path, make.dataset(RAMP, RescaleSlope="-1", RescaleIntercept="4095"))
    assert np.array_equal(image.pixels, 4095 - RAMP)


def test_bits_above_the_stored_ones_are_ignored(tmp_path):
    overlay = RAMP | np.where(np.eye(48, 64, dtype=bool), 0xF000, 0).astype(np.uint16)
    assert np.array_equal(read(tmp_path, make.dataset(overlay)).pixels, RAMP)
    shifted = make.dataset(RAMP << 4, HighBit=15)
    assert np.array_equal(read(tmp_path, shifted).pixels, RAMP)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, "RLE"])
def test_sixteen_bits_said_to_be_twelve_are_all_kept(tmp_path, kind, syntax):
    stored = make.ramp(256, 256, 65535 if kind is np.uint16 else 30000).astype(kind)
    path = make.save(tmp_path / "radiograph.dcm", make.dataset(stored, 16))
    path = make.compress(path, syntax) if syntax == "RLE" else path
    ds = pydicom.dcmread(path)
    ds.BitsStored, ds.HighBit = 12, 11
    ds.save_as(path)
    assert np.array_equal(radiograph.read(path).pixels, stored)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(2438, 300, False, False, "SIGMOID", 0.25, -1024.0)
@given(
    centre=st.integers(200, 3800),
    width=st.integers(300, 9000),
    signed=st.booleans(),
    inverted=st.booleans(),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.sampled_from([0.25, 1.0, 3.7]),
    intercept=st.sampled_from([-1024.0, 0.0, 17.5]),
)
def test_display_follows_pydicom(tmp_path, centre, width, signed, inverted, function, slope, intercept):
    stored = RAMP.astype(np.int16) - 1500 if signed else RAMP
    shown = np.array([stored.min(), stored.max()]) * slope + intercept
    ds = make.dataset(
        stored,
        16 if signed else 12,
        "MONOCHROME1" if inverted else "MONOCHROME2",
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        VOILUTFunction=function,
        WindowCenter=float(shown[0] + centre / 4095 * (shown[1] - shown[0])),
        WindowWidth=width * slope,
    )
    with np.errstate(over="ignore"):
        reference = apply_voi_lut(apply_modality_lut(stored, ds), ds)
    assert follows(read(tmp_path, ds).pixels, reference, rising=not inverted, rounds=function == "SIGMOID")


@pytest.mark.parametrize("which", ["ModalityLUTSequence", "VOILUTSequence"])
def test_look_up_tables(tmp_path, which):
    entries = np.rint(65535 * (np.arange(3000) / 2999) ** 2).astype(int)
    ds = make.dataset(RAMP, **{which: make.lut(500, entries)}, WindowCenter=7, WindowWidth=2)
    reference = entries[np.clip(RAMP.astype(int) - 500, 0, 2999)]
    assert np.array_equal(read(tmp_path, ds).pixels, reference)


def test_a_table_that_goes_back_a_little_is_followed(tmp_path):
    entries = np.concatenate([np.arange(3600), np.arange(3600, 3104, -1)])
    ds = make.dataset(RAMP, VOILUTSequence=make.lut(0, entries))
    assert np.array_equal(read(tmp_path, ds).pixels, entries[np.clip(RAMP.astype(int), 0, 4095)])


@pytest.mark.parametrize(
    "centre,width", [(2000, 0), (2000, -5), (2000, 1), (90000, 100), (-5000, 50), ("", ""), ([90000, 80000], [5, 5])]
)
def test_absurd_windows_are_ignored(tmp_path, centre, width):
    assert np.array_equal(read(tmp_path, make.dataset(RAMP, WindowCenter=centre, WindowWidth=width)).pixels, RAMP)


@pytest.mark.parametrize("slope", ["1", "-1"])
def test_a_window_keeps_the_order_that_the_rescale_gives(tmp_path, slope):
    shown = RAMP * float(slope)
    ds = make.dataset(RAMP, RescaleSlope=slope, RescaleIntercept="0", WindowWidth=2001)
    ds.WindowCenter = float(np.median(shown))
    assert follows(read(tmp_path, ds).pixels, np.clip((shown - np.median(shown) + 0.5) / 2000, -0.5, 0.5))


def test_the_first_window_that_makes_sense_is_used(tmp_path):
    image = read(tmp_path, make.dataset(RAMP, WindowCenter=[90000, 1000], WindowWidth=[5, 1001]))
    reference = np.clip((RAMP - 999.5) / 1000 + 0.5, 0, 1)
    assert follows(image.pixels, reference)


NEARLY_FLAT = [5] * 4000 + list(range(6, 102))


@pytest.mark.parametrize(
    "header",
    [
        {"RescaleSlope": "0"},
        {"VOILUTSequence": make.lut(0, [5] * 4096)},
        {"VOILUTSequence": make.lut(0, NEARLY_FLAT)},
        {"VOILUTSequence": make.lut(0, NEARLY_FLAT[::-1])},
        {"ModalityLUTSequence": make.lut(0, NEARLY_FLAT)},
        {"VOILUTSequence": make.lut(4000, range(4096))},
        {"VOILUTSequence": make.lut(0, [0] * 2000 + [65535] * 2096)},  # two levels
        {"VOILUTSequence": make.lut(0, np.random.default_rng(0).permutation(4096))},
        {"ModalityLUTSequence": make.lut(0, np.random.default_rng(0).permutation(4096))},
        {"WindowCenter": 60, "WindowWidth": 100},
        {"WindowCenter": 4040, "WindowWidth": 100},
        {"WindowCenter": 60, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 20, "WindowWidth": 40, "VOILUTFunction": "SIGMOID"},
    ],
)
def test_tables_and_windows_that_leave_nearly_all_at_one_level_or_out_of_order_are_passed_by(tmp_path, header):
    assert np.array_equal(read(tmp_path, make.dataset(RAMP, **header)).pixels, RAMP)


def test_a_window_wider_than_16_bits_merges_no_levels(tmp_path):
    stored = make.ramp(256, 256, 65535)
    image = read(tmp_path, make.dataset(stored, 16, WindowCenter=100000, WindowWidth=1000000))
    assert follows(image.pixels, stored.astype(float))


def test_32_bits_keep_order(tmp_path):
    stored = make.ramp(top=2**31, dtype=np.uint32)
    assert follows(read(tmp_path, make.dataset(stored, 32)).pixels, stored.astype(float))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_stays_out_of_the_histogram(tmp_path, photometric):
    stored = RAMP.copy()
    stored[:12] = 4095
    stored[12, :9] = 4090
    image = read(tmp_path, make.dataset(stored, 12, photometric, PixelPaddingValue=4095, PixelPaddingRangeLimit=4090))
    padding = stored >= 4090
    assert padding.mean() > 0.25 and np.array_equal(image.pixels == 0, padding)
    reference = stored[~padding].astype(int)
    assert follows(image.pixels[~padding], reference.astype(float), rising=photometric == "MONOCHROME2")
    equalised = radiograph.preprocess(image.pixels)
    assert (equalised[padding] == 0).all()
    assert abs(np.square(equalised[~padding] / 255).mean() - 0.5) < 0.01  # uniform over the picture alone


def test_negative_padding_written_as_unsigned(tmp_path):
    stored = RAMP.astype(np.int16)
    stored[:12] = -2000
    ds = make.dataset(stored, 16)
    ds.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert np.array_equal(read(tmp_path, ds).pixels == 0, stored == -2000)


def test_padding_everywhere_is_no_padding(tmp_path):
    ds = make.dataset(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)
    assert np.array_equal(read(tmp_path, ds).pixels, RAMP)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_becomes_grey(tmp_path, photometric):
    grey = make.ramp(top=255, dtype=np.uint8)
    colour = np.dstack([grey] * 3) if photometric == "RGB" else np.dstack([grey, np.full((48, 64, 2), 128, np.uint8)])
    image = read(tmp_path, make.dataset(colour, 8, photometric))
    assert image.pixels.dtype == np.uint8 and np.abs(image.pixels.astype(int) - grey).max() <= 1


GREY = make.ramp(top=255, dtype=np.uint8)


@pytest.mark.parametrize("said", ["YBR_FULL_422", "YBR_FULL", "rgb", " RGB"])
def test_grey_pictures_stored_as_rgb_are_read_whatever_they_are_said_to_be(tmp_path, said):
    assert np.array_equal(read(tmp_path, make.dataset(np.dstack([GREY] * 3), 8, said)).pixels, GREY)


def test_colour_without_a_planar_configuration(tmp_path):
    ds = make.dataset(np.dstack([GREY] * 3), 8, "RGB")
    del ds.PlanarConfiguration
    assert np.array_equal(read(tmp_path, ds).pixels, GREY)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_photometric_interpretation_in_small_letters(tmp_path, photometric):
    path = make.save(tmp_path / "radiograph.dcm", make.dataset(RAMP, photometric=photometric))
    path.write_bytes(path.read_bytes().replace(photometric.encode(), photometric.lower().encode()))
    assert np.array_equal(radiograph.read(path).pixels, 4095 - RAMP if photometric == "MONOCHROME1" else RAMP)


@pytest.mark.parametrize("kind", ["JPEG baseline", "JPEG baseline colour", "JPEG extended", "JPEG lossless", "JPEG-LS"])
@pytest.mark.parametrize("place", [20, 50, 80])
def test_damaged_jpeg_pixels_are_refused(tmp_path, kind, place):
    small = "baseline" in kind
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0.5, 1, (96, 128)), (0, 0), 1)
    pixels = (np.clip(noise, 0, 1) * (255 if small else 4095)).astype("u1" if small else "u2")
    colour = "colour" in kind
    ds = make.dataset(
        np.dstack([pixels] * 3) if colour else pixels, 8 if small else 12, "RGB" if colour else "MONOCHROME2"
    )
    path = make.compress(make.save(tmp_path / "radiograph.dcm", ds), kind.removesuffix(" colour"))
    radiograph.read(path)
    whole = path.read_bytes()
    scan = whole.rindex(b"\xff\xda") + 14
    at = scan + (len(whole) - scan) * place // 100
    end = bytes.fromhex("feff dde0 0000 0000")  # of the sequence of fragments
    for rest in (bytes(300) + whole[at + 300 :], b"\xff\xd9" * ((len(whole) - at - len(end)) // 2) + end, b""):
        path.write_bytes(whole[:at] + rest)
        with pytest.raises(Unreadable, match="radiograph.dcm: .*damaged.*") as caught:
            radiograph.read(path)
        assert kind == "JPEG-LS" or str(caught.value).endswith("; get the whole file.")


def test_what_the_library_says_is_told_without_what_the_file_holds(tmp_path):
    path = tmp_path / "radiograph.dcm"
    path.write_bytes(b"Secret^Patient 19991231 Li MONOCHROME9")
    for said, told in (
        ("Unknown 'Interpretation' value 'monochrome9'", "ValueError: Unknown ... value"),
        ("Missing required element: (0028,0006)", "ValueError: Missing required element: (0028,0006)"),
        ("could not convert Secret to a date, nor 19991231", "ValueError: could not convert ... to a date, nor"),
        ("no number: Li", "ValueError: no number:"),
        ("M\u00fcller", "ValueError: ller"),  # a file in Latin-1 holds what is left of it, this one does not
        ("Secret", "ValueError"),
    ):
        assert library_reason(ValueError(said), path) == told
    path.write_bytes(DEFLATED + b"anything")
    assert library_reason(ValueError("no Secret"), path) == "ValueError"


@pytest.mark.parametrize(
    "header,expected",
    [
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.143, 0.144]}, (0.143, 0.144)),
        ({"PixelSpacing": [1e9, 1]}, None),
        ({"PixelSpacing": [0.1]}, None),
        ({}, None),
    ],
)
def test_spacing_is_sane_or_unknown(tmp_path, header, expected):
    assert read(tmp_path, make.dataset(RAMP, **header)).spacing_mm == expected


def stored(orientation):
    """A frontal image that hangs as it should, RAMP, as a file stores it whose rows and columns run to `orientation`.

    By the meaning of the two letters alone: each stored pixel lies so far to the left and to the feet of the patient.
    """
    steps = {"L": (0, 1), "R": (0, -1), "F": (1, 0), "H": (-1, 0)}
    along_row, along_column = (np.array(steps[letter]) for letter in orientation)
    width, height = (RAMP.shape[np.flatnonzero(step)[0]] for step in (along_row, along_column))
    first = np.array([RAMP.shape[axis] - 1 if -1 in (along_row[axis], along_column[axis]) else 0 for axis in (0, 1)])
    pixels = np.empty((height, width), np.uint16)
    for row in range(height):
        for column in range(width):
            pixels[row, column] = RAMP[tuple(first + row * along_column + column * along_row)]
    return pixels


@pytest.mark.parametrize("orientation", ["LF", "RF", "LH", "RH", "FL", "FR", "HL", "HR"])
@pytest.mark.parametrize("syntax", [None, "JPEG 2000"])
def test_a_frontal_radiograph_hangs_as_it_should_however_it_is_stored(tmp_path, orientation, syntax):
    pixels = stored(orientation)
    assert (pixels.shape != RAMP.shape) == (orientation[0] in "HF")
    assert np.array_equal(pixels, RAMP) == (orientation == "LF")
    lying = [0.1, 0.2] if orientation[0] in "HF" else [0.2, 0.1]
    ds = make.dataset(pixels, PatientOrientation=list(orientation), ViewPosition="PA", PixelSpacing=lying)
    ds.FieldOfViewHorizontalFlip = "YES"  # made before the pixels were stored
    path = make.save(tmp_path / "radiograph.dcm", ds)
    image = radiograph.read(make.compress(path, syntax) if syntax else path)
    assert np.array_equal(image.pixels, RAMP) and image.spacing_mm == (0.2, 0.1)
    assert np.array_equal(
        turn.upright(pixels, image.orientation), RAMP
    )  # what masks on the stored pixels are turned by
    assert image.pixels.flags.c_contiguous  # torch takes no other strides


@pytest.mark.parametrize(
    "told,turned",
    [
        ({"ViewPosition": "AP"}, True),
        ({}, True),
        ({"ViewPosition": "LLD"}, True),
        ({"ViewPosition": "CHEST"}, True),
        ({"ViewPosition": "LL"}, False),
        ({"ViewPosition": "RLO"}, False),
        ({"ViewPosition": "LATERAL"}, False),
        ({"ViewPosition": " lateral "}, False),
        ({"PatientOrientation": ""}, False),
        ({"PatientOrientation": "R"}, False),
        ({"PatientOrientation": ["R", "F", "H"]}, False),
        ({"PatientOrientation": ["R", ""]}, False),
        ({"PatientOrientation": ["R", "L"]}, False),
        ({"PatientOrientation": ["RH", "F"]}, False),
        ({"PatientOrientation": ["P", "F"]}, False),
        ({"PatientOrientation": ["R", "P"]}, False),
    ],
)
def test_only_a_plain_orientation_of_a_frontal_radiograph_turns_it(tmp_path, told, turned):
    image = read(tmp_path, make.dataset(RAMP, **{"PatientOrientation": ["R", "F"]} | told))
    assert np.array_equal(image.pixels, RAMP[:, ::-1] if turned else RAMP)


def code(value):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "whatever"
    return [item]


VIEWS = {
    "AP": ({"ViewPosition": "AP"}, "AP"),
    "PA in small letters": ({"ViewPosition": "pa"}, "PA"),
    **{name: ({"ViewPosition": name}, "lateral") for name in ("LL", "RL", "LAT", "LEFT LATERAL", "L LAT", "SAGITTAL")},
    **{str(name): ({"ViewPosition": name}, "lateral") for name in ("XTABLE LAT", ["LATERAL", "LL"], ["", "LL"])},
    **{name: ({"ViewPosition": name}, "oblique") for name in ("LLO", "RLO", "LAO", "RPO", "OBL", "OBLIQUE", "AP OBL")},
    **{str(name): ({"ViewPosition": name}, "AP") for name in ("AP SUPINE", "AP_HORIZONTAL", "AP RLD", ["AP", "CHEST"])},
    **{name: ({"ViewPosition": name}, None) for name in ("LLD", "RLD", "LAT DECUB", "CHEST", "FLAP", "")},  # lying
    "code of PA": ({"ViewCodeSequence": code("272479007")}, "PA"),
    "code of a left lateral": ({"ViewCodeSequence": code("399173006")}, "lateral"),
    "old code of a lateral": ({"ViewCodeSequence": code("R-102CD")}, "lateral"),
    "position before code": ({"ViewPosition": "AP", "ViewCodeSequence": code("399173006")}, "AP"),
    "front to the right": ({"PatientOrientation": ["A", "F"]}, "lateral"),
    "front to the left": ({"PatientOrientation": ["P", "F"]}, "lateral"),
    "front to the left, on its side": ({"PatientOrientation": ["F", "PH"]}, "lateral"),
    "turned": ({"PatientOrientation": ["LP", "F"]}, "oblique"),
    "turned and tilted": ({"PatientOrientation": ["LA", "FP"]}, "oblique"),
    "tilted": ({"PatientOrientation": ["L", "FP"]}, None),
    "position before orientation": ({"PatientOrientation": ["P", "F"], "ViewPosition": "PA"}, "PA"),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("told", VIEWS)
def test_the_view_is_told_and_only_frontal_ones_are_taken(tmp_path, told):
    header, view = VIEWS[told]
    path = make.save(tmp_path / "radiograph.dcm", make.dataset(RAMP, **header))
    assert radiograph.read(path).view == view
    if view in ("lateral", "oblique"):
        with pytest.raises(
            radiograph.NotFrontal, match=f"radiograph.dcm: its view is {view} by its header; .*\\."
        ) as caught:
            radiograph.read_frontal(path)
        assert caught.value.view == view
    else:
        assert np.array_equal(radiograph.read_frontal(path).pixels, RAMP)


def test_codes_of_views_that_are_not_frontal():
    for view in (getattr(codes.cid4010, name) for name in codes.cid4010.dir()):
        kinds = {"obliq": "oblique", "lateral": "lateral", "agitt": "lateral", "antero-p": "AP", "postero-a": "PA"}
        kind = next((kind for word, kind in kinds.items() if word in view.meaning), None)
        read = dicom_geometry.view(make.dataset(RAMP, ViewCodeSequence=code(view.value)))
        assert read == kind, view


def test_padding_turns_with_its_radiograph(tmp_path):
    pixels = RAMP.copy()
    pixels[:, :9] = 4095
    image = read(tmp_path, make.dataset(pixels, PatientOrientation=["R", "H"], PixelPaddingValue=4095))
    assert np.array_equal(image.pixels == 0, pixels[::-1, ::-1] == 4095)


def test_colour_turns_too(tmp_path):
    grey = make.ramp(top=255, dtype=np.uint8)
    image = read(tmp_path, make.dataset(np.dstack([grey] * 3), 8, "RGB", PatientOrientation=["R", "F"]))
    assert np.abs(image.pixels.astype(int) - grey[:, ::-1]).max() <= 1


def test_refusals_say_why(tmp_path):
    two_frames = make.dataset(np.vstack([RAMP, RAMP]), NumberOfFrames=2, Rows=48)
    report = make.dataset(RAMP, Modality="SR")
    empty = make.dataset(RAMP)
    del empty.PixelData
    short = make.dataset(RAMP)
    short.PixelData = short.PixelData[:100]
    directory = make.dataset(RAMP)
    directory.DirectoryRecordSequence = []
    floats = make.dataset(RAMP)
    del floats.PixelData
    floats.FloatPixelData = RAMP.astype("f4").tobytes()
    for ds, words in (
        (two_frames, "2 frames"),
        (report, "a report"),
        (empty, "without pixels"),
        (short, "truncated: 100 of 6144"),
        (directory, "DICOMDIR"),
        (floats, "floating point"),
        (make.dataset(RAMP, PhotometricInterpretation=""), "PhotometricInterpretation"),
        (make.dataset(RAMP, SamplesPerPixel=4), "4 channels"),
        (make.dataset(RAMP * 0), "one grey level"),
        (make.dataset(RAMP[:1, :1]), "1 x 1 pixels"),
    ):
        with pytest.raises(Unreadable, match=words) as caught:
            read(tmp_path, ds)
        assert str(tmp_path / "radiograph.dcm") in str(caught.value)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_pixel_limit_comes_before_decoding(tmp_path, syntax):
    path = make.save(tmp_path / "radiograph.dcm", make.dataset(RAMP, Rows=40000, Columns=40000), syntax=syntax)
    with pytest.raises(Unreadable, match="40000 x 40000 pixels are more than the limit of 67,108,864"):
        radiograph.read(path)


def test_unknown_compression_names_the_remedy(tmp_path):
    path = make.save(tmp_path / "radiograph.dcm", make.dataset(RAMP))
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(Unreadable, match="something unknown.*export the file uncompressed"):
        radiograph.read(path)


def test_no_patient_data_anywhere(tmp_path, capfd, caplog):
    """Headers that make parsers complain, with the patient's data where they would be quoted."""
    whole = make.save(
        tmp_path / "radiograph.dcm",
        make.dataset(RAMP, ViewPosition="SECRVP", RescaleSlope="1.000", WindowCenter="2047", WindowWidth="4095"),
    ).read_bytes()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        said = []
        for old, new in (
            (b"1.000 ", b"Secret"),
            (b"2047", b"SECR"),
            (b"19991231", b"Secret^P"),
            (b"MONOCHROME2", b"SecretSecre"),
            (b"CR", b"Se"),
            (b"CS\x0c\0MONO", b"QQ\x0c\0MONO"),
        ):
            (tmp_path / "radiograph.dcm").write_bytes(whole.replace(old, new))
            try:
                said.append(repr(radiograph.read(tmp_path / "radiograph.dcm")))
            except Unreadable as error:
                said.append(str(error))
        out = capfd.readouterr()
    for text in (*said, *map(str, warned), out.out, out.err, caplog.text):
        assert "secret" not in text.lower() and "SECR" not in text and "19991231" not in text


def test_plain_files_start_no_worker(tmp_path):
    decode.stop()
    path = make.save(tmp_path / "radiograph.dcm", make.dataset(RAMP))
    assert dicom.is_uncompressed(path)
    radiograph.read(path)
    assert decode._worker is None
