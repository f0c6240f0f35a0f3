"""Name, by content, what is no radiograph, and say what to do with it."""

import zlib

KNOWN = "DICOM, PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or JSRT .IMG"
_EXPORT = "export the radiograph as DICOM or as a grey PNG"
# Where the bytes stand, what they are, and what a file is that has them
_MAGIC = [
    (0, b"%PDF-", "is a PDF; export its images as PNG."),
    (0, b"NRRD000", f"is an NRRD volume; {_EXPORT}."),
    (344, b"n+1\0", f"is a NIfTI volume; {_EXPORT}."),
    (344, b"ni1\0", f"is the header of a NIfTI volume; {_EXPORT}."),
    (4, b"n+2\0", f"is a NIfTI volume; {_EXPORT}."),
    (4, b"ni2\0", f"is the header of a NIfTI volume; {_EXPORT}."),
    (0, b"ObjectType", f"is a MetaImage (MHA, MHD); {_EXPORT}."),
    (0, b"NDims", f"is a MetaImage (MHA, MHD); {_EXPORT}."),
    (0, b"\x89HDF", f"is an HDF5 file; {_EXPORT}."),
    (0, b"\x93NUMPY", f"is a NumPy array; {_EXPORT}."),
    (0, b"MATLAB 5.0", f"is a MATLAB file; {_EXPORT}."),
    (4, b"ftypheic", "is an HEIC photograph; save it as PNG."),
    (4, b"ftypavif", "is an AVIF picture; save it as PNG."),
]


def what_it_is(head: bytes) -> str:
    """The end of a sentence about a file that starts with the bytes `head`, 1 kB or all of it."""
    for place, magic, sentence in _MAGIC:
        if head[place:].startswith(magic):
            return sentence
    if head[:2] == b"\x1f\x8b":
        return _gzip(head)
    if head[:4] in (b"PK\3\4", b"Rar!") or head[:6] == b"7z\xbc\xaf\x27\x1c":
        return "is a compressed archive; unpack it and name what is inside."
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head[:256]):
        return f"is text, not {KNOWN}; perhaps a failed download."
    return f"is none of {KNOWN} by its content."


def _gzip(head):
    try:
        inside = zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        inside = b""
    return next(
        (sentence for place, magic, sentence in _MAGIC if inside[place:].startswith(magic)),
        "is a compressed archive; unpack it and name what is inside.",
    )
