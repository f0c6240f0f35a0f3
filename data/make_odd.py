"""Write images that no one should classify, to see what classification/inference.py refuses.

    python data/make_odd.py odd --of data/normal            photographs, noise, abdomens; and copies of radiographs
    python segmentation/inference.py -i odd -o odd-pairs
    python classification/inference.py -i odd-pairs -o odd-predictions

Folders below the one given: photograph (those of scikit-image that need no download), noise (white, smooth, stripes,
1/f), blank, abdomen (drawn: spine, pelvis, gas), and of the radiographs turned (90 degrees), upside-down and inverted.
Lateral views are drawn by data/make_phantom.py --lateral N.
"""

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository root, so that imports are absolute

from cxr.run import opening  # isort: split

import cv2
import numpy as np
import skimage.data

from cxr import version, writing
from cxr.reading import radiograph

PHOTOGRAPHS = """astronaut brick camera cat cell clock coffee coins colorwheel grass gravel horse hubble_deep_field
immunohistochemistry microaneurysms moon page retina rocket text""".split()


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the folders go")
    parser.add_argument("--of", nargs="+", default=[], metavar="PATH", help="radiographs to turn and to invert")
    parser.add_argument("--count", type=int, default=100, metavar="N", help="of noise, and of abdomens (100)")
    parser.add_argument("--seed", type=int, default=407, help="of what is drawn (407)")
    version.add_flag(parser)
    options = parser.parse_args()
    if options.seed < 0 or options.count < 0:
        parser.error("--seed and --count take whole numbers from 0 on.")
    with opening.asked():
        files = radiograph.find(options.of)[0]
    rng = np.random.default_rng(options.seed)
    images = {("photograph", name): photograph(name) for name in PHOTOGRAPHS}
    images |= {("blank", name): np.full((400, 400), grey, np.uint8) for name, grey in (("black", 0), ("grey", 128))}
    images |= {("noise", f"noise-{i:03}"): noise(i % 4, rng) for i in range(options.count)}
    images |= {("abdomen", f"abdomen-{i:03}"): abdomen(rng) for i in range(options.count)}
    with opening.asked():
        for (kind, name), image in images.items():
            write(options.folder / kind / f"{name}.png", image)
        faults = [fault for file in files if (fault := turn(file, options.folder))]
    for fault in faults:
        print(f"failed: {fault}")
    count, place = len(images) + 3 * (len(files) - len(faults)), str(options.folder.absolute())
    following = shlex.join(["python", "segmentation/inference.py", "-i", place, "-o", f"{place}-pairs"])
    print(f"Wrote {count} images. Next: {following}")
    sys.exit(1 if faults else 0)


def turn(file: Path, folder: Path) -> str:
    """Write the copies of a radiograph, turned and inverted; why it cannot be read, "" if it can."""
    try:
        pixels = radiograph.read(file).pixels
    except radiograph.Unreadable as error:
        return str(error)
    copies = {"turned": np.rot90(pixels), "upside-down": np.rot90(pixels, 2)}
    copies["inverted"] = np.iinfo(pixels.dtype).max - pixels
    for kind, image in copies.items():
        write(folder / kind / f"{file.stem}.png", np.ascontiguousarray(image))
    return ""


def write(path: Path, image: np.ndarray) -> None:
    writing.data(path, cv2.imencode(".png", image)[1].tobytes())


def photograph(name: str) -> np.ndarray:
    """A photograph (H, W) or (H, W, 3) uint8, blue first."""
    image = getattr(skimage.data, name)()
    image = image.astype(np.uint8) * 255 if image.dtype == bool else image
    return cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2BGR) if image.ndim == 3 else image


def noise(kind: int, rng: np.random.Generator) -> np.ndarray:
    """White noise, smooth noise, stripes or 1/f noise (H, W) uint8."""
    height, width = rng.integers(256, 1024, 2)
    grey = rng.normal(size=(height, width))
    if kind == 1:
        grey = cv2.GaussianBlur(grey, (0, 0), 10 ** rng.uniform(0.3, 2))
    elif kind == 2:
        y, x = np.mgrid[:height, :width]
        angle, period = rng.uniform(0, np.pi), 10 ** rng.uniform(0.7, 2.7)
        grey = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 7)) + 0.1 * grey
    elif kind == 3:
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
        frequency[0, 0] = 1
        grey = np.fft.ifft2(np.fft.fft2(grey) / frequency ** rng.uniform(0.8, 2)).real
    return cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def abdomen(rng: np.random.Generator) -> np.ndarray:
    """Something like an abdomen (600, 500) uint8: a bright trunk with spine, pelvis, liver and dark gas."""
    y, x = np.mgrid[:600, :500] / 500.0
    middle = 0.5 + rng.normal(0, 0.02)
    grey = np.where(abs(x - middle) < 0.42 + 0.04 * np.cos(4 * y + rng.uniform(0, 6)), 130.0, 15.0)
    grey += 70 * (abs(x - middle) < 0.05) * (0.8 + 0.2 * np.sign(np.sin(60 * y)))
    grey += 25 * (((x - 0.25) / 0.22) ** 2 + ((y - 0.2) / 0.22) ** 2 < 1)
    for side in (-1, 1):  # wings of the pelvis, and the hips below
        ring = np.hypot((x - middle - 0.2 * side) / 0.17, (y - 0.95) / 0.2)
        grey += 55 * (ring < 1) + 30 * (abs(ring - 1) < 0.1)
        grey += 60 * (np.hypot(x - middle - 0.3 * side, y - 1.15) < 0.07)
    for _ in range(rng.integers(6, 20)):
        row, column = rng.uniform(0.3, 0.95), middle + rng.uniform(-0.35, 0.35)
        height, width = rng.uniform(0.02, 0.08, 2)
        grey -= 60 * (((x - column) / width) ** 2 + ((y - row) / height) ** 2 < 1)
    grey = cv2.GaussianBlur(grey, (0, 0), 4) + rng.normal(0, 4, grey.shape)
    return grey.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
