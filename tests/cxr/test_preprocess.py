"""Equalisation against its definition computed the slow way; borders found and nothing of the patient cut."""

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage import exposure

from cxr import preprocess as module
from cxr.preprocess import content_box, preprocess
from cxr.reading import raster

REAL = ROOT.parent / "shared" / "cxr"


def slowly(pixels, gamma):
    """METHOD: cdf(v) = (C(v) - Cmin) / (N - Cmin), result 255 * cdf ** gamma, on floats and without a table."""
    values = pixels.astype(np.float64)
    levels, counts = np.unique(values, return_counts=True)
    cumulative = np.cumsum(counts)
    cdf = (cumulative - cumulative[0]) / (values.size - cumulative[0])
    return 255 * cdf[np.searchsorted(levels, values)] ** gamma


IMAGES = st.sampled_from([(np.uint8, 255), (np.uint16, 4095), (np.uint16, 65535)]).flatmap(
    lambda kind: arrays.arrays(
        kind[0], st.tuples(st.integers(1, 40), st.integers(2, 40)), elements=st.integers(0, kind[1])
    )
)


@settings(max_examples=200, deadline=None)
@given(pixels=IMAGES, gamma=st.sampled_from([0.5, 1.0, 0.3, 2.2]))
def test_equals_the_definition(pixels, gamma):
    if pixels.min() == pixels.max():
        with pytest.raises(ValueError, match="one grey level"):
            preprocess(pixels, gamma)
        return
    result = preprocess(pixels, gamma)
    assert result.dtype == np.float32 and result.shape == pixels.shape
    assert np.abs(result - slowly(pixels, gamma)).max() <= 1e-3
    assert result.min() == 0 and result.max() == 255


@settings(max_examples=100, deadline=None)
@given(pixels=IMAGES.filter(lambda a: a.min() < a.max()))
def test_agrees_with_the_cumulative_distribution_of_scikit_image(pixels):
    """Its cdf is C(v) / N; ours starts at 0 for the lowest level present."""
    cdf, levels = exposure.cumulative_distribution(pixels)
    lowest = (pixels == pixels.min()).mean()
    expected = 255 * (np.interp(pixels, levels, cdf) - lowest) / (1 - lowest)
    assert np.abs(preprocess(pixels, 1.0) - expected).max() <= 1e-3


@settings(max_examples=50, deadline=None)
@given(pixels=IMAGES.filter(lambda a: min(a.shape) > 3), data=st.data())
def test_only_the_box_enters_the_histogram(pixels, data):
    top, left = data.draw(st.integers(0, pixels.shape[0] - 2)), data.draw(st.integers(0, pixels.shape[1] - 2))
    bottom = data.draw(st.integers(top + 1, pixels.shape[0]))
    right = data.draw(st.integers(left + 1, pixels.shape[1]))
    inside = pixels[top:bottom, left:right]
    if inside.min() == inside.max():
        return
    result = preprocess(pixels, box=(top, bottom, left, right))
    assert np.abs(result[top:bottom, left:right] - slowly(inside, 0.5)).max() <= 1e-3
    result[top:bottom, left:right] = 0
    assert not result.any() and result.shape == pixels.shape


def test_sixteen_bits_reach_the_histogram():
    pixels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert len(np.unique(preprocess(pixels))) > 65000  # float32 merges a few of the brightest


def test_counts_stay_exact_beyond_float32():
    """A histogram in float32 stops counting at 2**24 equal pixels."""
    pixels = np.zeros((4200, 4200), np.uint16)
    pixels[:100] = 7
    counts = module._counts(pixels)
    assert counts[7] == 420_000 and counts.sum() == pixels.size > 1 << 24


def test_a_view_is_read_as_it_looks():
    pixels = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80)
    assert np.array_equal(preprocess(pixels[::-2, ::3]), preprocess(pixels[::-2, ::3].copy()))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros(9, np.uint8)])
def test_other_arrays_are_refused(pixels):
    with pytest.raises(ValueError, match="two-dimensional uint8 or uint16"):
        preprocess(pixels)


@settings(max_examples=100, deadline=None)
@given(
    values=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(-1e6, 1e6, width=32)
    ),
    lowest=st.sampled_from([0, 1]),
)
def test_levels_keep_order_and_distinction(values, lowest):
    result = raster.levels(values, lowest)
    assert result.dtype == np.uint16 and result.min() >= lowest
    order = np.argsort(values, axis=None)
    steps, apart = np.diff(result.ravel()[order].astype(int)), np.diff(values.ravel()[order]) > 0
    assert (steps[apart] > 0).all() and (steps[~apart] == 0).all()


