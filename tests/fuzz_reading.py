"""Read mutated files of every type and transfer syntax: no hang, no crash, nothing raised but Unreadable.

    python -m tests.fuzz_reading --count 100000 --seed 0 --keep FOLDER

Prints what came of each kind and every finding, and ends with 1 if there is one. The file of a finding is kept.
"""

import argparse
import io
import resource
import sys
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pydicom import uid
from tqdm import tqdm

from cxr.reading import decode, radiograph
from tests import dicom_files

HANG_S = decode.SILENCE_S + 5  # a worker that is given up and the next one's start
MEMORY_BYTES = 2 << 30  # of this process, beyond what it took before
EXTREMES = [0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


@dataclass
class Report:
    """What came of the files: how many of each kind were read and refused, how many decoders died or fell silent
    (lost), the slowest, and the findings."""

    read: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    lost: int = 0
    slowest: tuple = (0.0, "")
    memory: int = 0
    findings: list = field(default_factory=list)


def pictures() -> dict[str, bytes]:
    """A whole file of every kind but DICOM, by name."""
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.integers(0, 256, (60, 72)).astype(np.uint8), (0, 0), 2) * np.uint8(3)
    deep, colour = grey.astype(np.uint16) * 257, np.dstack([grey, grey[::-1], grey])
    palette = Image.fromarray(grey).convert("P")
    exif = Image.Exif()
    exif[274] = 6
    kinds = {
        "PNG": (grey, "PNG", {}),
        "PNG 16": (deep, "PNG", {}),
        "PNG colour turned": (colour, "PNG", {"exif": exif}),
        "PNG palette": (palette, "PNG", {}),
        "PNG alpha": (np.dstack([colour, grey]), "PNG", {}),
        "PNG 1 bit": (grey > 99, "PNG", {}),
        "JPEG": (grey, "JPEG", {}),
        "JPEG colour turned": (colour, "JPEG", {"exif": exif}),
        "JPEG progressive": (colour, "JPEG", {"progressive": True}),
        "JPEG CMYK": (Image.fromarray(colour).convert("CMYK"), "JPEG", {}),
        **{f"TIFF {c}": (grey, "TIFF", {"compression": c}) for c in ("raw", "tiff_lzw", "packbits", "jpeg")},
        "TIFF 16 deflate turned": (deep, "TIFF", {"compression": "tiff_adobe_deflate", "tiffinfo": {274: 5}}),
        "TIFF float": (grey.astype(np.float32), "TIFF", {}),
        "BMP": (grey, "BMP", {}),
        "BMP colour": (colour, "BMP", {}),
        "GIF": (grey, "GIF", {}),
        "WEBP": (colour, "WEBP", {}),
        "WEBP lossless": (colour, "WEBP", {"lossless": True}),
        "JPEG2000": (deep, "JPEG2000", {}),
        "JPEG2000 bare": (colour, "JPEG2000", {"no_jp2": True, "irreversible": True}),
    }
    files = {}
    for name, (picture, kind, options) in kinds.items():
        buffer = io.BytesIO()
        picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        picture.save(buffer, kind, **options)
        files[name] = buffer.getvalue()
    for end in (".png", ".tif"):
        files[f"16-bit colour {end}"] = cv2.imencode(end, colour.astype(np.uint16) * 257)[1].tobytes()
    return files


def dicoms(folder: Path) -> dict[str, bytes]:
    """A whole DICOM file in every transfer syntax and with every step from stored to displayed grey, by name."""
    deep, grey = dicom_files.ramp(60, 72), dicom_files.ramp(60, 72, 255, np.uint8)
    header = {"ViewPosition": "PA", "PatientOrientation": ["R", "F"], "PixelSpacing": [0.2, 0.2]}
    plain = {
        "window": {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": "2", "RescaleIntercept": "5"},
        "table": {"VOILUTSequence": dicom_files.lut(0, np.arange(4096))},
        "modality table": {"ModalityLUTSequence": dicom_files.lut(0, np.arange(4096)), "PixelPaddingValue": 0},
        "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1"},
    }
    files = {}

    def add(name, ds, compression=None, **saving):
        path = dicom_files.save(folder / "whole.dcm", ds, **saving)
        files[f"DICOM {name}"] = (dicom_files.compress(path, compression) if compression else path).read_bytes()

    for syntax in ("ImplicitVRLittleEndian", "ExplicitVRBigEndian", "DeflatedExplicitVRLittleEndian"):
        add(syntax, dicom_files.dataset(deep, **header), syntax=getattr(uid, syntax))
    for name, more in plain.items():
        add(name, dicom_files.dataset(deep, **header | more))
    add("colour", dicom_files.dataset(np.dstack([grey] * 3), 8, "RGB"))
    for compression in dicom_files.SYNTAX:
        small = compression == "JPEG baseline"
        add(compression, dicom_files.dataset(grey if small else deep, 8 if small else 12, **header), compression)
    for compression in ("JPEG baseline", "RLE", "JPEG 2000"):
        add(f"colour {compression}", dicom_files.dataset(np.dstack([grey] * 3), 8, "RGB"), compression)
    return files


