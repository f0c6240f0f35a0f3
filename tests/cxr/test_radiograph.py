"""Every raster format and the JSRT .IMG, told by content; what is no radiograph is refused in a sentence."""

import gzip
import io
import struct
import zlib
from pathlib import Path

import cv2
import dicom_files as make
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from cxr.reading import radiograph
from cxr.reading.radiograph import Unreadable

GREY8 = make.ramp(top=255, dtype=np.uint8)
GREY16 = make.ramp(top=65535)


def write(path, data):
    path.write_bytes(data)
    return path


def pillow(array, kind, **options):
    buffer = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(bits, colour_type, rows):
    """A PNG of raw rows (bytes), for kinds that no library writes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    header = struct.pack(">IIBBBBB", len(rows[0]) * 8 // bits // channels, len(rows), bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(array, **options):
    tifffile.imwrite(buffer := io.BytesIO(), array, **options)
    return buffer.getvalue()


def jsrt(values):
    return values.astype(">u2").tobytes()


@pytest.mark.parametrize("name", ["x.IMG", "x", "x.png"])
def test_jsrt(tmp_path, name):
    stored = make.ramp(2048, 2048)
    xray = radiograph.read(write(tmp_path / name, jsrt(stored)))
    assert np.array_equal(xray.pixels, 4095 - stored) and xray.pixels.dtype == np.uint16
    assert (xray.spacing_mm, xray.source, xray.view) == ((0.175, 0.175), "IMG", None)


def test_a_false_img_says_what_an_img_is(tmp_path):
    for data in (make.ramp(2048, 2048).astype("<u2").tobytes(), b"\0\1" * 500):
        with pytest.raises(Unreadable, match="x.IMG: is not a JSRT .IMG, which is 8388608 bytes"):
            radiograph.read(write(tmp_path / "x.IMG", data))


BLACK_IS_ZERO = b"\x06\x01\x03\0\1\0\0\0\1"  # the TIFF entry PhotometricInterpretation (262)
WHITE_IS_ZERO = b"\x06\x01\x03\0\1\0\0\0\0"
PALETTE = Image.fromarray(GREY8).convert("P")
EXACT = {
    "PNG 8": (pillow(GREY8, "PNG"), GREY8),
    "PNG 16": (pillow(GREY16, "PNG"), GREY16),
    "PNG palette": (pillow(PALETTE, "PNG"), GREY8),
    "PNG 1 bit": (pillow(Image.fromarray(GREY8 > 99), "PNG"), np.where(GREY8 > 99, 255, 0)),
    "PNG RGB": (pillow(np.dstack([GREY8] * 3), "PNG"), GREY8),
    "PNG RGBA": (pillow(np.dstack([GREY8] * 3 + [GREY8 * 0 + 255]), "PNG"), GREY8),
    "PNG grey+alpha": (pillow(np.dstack([GREY8, GREY8 * 0 + 255]), "PNG"), GREY8),
    "PNG 16 RGB": (cv2.imencode(".png", np.dstack([GREY16] * 3))[1].tobytes(), GREY16),
    "PNG 16 RGBA": (cv2.imencode(".png", np.dstack([GREY16] * 3 + [GREY16 * 0 + 65535]))[1].tobytes(), GREY16),
    "PNG 16 grey+alpha": (
        png(16, 4, [np.dstack([row, row * 0 + 65535]).astype(">u2").tobytes() for row in GREY16]),
        GREY16,
    ),
    "PNG transparent": (
        pillow(np.dstack([GREY8] * 3 + [np.where(GREY8 > 99, 255, 0).astype(np.uint8)]), "PNG"),
        np.where(GREY8 > 99, GREY8, 0),
    ),
    "TIFF 8": (pillow(GREY8, "TIFF"), GREY8),
    "TIFF 16": (pillow(GREY16, "TIFF"), GREY16),
    "TIFF LZW": (pillow(GREY16, "TIFF", compression="tiff_lzw"), GREY16),
    "TIFF 16 RGB": (cv2.imencode(".tif", np.dstack([GREY16] * 3))[1].tobytes(), GREY16),
    "TIFF 8 white is zero": (pillow(255 - GREY8, "TIFF").replace(BLACK_IS_ZERO, WHITE_IS_ZERO), GREY8),
    "TIFF 16 white is zero": (pillow(65535 - GREY16, "TIFF").replace(BLACK_IS_ZERO, WHITE_IS_ZERO), GREY16),
    "TIFF float": (pillow(GREY16.astype(np.float32), "TIFF"), GREY16),
    "TIFF 32 bits": (pillow(GREY16.astype(np.int32), "TIFF"), GREY16),
    "TIFF 32 bits unsigned": (tiff(GREY16 * np.uint32(65537)), GREY16),
    "TIFF 8 bits signed": (tiff((GREY8 - 128.0).astype(np.int8)), GREY8),
    "BMP": (pillow(GREY8, "BMP"), GREY8),
    "GIF": (pillow(GREY8, "GIF"), GREY8),
    "WEBP": (pillow(np.dstack([GREY8] * 3), "WEBP", lossless=True), GREY8),
    "JPEG2000": (pillow(GREY16, "JPEG2000"), GREY16),
    "JPEG2000 16 RGB": (cv2.imencode(".jp2", np.dstack([GREY16] * 3))[1].tobytes(), GREY16),
    "JPEG2000 16 RGBA": (cv2.imencode(".jp2", np.dstack([GREY16] * 3 + [GREY16 * 0 + 65535]))[1].tobytes(), GREY16),
    "JPEG2000 bare": (pillow(GREY8, "JPEG2000", no_jp2=True), GREY8),
}


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_formats_keep_every_level(tmp_path, kind):
    data, expected = EXACT[kind]
    xray = radiograph.read(write(tmp_path / "picture.xyz", data))
    assert xray.source == kind.split()[0] and xray.spacing_mm is None
    assert xray.pixels.dtype in (np.uint8, np.uint16) and xray.pixels.flags.c_contiguous
    assert np.array_equal(xray.pixels, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path, mode):
    grey = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    xray = radiograph.read(write(tmp_path / "x.dcm", pillow(Image.fromarray(grey).convert(mode), "JPEG", quality=97)))
    assert xray.source == "JPEG" and xray.pixels.shape == (64, 96)
    assert np.abs(xray.pixels.astype(int) - grey).max() <= 6


def turned_tiff(orientation):
    """A TIFF of 16-bit colour with EXIF's orientation, which no library here writes."""
    tiff = bytearray(cv2.imencode(".tif", np.dstack([GREY16] * 3))[1].tobytes())
    start = struct.unpack("<I", tiff[4:8])[0]
    count = struct.unpack("<H", tiff[start : start + 2])[0]
    entries = [bytes(tiff[start + 2 + 12 * i : start + 14 + 12 * i]) for i in range(count)]
    entries.append(struct.pack("<HHIHH", 274, 3, 1, orientation, 0))
    tiff += bytes(len(tiff) % 2)
    tiff[4:8] = struct.pack("<I", len(tiff))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
    return bytes(tiff) + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def turned_deep_png(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    whole = EXACT["PNG 16 RGB"][0]
    chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    return whole[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]


def turned(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    if kind == "TIFF":
        return pillow(GREY8, kind, tiffinfo={274: orientation})
    return pillow(np.dstack([GREY8] * 3), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "PNG 16 RGB", "TIFF 16 RGB"])
def test_a_turned_picture_stands_upright(tmp_path, kind, orientation):
    if "16" in kind:
        stored, data = GREY16, turned_tiff(orientation) if "TIFF" in kind else turned_deep_png(orientation)
    else:
        stored, data = GREY8, turned(kind, orientation)
    # what Pillow makes of the places of the pixels, in 32 bits
    places = Image.fromarray(np.arange(stored.size, dtype=np.int32).reshape(stored.shape))
    places.getexif()[274] = orientation
    upright = stored.ravel()[np.asarray(ImageOps.exif_transpose(places))]
    xray = radiograph.read(write(tmp_path / "x", data))
    assert np.array_equal(xray.pixels, upright) and xray.orientation == orientation


def test_damaged_exif_costs_the_turn_alone(tmp_path):
    xray = radiograph.read(write(tmp_path / "x.png", pillow(GREY8, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")))
    assert np.array_equal(xray.pixels, GREY8) and xray.orientation == 1


def test_colour_is_weighed_by_brightness(tmp_path):
    colour = np.zeros((40, 40, 3), np.uint8)
    colour[..., 1], colour[0] = 200, 0
    assert radiograph.read(write(tmp_path / "x.png", pillow(colour, "PNG"))).pixels[5, 5] == 117  # 0.587 * 200


def many(kind):
    return pillow(Image.fromarray(GREY8), kind, save_all=True, append_images=[Image.fromarray(255 - GREY8)])


def floats(value):
    array = GREY16.astype(np.float32)
    array[3, 4] = value
    return pillow(array, "TIFF")


REFUSED = {
    "empty": (b"", "is empty"),
    "text": (b"<html>not found</html>", "is text.*failed download"),
    "text of 2000": (b"name,age\n" * 222, "is text"),
    "garbage": (b"\x01\x02\xff" * 400, "is none of DICOM, PNG"),
    "gzip": (b"\x1f\x8b\x08" + bytes(90), "unpack it"),
    "PDF": (b"%PDF-1.7\n\xff\xff", "is a PDF"),
    "PNG truncated": (EXACT["PNG 16"][0][:-200], "truncated or damaged PNG"),
    "PNG deep truncated": (EXACT["PNG 16 RGB"][0][:-200], "truncated or damaged PNG"),
    "PNG head": (EXACT["PNG 8"][0][:20], "damaged PNG"),
    "JPEG truncated": (
        pillow(np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8), "JPEG")[:900],
        "truncated or damaged JPEG",
    ),
    "TIFF truncated": (EXACT["TIFF 16"][0][:-900], "TIFF"),
    "BMP truncated": (EXACT["BMP"][0][:-90], "damaged BMP"),
    "GIF truncated": (EXACT["GIF"][0][:200], "damaged GIF"),
    "WEBP truncated": (EXACT["WEBP"][0][:-20], "damaged WEBP"),
    "JPEG2000 truncated": (EXACT["JPEG2000"][0][:90], "JPEG2000"),
    "DICOM truncated": (b"\0" * 128 + b"DICM" + b"\2\0", "DICOM"),
    "TIFF planes": (tiff(np.stack([GREY16] * 3), photometric="rgb", planarconfig="separate"), "in separate planes"),
    "TIFF pages": (many("TIFF"), "holds 2 pictures"),
    "GIF frames": (many("GIF"), "holds 2 pictures"),
    "PNG frames": (many("PNG"), "holds 2 pictures"),
    "WEBP frames": (many("WEBP"), "holds 2 pictures"),
    "NaN": (floats(np.nan), "not finite"),
    "infinity": (floats(np.inf), "not finite"),
    "1 x 1": (pillow(GREY8[:1, :1], "PNG"), "is 1 x 1 pixels; a radiograph needs 32 a side"),
    "narrow": (pillow(GREY8[:, :20], "PNG"), "48 x 20"),
    "flat": (pillow(GREY8 * 0 + 9, "PNG"), "one grey level"),
    "flat IMG": (jsrt(np.full((2048, 2048), 9)), "one grey level"),
    "npy": (b"\x93NUMPY\x01\0" + bytes(120), "is a NumPy array"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_name_file_and_cause(tmp_path, what):
    data, words = REFUSED[what]
    path = write(tmp_path / "radiograph.png", data)
    with pytest.raises(Unreadable, match=words) as caught:
        radiograph.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.endswith(".") and "\n" not in message


def noise(height=96, width=128):
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width)).astype(np.uint8), (0, 0), 1.5) * 3


def rubbish(data, start, length, place):
    at = start + (len(data) - start - length) * place // 100
    return data[:at] + bytes(length) + data[at + length :]


@pytest.mark.parametrize("place", [5, 25, 50, 75, 90])
@pytest.mark.parametrize("mode,options", [("L", {}), ("RGB", {}), ("L", {"restart_marker_rows": 2})])
def test_a_jpeg_with_a_block_of_zeros_or_cut_short_is_refused(tmp_path, mode, options, place):
    whole = pillow(Image.fromarray(noise()).convert(mode), "JPEG", quality=95, **options)
    radiograph.read(write(tmp_path / "x.jpg", whole))
    scan = whole.index(b"\xff\xda") + 16
    cut = whole[: scan + (len(whole) - scan) * place // 100]
    for damaged in (rubbish(whole, scan, 200, place), cut + b"\xff\xd9", cut):
        with pytest.raises(Unreadable, match=r"is a truncated or damaged JPEG.*; get the whole file\."):
            radiograph.read(write(tmp_path / "x.jpg", damaged))


def test_a_progressive_jpeg_cut_short_is_refused(tmp_path):
    whole = pillow(noise(), "JPEG", quality=95, progressive=True)
    radiograph.read(write(tmp_path / "x.jpg", whole))
    scan = whole.index(b"\xff\xda") + 16
    with pytest.raises(Unreadable, match="truncated or damaged JPEG"):
        radiograph.read(write(tmp_path / "x.jpg", whole[: scan + 50] + b"\xff\xd9"))


@pytest.mark.parametrize(
    "bits,colour,dtype,channels", [(16, 0, ">u2", 1), (8, 0, "u1", 1), (8, 2, "u1", 3), (16, 2, ">u2", 3)]
)
@pytest.mark.parametrize("rows", [47, 30, 1])
def test_a_png_with_rows_missing_is_refused(tmp_path, bits, colour, dtype, channels, rows):
    pixels = np.repeat((GREY16 >> (16 - bits)).astype(dtype)[..., None], channels, 2)
    whole = png(bits, colour, [row.tobytes() for row in pixels])
    assert radiograph.read(write(tmp_path / "x.png", whole)).pixels.shape == (48, 64)
    short = png(bits, colour, [row.tobytes() for row in pixels[:rows]])
    header = struct.pack(">II", 64, 48) + whole[24:29]
    short = short[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + short[33:]
    with pytest.raises(Unreadable, match="truncated or damaged PNG .* bytes of pixels are there"):
        radiograph.read(write(tmp_path / "x.png", short))


@pytest.mark.parametrize("kind", ["PNG 8", "PNG 16", "PNG 16 RGB", "PNG palette", "PNG 1 bit"])
def test_a_flipped_bit_in_the_pixels_of_a_png_is_refused(tmp_path, kind):
    whole = EXACT[kind][0]
    for at in range(whole.index(b"IDAT") + 4, len(whole) - 16, 97):
        damaged = bytearray(whole)
        damaged[at] ^= 16
        with pytest.raises(Unreadable, match="truncated or damaged PNG"):
            radiograph.read(write(tmp_path / "x.png", bytes(damaged)))


def test_an_interlaced_png_is_whole(tmp_path):
    picture = make.ramp(45, 61, 255, np.uint8)
    path = tmp_path / "x.png"
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [b"\0" + row.tobytes() for x, y, dx, dy in passes for row in picture[y::dy, x::dx]]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def interlaced(rows):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 61, 45, 8, 0, 0, 0, 1))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")

    assert np.array_equal(radiograph.read(write(path, interlaced(rows))).pixels, picture)
    with pytest.raises(Unreadable, match="damaged PNG"):
        radiograph.read(write(path, interlaced(rows[:-1])))


def test_whole_pictures_with_megabytes_of_text_or_profile_are_read(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("XML:com.adobe.xmp", "x" * (3 << 20), zip=True)
    profile = np.random.default_rng(0).bytes(1 << 20) + bytes(4 << 20)
    for options in ({"pnginfo": text}, {"icc_profile": profile}):
        path = write(tmp_path / "x.png", pillow(GREY8, "PNG", **options))
        assert np.array_equal(radiograph.read(path).pixels, GREY8)
    path = write(
        tmp_path / "x.jpg", pillow(noise(), "JPEG", quality=95, icc_profile=profile[: 2 << 20], xmp=b"x" * 60000)
    )
    assert np.abs(radiograph.read(path).pixels.astype(int) - noise()).mean() < 3


def nifti(version):
    header = bytearray(352 if version == 1 else 544)
    header[:4] = struct.pack("<i", len(header) - 4)
    place, magic = (344, b"n+1\0") if version == 1 else (4, b"n+2\0")
    header[place : place + 4] = magic
    return bytes(header) + bytes(4096)


FOREIGN = {
    "NIfTI": (nifti(1), "a NIfTI volume"),
    "NIfTI 2": (nifti(2), "a NIfTI volume"),
    "NIfTI gz": (gzip.compress(nifti(1)), "a NIfTI volume"),
    "NRRD": (b"NRRD0004\ntype: short\ndimension: 2\nsizes: 64 48\nencoding: raw\n\n" + bytes(6144), "an NRRD volume"),
    "MHA": (b"ObjectType = Image\nNDims = 2\nDimSize = 64 48\nElementDataFile = LOCAL\n" + bytes(6144), "a MetaImage"),
    "MHD": (b"NDims = 2\nDimSize = 64 48\nElementDataFile = x.raw\n", "a MetaImage"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_volumes_are_named_as_what_they_are(tmp_path, what):
    data, name = FOREIGN[what]
    with pytest.raises(Unreadable, match=f"is {name}.*; export the radiograph as DICOM or as a grey PNG\\."):
        radiograph.read(write(tmp_path / "x", data))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(Unreadable, match="no such file"):
        radiograph.read(tmp_path / "nothing.png")
    with pytest.raises(Unreadable, match="is a folder"):
        radiograph.read(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000"])
def test_the_pixel_limit_comes_before_decoding(tmp_path, kind):
    path = write(tmp_path / "x", EXACT[kind if kind in EXACT else f"{kind} 8"][0])
    assert radiograph.read(path, pixel_limit=48 * 64).pixels.size == 48 * 64
    with pytest.raises(Unreadable, match="48 x 64 pixels are more than the limit of 3,071"):
        radiograph.read(path, pixel_limit=48 * 64 - 1)


@pytest.mark.parametrize("side", [9000, 10_000, 60_000])
def test_a_bomb_is_refused_by_its_header(tmp_path, side):
    bomb = png(8, 0, [bytes(64)] * 48).replace(struct.pack(">II", 64, 48), struct.pack(">II", side, side))
    bomb = bomb[:29] + struct.pack(">I", zlib.crc32(bomb[12:29])) + bomb[33:]
    with pytest.raises(Unreadable, match="more than the limit of 67,108,864"):
        radiograph.read(write(tmp_path / "x.png", bomb))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["PNG 16", "GIF", "BMP", "TIFF LZW", "PNG palette"]), data=st.data())
def test_damaged_bytes_raise_nothing_else(tmp_path, kind, data):
    damaged = bytearray(EXACT[kind][0])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        xray = radiograph.read(
            write(tmp_path / "radiograph", bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
        )
    except Unreadable as error:
        assert str(error).startswith(f"{tmp_path / 'radiograph'}: ")
    else:
        assert xray.pixels.ndim == 2 and xray.pixels.dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize(
    "name,case",
    [
        ("a.jpeg", "a"),
        ("JPCNN026.IMG", "JPCNN026"),
        ("1.CXR.pdf-003-fig4b.png", "1.CXR.pdf-003-fig4b"),
        ("1.2.840.10008", "1.2.840.10008"),
        ("radiograph", "radiograph"),
        ("x.DCM", "x"),
        ("noext.", "noext."),
        (".png", ".png"),
        ("a.b.tiff", "a.b"),
        ("notes.txt", "notes.txt"),
        *((f"a.b{end}", "a.b") for end in (".jfif", ".webp", ".JPE", ".j2k", ".jp2", ".jpx", ".apng", ".dib")),
    ],
)
def test_a_case_is_named_after_its_file_without_the_suffix_of_any_format(name, case):
    assert radiograph.case_of(name) == radiograph.case_of(f"some/folder/{name}") == case
    assert radiograph.case_of(Path("C:\\radiographs") / name) == radiograph.case_of(f"C:\\radiographs\\{name}") == case


def test_every_suffix_names_a_format_that_is_read_and_none_is_passed_over(tmp_path):
    for suffix in radiograph.SUFFIXES:
        write(tmp_path / f"x{suffix}", EXACT["PNG 8"][0])
    taken, passed_over = radiograph.find([tmp_path])
    assert len(taken) == len(radiograph.SUFFIXES) and passed_over == []


def test_thumbnails_of_other_systems_are_no_radiographs(tmp_path):
    for name in ("@eaDir/x.png/SYNOPHOTO_THUMB_M.jpg", ".AppleDouble/x.png", "__MACOSX/._x.png", "in/@eaDir/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, EXACT["PNG 8"][0])
    xray = write(tmp_path / "x.png", EXACT["PNG 8"][0])
    assert radiograph.find([tmp_path]) == ([xray], [])


def test_find(tmp_path):
    images = "b.png a.IMG c sub/d.dcm sub/deep/e.JPG sub/f.weird .hidden.png sub/.git/g.png"
    for name in f"{images} table.CSV sub/notes.txt x.image.npy Thumbs.db sub/DICOMDIR README".split():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "h.png").touch()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "in")
    taken, passed_over = radiograph.find([tmp_path / "in", tmp_path / "in" / "b.png"])
    wanted = "a.IMG b.png c linked/h.png sub/d.dcm sub/deep/e.JPG sub/f.weird"
    assert [str(p.relative_to(tmp_path / "in")) for p in taken] == wanted.split()
    assert [p.name for p in passed_over] == ["README", "Thumbs.db", "DICOMDIR", "notes.txt", "table.CSV", "x.image.npy"]
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        radiograph.find([tmp_path / "nowhere"])