def thorax(height=300, width=280, dtype=np.uint8, seed=0):
    """Something with the greys of a radiograph, structure up to each side, and no blank line."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 12)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    rows, columns = np.mgrid[0:height, 0:width]
    lungs = sum(
        np.exp(-(((columns / width - middle) / 0.14) ** 2 + ((rows / height - 0.45) / 0.3) ** 2))
        for middle in (0.28, 0.72)
    )
    image = np.clip(0.35 + 0.4 * smooth - 0.3 * lungs + rng.normal(0, 0.02, smooth.shape), 0.15, 0.9)
    return (image * np.iinfo(dtype).max).astype(dtype)


def bordered(image, sides, level):
    top, bottom, left, right = sides
    return np.pad(image, ((top, bottom), (left, right)), constant_values=level)


def near(box, sides, image, slack=2):
    """Whether `box` is the image within borders of `sides`, up to `slack` lines."""
    top, bottom, left, right = sides
    height, width = image.shape
    expected = (top, top + height, left, left + width)
    return max(abs(a - b) for a, b in zip(box, expected, strict=True)) <= slack


SIDES = [(40, 40, 0, 0), (0, 0, 55, 20), (30, 10, 25, 60), (0, 70, 0, 0), (12, 12, 12, 12)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("share", [0, 0.95, 1], ids=["black", "grey", "white"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_blank_borders_are_found(sides, share, dtype):
    image = thorax(dtype=dtype)
    level = int(share * np.iinfo(dtype).max)
    assert near(content_box(bordered(image, sides, level)), sides, image)


@pytest.mark.parametrize("trouble", ["stray pixels", "lettering", "noise", "jpeg", "line", "hot pixel"])
def test_borders_with_trouble(trouble):
    sides, image = (40, 60, 35, 45), thorax()
    whole = bordered(image, sides, 0)
    rng = np.random.default_rng(1)
    border = np.ones(whole.shape, bool)
    border[40:-60, 35:-45] = False
    if trouble == "stray pixels":
        whole[border & (rng.random(whole.shape) < 0.003)] = 255
    elif trouble == "lettering":
        cv2.putText(whole, "PORTABLE", (60, 28), 0, 0.8, 255, 2)
        cv2.putText(whole, "L", (330, 200), 0, 1.0, 255, 3)
    elif trouble == "noise":
        whole[border] = np.clip(rng.normal(6, 3, border.sum()), 0, 255)
    elif trouble == "jpeg":
        whole = cv2.imdecode(cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_UNCHANGED)
    elif trouble == "line":
        whole[8, :], whole[:, 6] = 255, 255
    else:
        whole = whole.astype(np.uint16) * 16
        whole[5, 5] = 65535
    assert near(content_box(whole), sides, image, slack=8 if trouble == "jpeg" else 2)


def test_a_black_pixel_in_the_picture_cuts_nothing():
    """The published code cut an image at its first black pixel."""
    image = thorax()
    for at in ((0, 0), (0, 140), (150, 0), (299, 279), (150, 140)):
        image[at] = 0
    assert content_box(image) == (0, 300, 0, 280)


def test_frames_of_different_grey_come_off_one_after_the_other():
    image = thorax()
    whole = bordered(bordered(image, (20, 20, 30, 30), 0), (15, 40, 10, 10), 255)
    assert near(content_box(whole), (35, 60, 40, 40), image)


@pytest.mark.parametrize(
    "image",
    [
        thorax(),
        thorax(64, 500, seed=3),
        np.full((90, 90), 7, np.uint8),
        np.random.default_rng(0).integers(0, 256, (90, 90)).astype(np.uint8),
        bordered(np.full((9, 9), 200, np.uint8), (90, 90, 90, 90), 0),
    ],
    ids=["thorax", "wide", "flat", "noise", "speck"],
)
def test_nothing_is_cut_where_nothing_is_border(image):
    assert content_box(image) == (0, image.shape[0], 0, image.shape[1])


def test_a_fading_picture_loses_only_what_is_nearly_black_or_white():
    image = np.tile(np.linspace(40, 200, 400).astype(np.uint8), (90, 1))
    top, bottom, left, right = content_box(image)
    assert (top, bottom) == (0, 90) and left <= 30 and right >= 370


@settings(max_examples=200, deadline=None)
@given(
    pixels=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        elements=st.sampled_from([0, 3, 128, 250, 255]),
        fill=st.sampled_from([0, 255]),
    )
)
def test_any_image_has_a_box(pixels):
    top, bottom, left, right = content_box(pixels)
    assert 0 <= top < bottom <= pixels.shape[0] and 0 <= left < right <= pixels.shape[1]


def test_large_images_are_rounded_outwards():
    image = cv2.resize(thorax(), (1900, 2100), interpolation=cv2.INTER_NEAREST)
    top, bottom, left, right = content_box(bordered(image, (101, 203, 77, 55), 0))
    assert 101 - 5 <= top <= 101 and 2201 <= bottom <= 2206 and 77 - 5 <= left <= 77 and 1977 <= right <= 1982


@pytest.mark.skipif(not REAL.is_dir(), reason="the real radiographs are not here")
def test_no_lung_is_cut_on_real_radiographs():
    cases = [
        (path, [REAL / "MontgomerySet" / "ManualMask" / f"{side}Mask" / path.name for side in ("left", "right")])
        for path in sorted((REAL / "MontgomerySet" / "CXR_png").glob("*.png"))[::4]
    ]
    folds = [REAL / "SCR" / f"fold{fold}" / "masks" for fold in (1, 2)]
    for path in sorted((REAL / "JSRT").glob("*.jpg"))[::8]:
        cases.append(
            (
                path,
                [
                    m
                    for fold in folds
                    for side in ("left lung", "right lung")
                    if (m := fold / side / f"{path.stem}.gif").exists()
                ],
            )
        )
    assert len(cases) > 40
    for path, masks in cases:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        top, bottom, left, right = content_box(image)
        if path.parent.name == "JSRT":
            assert (bottom - top) * (right - left) > 0.85 * image.size, path
        for mask in masks:
            rows, columns = np.nonzero(raster.read(mask, 1 << 26)["pixels"] > 127)
            assert top <= rows.min() and rows.max() < bottom and left <= columns.min() and columns.max() < right, path