def mutate(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """A file damaged in one to three places, half of them in its first kilobyte, where its header is.

    Half of the PNG files get right checksums again, so that their decoders see what was done.
    """
    data, mended = bytearray(data), data[:4] == b"\x89PNG" and rng.random() < 0.5
    for _ in range(rng.integers(1, 4)):
        near = min(len(data), 1024 if rng.random() < 0.5 else len(data))
        at, length = int(rng.integers(0, max(near, 1))), int(2 ** (10 * rng.random() ** 2))
        what = rng.integers(0, 9)
        if what == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << int(rng.integers(0, 8))
        elif what == 1:
            data[at : at + length] = rng.bytes(length)
        elif what == 2:
            data[at : at + length] = bytes(length)
        elif what == 3:
            data[at : at + length] = b"\xff" * length
        elif what == 4:
            del data[at : at + length]
        elif what == 5:
            data[at:at] = data[at : at + length]
        elif what == 6:
            del data[int(rng.integers(0, len(data) + 1)) :]
        elif what == 7:
            size, order = int(rng.choice([1, 2, 4])), ("little", "big")[rng.integers(0, 2)]
            data[at : at + size] = (int(rng.choice(EXTREMES)) % (1 << 8 * size)).to_bytes(size, order)
        else:
            other = others[rng.integers(0, len(others))]
            start = int(rng.integers(0, len(other)))
            data[at : at + length] = other[start : start + length]
    return _with_checksums(bytes(data)) if mended else bytes(data)


def _with_checksums(png):
    chunks, at = [png[:8]], 8
    while at + 12 <= len(png):
        end = at + 8 + min(int.from_bytes(png[at : at + 4], "big"), len(png) - at - 12)
        chunks += [png[at:end], zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join(chunks)


def fuzz(count: int, seed: int, folder: Path, progress: bool = False) -> Report:
    """Read `count` mutated files, which are written into `folder` one after the other; those of findings stay."""
    whole = pictures() | dicoms(folder)
    names, others, report = list(whole), list(whole.values()), Report()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in tqdm(range(count), "files", disable=not progress, mininterval=5):
        rng = np.random.default_rng((seed, number))
        name = names[number % len(names)]
        path = folder / f"{number}.bin"
        path.write_bytes(mutate(whole[name], others, rng))
        seconds, wrong = _read(path, name, report)
        if seconds > HANG_S:  # perhaps the machine was busy while a new worker started
            seconds, wrong = _read(path, name, Report())
        report.slowest = max(report.slowest, (seconds, f"{path.name}, {name}"))
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        if seconds > HANG_S:
            wrong = f"took {seconds:.0f} s"
        if grown > max(MEMORY_BYTES, report.memory):
            wrong = f"took {grown >> 20} MB"
        report.memory = max(report.memory, grown)
        if wrong:
            report.findings.append(f"{path} ({name}): {wrong}")
        else:
            path.unlink()
    return report


def _read(path, name, report):
    """Seconds, and what is wrong with the outcome, None if nothing is; the outcome is counted."""
    began = time.monotonic()
    try:
        wrong = _wrong_picture(radiograph.read(path))
        report.read[name] += 1
    except radiograph.Unreadable as error:
        wrong = _wrong_sentence(str(error), path)
        report.refused[name] += 1
        report.lost += "its decoder" in str(error)
    except Exception as error:
        wrong = f"raised {type(error).__name__}: {error}"
    return time.monotonic() - began, wrong


def _wrong_picture(image):
    good = image.pixels.ndim == 2 and image.pixels.dtype in (np.uint8, np.uint16) and min(image.pixels.shape) >= 32
    return None if good and image.orientation in range(1, 9) else f"came out as {image}"


def _wrong_sentence(said, path):
    whole = said.startswith(f"{path}: ") and said.endswith(".") and "\n" not in said and len(said) < 600
    return None if whole and "secret" not in said.lower() else f"said {said!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="files to read (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings (default: a temporary one)")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    report = fuzz(options.count, options.seed, folder, progress=True)
    for name in sorted(report.read | report.refused):
        print(f"{name:40s} {report.read[name]:7d} read {report.refused[name]:7d} refused")
    total, (seconds, slowest) = (report.read.total(), report.refused.total()), report.slowest
    print(f"{total[0]} read, {total[1]} refused, {report.lost} decoders lost")
    print(f"slowest {seconds:.1f} s ({slowest}), memory grown by {report.memory >> 20} MB")
    for finding in report.findings:
        print(f"finding: {finding}")
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()
