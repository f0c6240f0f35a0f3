"""Every raster format and the JSRT .IMG, told by content; what is no radiograph is refused in a sentence."""

import io
import struct
import zlib

import cv2
import dicom_files as make
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

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


def jsrt(values):
    return values.astype(">u2").tobytes()


@pytest.mark.parametrize("name", ["x.IMG", "x", "x.png"])
def test_jsrt(tmp_path, name):
    stored = make.ramp(2048, 2048)
    film = radiograph.read(write(tmp_path / name, jsrt(stored)))
    assert np.array_equal(film.pixels, 4095 - stored) and film.pixels.dtype == np.uint16
    assert (film.spacing_mm, film.source, film.view) == ((0.175, 0.175), "IMG", None)


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
    "BMP": (pillow(GREY8, "BMP"), GREY8),
    "GIF": (pillow(GREY8, "GIF"), GREY8),
    "WEBP": (pillow(np.dstack([GREY8] * 3), "WEBP", lossless=True), GREY8),
    "JPEG2000": (pillow(GREY16, "JPEG2000"), GREY16),
    "JPEG2000 bare": (pillow(GREY8, "JPEG2000", no_jp2=True), GREY8),
}


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_formats_keep_every_level(tmp_path, kind):
    data, expected = EXACT[kind]
    film = radiograph.read(write(tmp_path / "picture.xyz", data))
    assert film.source == kind.split()[0] and film.spacing_mm is None
    assert film.pixels.dtype in (np.uint8, np.uint16) and film.pixels.flags.c_contiguous
    assert np.array_equal(film.pixels, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path, mode):
    grey = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    film = radiograph.read(write(tmp_path / "x.dcm", pillow(Image.fromarray(grey).convert(mode), "JPEG", quality=97)))
    assert film.source == "JPEG" and film.pixels.shape == (64, 96)
    assert np.abs(film.pixels.astype(int) - grey).max() <= 6


def test_a_camera_turned_picture_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    film = radiograph.read(write(tmp_path / "x.png", pillow(GREY8, "PNG", exif=exif)))
    assert np.array_equal(film.pixels, np.rot90(GREY8, -1))


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
    "npy": (b"\x93NUMPY\x01\0" + bytes(120), "is none of"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_name_file_and_cause(tmp_path, what):
    data, words = REFUSED[what]
    path = write(tmp_path / "film.png", data)
    with pytest.raises(Unreadable, match=words) as caught:
        radiograph.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.endswith(".") and "\n" not in message


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
        film = radiograph.read(write(tmp_path / "film", bytes(damaged[: data.draw(st.integers(1, len(damaged)))])))
    except Unreadable as error:
        assert str(error).startswith(f"{tmp_path / 'film'}: ")
    else:
        assert film.pixels.ndim == 2 and film.pixels.dtype in (np.uint8, np.uint16)


def test_find(tmp_path):
    for name in (
        "b.png",
        "a.IMG",
        "c",
        "sub/d.dcm",
        "sub/deep/e.JPG",
        "sub/f.weird",
        ".hidden.png",
        "sub/.git/g.png",
        "table.CSV",
        "sub/notes.txt",
        "x.image.npy",
        "Thumbs.db",
        "sub/DICOMDIR",
        "README",
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "h.png").touch()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "in")
    taken, passed_over = radiograph.find([tmp_path / "in", tmp_path / "in" / "b.png"])
    assert [str(p.relative_to(tmp_path / "in")) for p in taken] == [
        "a.IMG",
        "b.png",
        "c",
        "linked/h.png",
        "sub/d.dcm",
        "sub/deep/e.JPG",
        "sub/f.weird",
    ]
    assert [p.name for p in passed_over] == ["README", "Thumbs.db", "DICOMDIR", "notes.txt", "table.CSV", "x.image.npy"]
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        radiograph.find([tmp_path / "nowhere"])
