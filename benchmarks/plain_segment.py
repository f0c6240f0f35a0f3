"""Stage 1 as published, as plainly as it can be written: files in, pairs out, one at a time.

    python -m benchmarks.plain_segment FILE... --weights segmentation.pt --size 256 -o FOLDER

Read, equalise, gamma, resize (bicubic, PIL), FC-DenseNet103, argmax, back to the radiograph's size by nearest
neighbour, save the pair. The log-probabilities are saved too, so that the project's can be compared with them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import plain_network

GAMMA = 0.5
JSRT_SIDE, JSRT_WHITE = 2048, 4095


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    state = plain_network.read(args.weights)
    args.output.mkdir(parents=True, exist_ok=True)
    for file in args.files:
        image = equalise(read(file))
        with torch.no_grad():
            answer = plain_network.forward(state, shrink(image, args.size)).numpy()[0]
        labels = Image.fromarray(answer.argmax(0).astype(np.uint8))
        labels = np.asarray(labels.resize(image.shape[::-1], Image.NEAREST))
        np.save(args.output / f"{file.stem}.image.npy", image.astype(np.float32))
        np.save(args.output / f"{file.stem}.mask.npy", (labels >= 2).astype(np.uint8))
        np.save(args.output / f"{file.stem}.answer.npy", answer)


def read(path: Path) -> np.ndarray:
    """(H, W) grey of a JSRT .IMG, turned so that bone is bright, or of any picture that PIL reads."""
    if path.suffix.lower() == ".img":
        return JSRT_WHITE - np.fromfile(path, ">u2").reshape(JSRT_SIDE, JSRT_SIDE).astype(np.uint16)
    image = Image.open(path)
    return np.asarray(image if image.mode.startswith("I") else image.convert("L"))


def equalise(pixels: np.ndarray) -> np.ndarray:
    """255 * cdf ** gamma over the image's own grey levels: (H, W) integers -> (H, W) float."""
    image = pixels.astype(float)
    low, high = int(image.min()), int(image.max())
    counts, _ = np.histogram(image.flatten(), high - low + 1, [low, high + 1])
    cumulative = counts.cumsum()
    cdf = (cumulative - cumulative[0]) / (image.size - cumulative[0])
    equalised = np.interp(image.flatten(), np.arange(low, high + 1), cdf).reshape(image.shape)
    return 255 * equalised**GAMMA


def shrink(image: np.ndarray, size: int) -> torch.Tensor:
    """What the network sees: (1, 1, size, size) float32, 0..255."""
    small = Image.fromarray(image.astype(np.float32)).resize((size, size), Image.BICUBIC)
    return torch.from_numpy(np.asarray(small).clip(0, 255))[None, None]


if __name__ == "__main__":
    main()
