"""Fit the frontal gate, by which classification/inference.py refuses what is no frontal chest radiograph.

    python weights/make_frontal.py --pairs data/split/train --images DATA/JSRT --images DATA/kermany_extra --half

--pairs are pairs of radiographs, whose masks count too; of --images, radiographs without masks, the picture counts
alone. What is no radiograph is made of them (turned, inverted, cut copies, both lungs over each other) or drawn (noise,
stripes, boxes); no photograph and no lateral radiograph is trained on. Writes weights/frontal.safetensors and prints
how many of the radiographs left out (--half, --without) it would refuse by their picture alone.
"""

import argparse
import re
import sys
import zlib
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import cv2
import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from classification.cases import finder
from classification.voting import frontal
from classification.voting.frontal import SIDE
from cxr import pairs, preprocess, version
from cxr.errors import BadData
from cxr.reading import radiograph
from cxr.run import checksum

GAMMA = 0.5  # as segmentation/header.py has it
COMPONENTS = 40
UNUSUAL = 0.01  # of real radiographs, where each part of the score is 1
REFUSED = 0.005  # of real pairs, where the score is 1


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, action="append", required=True, metavar="FOLDER", help="pairs")
    parser.add_argument("--images", type=Path, action="append", default=[], metavar="FOLDER", help="radiographs")
    parser.add_argument("--half", action="store_true", help="leave out half of the patients of --images, by name")
    parser.add_argument("--without", default="", metavar="TEXT", help="leave out what has TEXT in its name")
    parser.add_argument("-o", "--output", type=Path, default=frontal.SHIPPED, metavar="FILE", help="the file to write")
    parser.add_argument("--seed", type=int, default=407, help="of what is drawn (default %(default)s)")
    version.add_flag(parser)
    options = parser.parse_args()
    with opening.asked():
        cases = finder.find(options.pairs).cases
        files = radiograph.find(options.images)[0] if options.images else []
        names = [*(case.case for case in cases), *(file.stem for file in files)]
        out = np.array([bool(options.without) and options.without in name for name in names], bool)
        out[len(cases) :] |= options.half & np.array([zlib.crc32(patient(f.stem).encode()) % 2 for f in files], bool)
        if (~out).sum() < COMPONENTS or not (~out[: len(cases)]).any():
            raise BadData(f"{(~out).sum()} radiographs to fit to; give {COMPONENTS} or more, some of them --pairs.")
        read = [frontal.thumbnails(*pairs.load(case.place, case.case), 2 * SIDE) for case in cases]
        pictures = np.array([*(picture for picture, _ in read), *map(picture_of, files)])
        lungs = np.array([smaller(lung) for _, lung in read])
    gate = fit(pictures[~out], lungs[~out[: len(lungs)]], np.flatnonzero(~out[: len(lungs)]).size, options.seed)
    held = {name: torch.from_numpy(np.ascontiguousarray(array, np.float32)) for name, array in gate._asdict().items()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    checksum.save(held, options.output, {"format": "pt"})
    print(f"Wrote {options.output}, fitted to {(~out).sum()} radiographs, {(~out[: len(lungs)]).sum()} of them pairs.")
    if out.any():
        none = np.zeros((out.sum(), SIDE, SIDE), np.float32)
        far = frontal.parts(gate, np.array([smaller(picture) for picture in pictures[out]]), none)[0]
        print(f"Of {out.sum()} left out, {(far > 1).sum()} are more unusual than 99 % of those by their picture alone.")


def patient(name: str) -> str:
    """person1_bacteria_2 and IM-0115-0001 without what numbers the images of a patient."""
    return re.split(r"_(?:bacteria|virus)_|-\d+$", name)[0]


def picture_of(file: Path) -> np.ndarray:
    """The thumbnail (2 SIDE, 2 SIDE) of a radiograph, as its pair would have it."""
    pixels = radiograph.read(file).pixels
    image = preprocess.preprocess(pixels, GAMMA, preprocess.content_box(pixels))
    return frontal.thumbnails(image, image, 2 * SIDE)[0]


def smaller(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(picture), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def fit(pictures: np.ndarray, lungs: np.ndarray, paired: int, seed: int) -> frontal.Gate:
    """The gate of pictures (N, 2 SIDE, 2 SIDE), the first `paired` of them with lungs (paired, SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    small = np.array([smaller(picture) for picture in pictures])
    real = frontal.standardise(small)
    pca = PCA(COMPONENTS, random_state=seed).fit(real)
    basis = pca.mean_, pca.components_, np.sqrt(pca.explained_variance_)
    other = frontal.standardise(np.concatenate([turned(small), drawn(3000, rng), cut(pictures, 3000, rng)]))
    seen = frontal.features(np.concatenate([real, other]), *basis)
    scaler = StandardScaler().fit(seen)
    truth = np.arange(len(seen)) < len(real)
    weight = LogisticRegression(C=0.05, max_iter=2000).fit(scaler.transform(seen), truth).coef_[0] / scaler.scale_
    logit = seen[: len(real)] @ weight
    masks = LedoitWolf().fit(frontal.shape(lungs))
    far = np.quantile(np.sqrt(masks.mahalanobis(frontal.shape(lungs))), 1 - UNUSUAL)
    known = frontal.Gate(
        *basis, weight, np.quantile(logit, [0.5, UNUSUAL]), masks.location_, masks.precision_ / far**2, np.ones(1)
    )
    both = sum(frontal.parts(known, small[:paired], lungs))
    return known._replace(limit=np.quantile(both, [1 - REFUSED]))


def turned(small: np.ndarray) -> np.ndarray:
    """Radiographs by 90, 180 and 270 degrees, and all of them and the upright ones inverted."""
    aside = [np.rot90(small, k, (1, 2)) for k in (1, 2, 3)]
    return np.concatenate([*aside, 255 - small, *(255 - one for one in aside)])


def cut(pictures: np.ndarray, count: int, rng) -> np.ndarray:
    """Parts of radiographs (any corner, one side), and their sides over each other as in a lateral view."""
    found = []
    size = pictures.shape[1]
    for number in range(count):
        picture = pictures[rng.integers(len(pictures))]
        if number % 2:
            side = int(size * rng.uniform(0.25, 0.6))
            top, left = rng.integers(size + 1 - side, size=2)
            found.append(np.rot90(smaller(picture[top : top + side, left : left + side]), rng.integers(4)))
            continue
        picture = picture[:, :: rng.choice([-1, 1])]
        middle = int(size * rng.uniform(0.4, 0.6))
        near, far = smaller(picture[:, :middle]), smaller(picture[:, middle:])
        found.append(near + rng.choice([0, 0.5, 1]) * far[:, :: rng.choice([-1, 1])])
    return equalised(found)


def drawn(count: int, rng) -> np.ndarray:
    """Noise of any smoothness, stripes, boxes and ellipses."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1 / SIDE
    found = []
    for number in range(count):
        noise = rng.normal(size=(SIDE, SIDE))
        if number % 4 == 0:
            noise = cv2.GaussianBlur(noise, (0, 0), 10 ** rng.uniform(-0.7, 1))
        elif number % 4 == 1:
            noise = np.fft.ifft2(np.fft.fft2(noise) / frequency ** rng.uniform(0.3, 2.5)).real
        elif number % 4 == 2:
            angle, waves = rng.uniform(0, np.pi), 10 ** rng.uniform(-0.5, 1)
            phase = 2 * np.pi * (waves * (x * np.cos(angle) + y * np.sin(angle)) + rng.random())
            noise = np.sin(phase) + 0.1 * noise
        else:
            noise = 0.05 * noise
            for _ in range(rng.integers(1, 5)):
                row, column, height, width = rng.uniform(0.05, 1, 4)
                box = np.maximum(abs(y - row) / height, abs(x - column) / width) < 0.5
                ellipse = ((y - row) / height) ** 2 + ((x - column) / width) ** 2 < 0.25
                noise = noise + rng.normal() * (box if rng.random() < 0.5 else ellipse)
        found.append(noise)
    return equalised(found)


def equalised(found: list) -> np.ndarray:
    """Grey 0..255 by rank, with the gamma of preprocessing."""
    flat = np.array(found).reshape(len(found), -1)
    ranks = flat.argsort(1).argsort(1) / (flat.shape[1] - 1)
    return (255 * ranks**GAMMA).reshape(-1, SIDE, SIDE).astype(np.float32)


if __name__ == "__main__":
    main()
