"""The files and weights that both sides of a benchmark work on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from classification.model import backbone, weightfile
from cxr import pairs, resize
from cxr.reading import radiograph
from cxr.run import engine
from segmentation import weights

ROOT = Path(__file__).resolve().parents[1]
SEGMENTATION = ROOT / "weights" / "segmentation.safetensors"
CASE = "case"


def radiographs(folder: Path | None, work: Path, count: int, size: int) -> list[Path]:
    """The first `count` radiographs of a folder, or, without one, of a phantom of side `size`, drawn if need be."""
    if folder is None:
        folder = work / f"phantom-{size}-{count}"
        if len(list((folder / "JSRT").glob("*"))) != count:
            words = f"--jsrt {count} --per-class 0 --size {size} -o".split()
            subprocess.run([sys.executable, ROOT / "data" / "make_phantom.py", *words, folder], check=True)
        folder = folder / "JSRT"
    found = radiograph.find([folder])[0][:count]
    if not found:
        raise ValueError(f"{folder} holds no radiograph; name a folder with some.")
    if len({file.stem for file in found}) < len(found):
        raise ValueError(f"{folder} holds files of the same name; give a folder in which each name comes once.")
    return found


def segmentation_weights(file: Path | None, work: Path) -> Path:
    """Weights of an FC-DenseNet103, by default those that ship, as the plain state dict that both sides read."""
    name, state, _ = weights.read(file or SEGMENTATION)
    if name != "fcdensenet103":
        raise ValueError(f"{file} holds {name}; the benchmarks are of fcdensenet103.")
    return _written(state, work / "segmentation.pt")


def classifier_weights(file: Path | None, work: Path) -> tuple[Path, str, str]:
    """A classifier's checkpoint, its name and input_scaling. Without a file: a ResNet-18 with random weights, its
    normalisations as some noise left them and its logits spread, so that votes differ."""
    path = work / "classifier.pt"
    if file:
        name, state, saved = weightfile.read(file)
        names = saved["classes"] or [f"class {i}" for i in range(backbone.count_classes(name, state))]
        return _written({"model": state, **saved, "classes": names}, path), name, saved["input_scaling"]
    engine.seed_torch(407, "benchmark")
    model = backbone.build("resnet18", 4)
    with torch.no_grad():
        model(torch.randn(8, 3, 96, 96))
        model.fc.weight *= 10
    told = {"settings": {}, "classes": list("abcd"), "folders": None, "input_scaling": "imagenet"}
    return _written({"model": model.state_dict(), **told}, path), "resnet18", "imagenet"


def pair(file: Path, work: Path, side: int) -> Path:
    """The folder of a pair of side x side pixels, made of a radiograph. Its lungs are two ellipses: what is measured
    does not ask where lungs are."""
    image = radiograph.preprocess(radiograph.read(file).pixels)
    image = resize.resize(torch.from_numpy(image)[None], side, side)[0].clamp(0, 255).numpy()
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    lungs = [((rows - 0.48) / 0.33) ** 2 + ((columns - middle) / 0.15) ** 2 < 1 for middle in (0.3, 0.7)]
    pairs.save(work / "pair", CASE, image, lungs[0] | lungs[1])
    return work / "pair"


def _written(state: dict, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path
