"""What decoders make up for in silence: JPEG and PNG files whose pixels are not all there.

Pillow shows grey where the pixels of a damaged JPEG or PNG end.  libjpeg warns of it, and of a PNG it can be counted.
"""

import contextlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

PIECE = 1 << 20  # bytes held at once
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG colour type
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """A list that holds, after the block, what libjpeg warned of in it.

    OpenCV and GDCM let libjpeg print its warnings, and no library here passes them on: they are read from this
    process's standard error, so this is for a process with nobody else in it.
    """
    warned = []
    with tempfile.TemporaryFile() as said:
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield warned
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        said.seek(0)
        lines = said.read(PIECE).decode("ascii", "replace").splitlines()
    warned += [line for line in lines if line.startswith(("Corrupt JPEG data", "Premature end of JPEG"))]


def of_jpeg(data: bytes) -> str | None:
    """The first warning of libjpeg while it decodes a JPEG file's bytes, None for a whole one.

    An eighth of the size takes the least time and all of the compressed data.
    """
    with heard() as warned, contextlib.suppress(cv2.error):  # a kind that OpenCV does not read: its decoder judges it
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return warned[0] if warned else None


def of_png(path) -> str | None:
    """What is wrong with the pixels of a PNG file, None if each is there and every checksum right.

    Chunks of text, profiles and the like are not looked at.
    """
    inflate, there, wanted = zlib.decompressobj(), 0, None
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name[0] & 32:  # lower case: ancillary
                file.seek(length + 4, os.SEEK_CUR)
                continue
            checksum = zlib.crc32(name)
            for piece in _pieces(file, length):
                checksum = zlib.crc32(piece, checksum)
                if name == b"IHDR":
                    wanted = _pixel_bytes(piece)
                elif name == b"IDAT":
                    while piece and there < (wanted or 0):
                        try:
                            there += len(inflate.decompress(piece, PIECE))
                        except zlib.error as error:
                            return str(error)
                        piece = inflate.unconsumed_tail
            if file.read(4) != struct.pack(">I", checksum):
                return "a checksum is wrong"
            if name == b"IEND":
                break
    return None if wanted and there >= wanted else f"{there} of {wanted} bytes of pixels are there"


def _pieces(file, length):
    while length and (piece := file.read(min(length, PIECE))):
        length -= len(piece)
        yield piece


def _pixel_bytes(header):
    """Bytes of all rows, each with the byte that names its filter, by the IHDR chunk; None if that makes no sense."""
    if len(header) != 13:
        return None
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    total = 0
    for left, top, right, down in PASSES if interlaced else [(0, 0, 1, 1)]:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits * CHANNELS.get(colour, 1) // 8))
    return total
