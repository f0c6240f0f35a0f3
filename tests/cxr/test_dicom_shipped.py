"""The files that pydicom's package ships read as they should; nothing is downloaded."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from cxr.reading import radiograph
from cxr.reading.radiograph import Radiograph, Unreadable

DATA = Path(pydicom.__file__).parent / "data"
FILES = sorted(
    path
    for name in ("test_files", "charset_files", "palettes")
    for path in (DATA / name).rglob("*")
    if path.is_file() and path.suffix not in (".md", ".txt", ".json", ".dump", ".icc", ".pyc")
)

# Name: shape where it reads, a piece of the reason where it is refused.
EXPECTED = {
    "CT_small.dcm": (128, 128),
    "ExplVR_BigEnd.dcm": (60, 80),
    "693_J2KI.dcm": (512, 512),
    "GDCMJ2K_TextGBR.dcm": (400, 400),
    "J2K_pixelrep_mismatch.dcm": (512, 512),
    "JPEG-lossy.dcm": (1024, 256),
    "JPGExtended.dcm": (1024, 256),
    "JPEG2000.dcm": (1024, 256),
    "image_dfl.dcm": (512, 512),
    "MR_small.dcm": (64, 64),
    "MR_small_RLE.dcm": (64, 64),
    "MR_small_bigendian.dcm": (64, 64),
    "MR_small_expb.dcm": (64, 64),
    "MR_small_implicit.dcm": (64, 64),
    "MR_small_padded.dcm": (64, 64),
    "MR_small_jp2klossless.dcm": (64, 64),
    "MR_small_jpeg_ls_lossless.dcm": (64, 64),
    "SC_jpeg_no_color_transform.dcm": (256, 256),
    "SC_jpeg_no_color_transform_2.dcm": (256, 256),
    "SC_rgb_jpeg.dcm": (256, 256),
    "SC_rgb_jpeg_app14_dcmd.dcm": (256, 256),
    "SC_rgb_jpeg_dcmd.dcm": (256, 256),
    **{
        f"SC_rgb_{kind}.dcm": (100, 100)
        for kind in (
            "dcmtk_+eb+cr dcmtk_+eb+cy+n1 dcmtk_+eb+cy+n2 dcmtk_+eb+cy+np dcmtk_+eb+cy+s2 dcmtk_+eb+cy+s4 gdcm_KY "
            "jls_lossy_line jls_lossy_sample jpeg_dcmtk jpeg_gdcm jpeg_lossy_gdcm rle rle_16bit rle_32bit"
        ).split()
    },
    "SC_ybr_full_422_uncompressed.dcm": (100, 100),
    "examples_jpeg2k.dcm": (480, 640),
    "examples_overlay.dcm": (300, 484),
    "examples_palette.dcm": (350, 800),
    "examples_rgb_color.dcm": (240, 320),
    "chrArab.dcm": (32, 32),
    "chrFren.dcm": (32, 32),
    "chrFrenMulti.dcm": (32, 32),
    "chrGerm.dcm": (32, 32),
    "chrGreek.dcm": (32, 32),
    "chrH31.dcm": (32, 32),
    "chrH32.dcm": (32, 32),
    "chrHbrw.dcm": (32, 32),
    "chrI2.dcm": (32, 32),
    "chrRuss.dcm": (32, 32),
    "chrX1.dcm": (32, 32),
    "chrX2.dcm": (32, 32),
    "MR_truncated.dcm": "is truncated: 8130 of 8192 bytes",
    "JPEG2000-embedded-sequence-delimiter.dcm": "truncated or damaged",
    "JPEGLSNearLossless_08.dcm": "is 45 x 10 pixels",
    "JPEGLSNearLossless_16.dcm": "is 50 x 10 pixels",
    "SC_rgb_small_odd.dcm": "is 3 x 3 pixels",
    "SC_rgb_small_odd_big_endian.dcm": "is 3 x 3 pixels",
    "SC_rgb_small_odd_jpeg.dcm": "is 3 x 3 pixels",
    "SC_rgb_rle_16bit_2frame.dcm": "holds 2 frames",
    "SC_rgb_rle_2frame.dcm": "holds 2 frames",
    "SC_rgb_rle_32bit_2frame.dcm": "holds 2 frames",
    "examples_ybr_color.dcm": "holds 30 frames",
    "liver_1frame.dcm": "a segmentation",
    "liver_expb_1frame.dcm": "a segmentation",
    "badVR.dcm": "a dose map",
    **{f"rtdose{kind}.dcm": "a dose map" for kind in ("", "_1frame", "_expb", "_expb_1frame", "_rle", "_rle_1frame")},
    "rtplan.dcm": "a treatment plan",
    "rtplan_truncated.dcm": "a treatment plan",
    "rtstruct.dcm": "contours",
    "ExplVR_BigEndNoMeta.dcm": "a treatment plan",
    "ExplVR_LitEndNoMeta.dcm": "a treatment plan",
    "reportsi.dcm": "a report",
    "reportsi_with_empty_number_tags.dcm": "a report",
    "test-SR.dcm": "a report",
    "waveform_ecg.dcm": "an electrocardiogram",
    "zipMR.gz": "a compressed archive",
    "DICOMDIR": "is a DICOMDIR",
    "DICOMDIR-bigEnd": "is a DICOMDIR",
    "DICOMDIR-empty.dcm": "is a DICOMDIR",
    "DICOMDIR-implicit": "is a DICOMDIR",
    "DICOMDIR-nooffset": "is a DICOMDIR",
    "DICOMDIR-nopatient": "is a DICOMDIR",
    "DICOMDIR-reordered": "is a DICOMDIR",
    "chrKoreanMulti.dcm": "without pixels",
    "UN_sequence.dcm": "without an image",
    "priv_SQ.dcm": "without an image",
    "pet.dcm": "without an image",
    "empty_charset_LEI.dcm": "without an image",
    "no_meta_group_length.dcm": "without an image",
    "6154": "is 16 x 16 pixels",
    "17106": "is 16 x 16 pixels",
    "IM000000": "without an image",
}


def outcome(path):
    """The Radiograph, or the reason as text."""
    try:
        return radiograph.read(path)
    except Unreadable as error:
        return str(error)


@pytest.mark.parametrize("path", [path for path in FILES if path.name in EXPECTED], ids=lambda path: path.name)
def test_known_files(path):
    expected, found = EXPECTED[path.name], outcome(path)
    if isinstance(expected, str):
        assert isinstance(found, str) and expected in found and found.startswith(f"{path}: ")
    else:
        assert isinstance(found, Radiograph), found
        assert found.pixels.shape == expected and found.source == "DICOM" and found.pixels.max() > found.pixels.min()


def test_every_other_file_ends_in_a_picture_or_a_sentence():
    others = [path for path in FILES if path.name not in EXPECTED]
    for path in others:
        found = outcome(path)
        assert isinstance(found, Radiograph) or (found.startswith(f"{path}: ") and found.endswith(".")), path
    assert len(FILES) - len(others) > 80  # the list above is of the files that are shipped


@pytest.mark.parametrize("kind", ["RLE", "bigendian", "expb", "implicit", "padded", "jp2klossless", "jpeg_ls_lossless"])
def test_one_picture_in_many_syntaxes_is_one_picture(kind):
    files = DATA / "test_files"
    if not (files / f"MR_small_{kind}.dcm").exists():
        pytest.skip("this pydicom does not ship it")
    assert np.array_equal(outcome(files / f"MR_small_{kind}.dcm").pixels, outcome(files / "MR_small.dcm").pixels)


def test_twelve_bit_jpeg_shows_what_its_jpeg_2000_twin_shows():
    """Both are lossy copies of one nuclear medicine image, most of it empty: no more can be asked."""
    files = DATA / "test_files"
    counts = [outcome(files / name).pixels.astype(float).ravel() for name in ("JPGExtended.dcm", "JPEG2000.dcm")]
    assert np.corrcoef(*counts)[0, 1] > 0.95
