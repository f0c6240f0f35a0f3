"""From a weights file to a network that segments: our checkpoints, the official code's, and safetensors."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from cxr import pairs
from cxr.errors import BadRun
from cxr.labels import HEART, LEFT, RIGHT
from cxr.run import caselist, checksum, engine, entries
from cxr.settings import config
from segmentation import class_factors, fcdensenet

_OF_TRAINING = ("gamma", "equalise", "crop_border", "resize_height", "resize_width", "decision", "split_seed")
# The least that each makes sense with; five halvings leave one feature of 32 pixels
_LEAST = {
    "resize_height": 32,
    "resize_width": 32,
    "num_batch_test": 1,
    "num_batch_train": 1,
    "epoch_max": 1,
    "num_train": 0,
    "num_workers": 0,
}
SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "segmentation.safetensors"  # JSRT: for measuring
WIDE = SHIPPED.with_name("segmentation-wide.safetensors")  # JSRT and Montgomery: for radiographs from anywhere


def check(settings) -> None:
    """Raise BadRun with the remedy for settings that no mask could follow from."""
    class_factors.check(settings.decision)
    for name, least in _LEAST.items():
        if getattr(settings, name) < least:
            raise BadRun(f"{name}={getattr(settings, name)} is too small; give {least} or more.")
    if not settings.gamma > 0:
        raise BadRun(f"gamma={settings.gamma} must be above 0; the published value is 0.5.")
    if settings.image_dtype not in pairs.DTYPES:
        raise BadRun(f"image_dtype={settings.image_dtype!r} is unknown; it is {' or '.join(pairs.DTYPES)}.")


def find_weights(settings, shipped: Path = SHIPPED) -> tuple[Path, str]:
    """The weights file to segment with, and a few words on which it is, as engine.find_weights() chooses it.

    shipped: the file that ships to take where there is no other: WIDE for users' folders.
    """
    weights, which = engine.find_weights(settings, shipped, "segmentation/train.py")
    if not isinstance(weights, Path):
        raise BadRun(f"a segmentation takes the weights of one network, not {len(weights)}; name one in file_weights.")
    return weights, which


def read(path: Path) -> tuple[str, dict, dict]:
    """What a weights file holds: the network's name, its state in float32, and the settings it was trained with as
    far as the file says.

    Reads a checkpoint of ours (best.pt, last.pt), of the official code ({'model_state_dict': ...}), a bare state dict,
    or safetensors. Raises ValueError with the file's name.
    """
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}
                told = file.metadata() or {}
            checksum.check(path, state, told)
            saved = {"model": state, "settings": json.loads(told.get("settings", "{}"))}
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} cannot be read as safetensors: {error}.") from error
    else:
        saved = engine.load(path)
    state = entries.weights(saved, ("averaged", "model", "model_state_dict"), path, "FC-DenseNet")
    if "firstconv.weight" not in state:
        raise ValueError(f"{path} holds no FC-DenseNet: there is no firstconv.weight in it.")
    entries.check(saved, {"settings": {str: object}, "start": caselist.START}, path)
    trained = (saved.get("settings") or {}) | ({"decision": saved["decision"]} if "decision" in saved else {})
    return _name(state, path), entries.single(state), trained


def _name(state: dict, path: Path) -> str:
    """Which member of the family a state belongs to, by the layers of its blocks and its growth rate."""
    growth = _made(state, "denseBlocksDown.0.layers.0.conv.weight")
    for name, (blocks, bottleneck, rate) in fcdensenet.VARIANTS.items():
        deepest = f"bottleneck.bottleneck.layers.{bottleneck - 1}.conv.weight"
        beyond = f"bottleneck.bottleneck.layers.{bottleneck}.conv.weight"
        first = f"denseBlocksDown.0.layers.{blocks[0]}.conv.weight"
        if growth == rate and deepest in state and beyond not in state and first not in state:
            return name
    raise ValueError(f"{path} holds an FC-DenseNet of unknown size; known are {', '.join(fcdensenet.VARIANTS)}.")


def _made(state: dict, name: str) -> int:
    """How many features a convolution makes, by its weights; 0 where there are none."""
    return state[name].shape[0] if name in state and state[name].ndim == 4 else 0


def fill(model: nn.Module, name: str, state: dict, path: Path) -> None:
    """Load a state into the network called `name`. Raises ValueError if it does not fit."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit {name}: {str(error).splitlines()[-1].strip()}.") from error


def open_network(path: Path, settings):
    """The network of a weights file, in evaluation mode, the settings to use it with, and notes for the user.

    A network sees well only what it was trained on. Therefore its preprocessing is that of its training, if the file
    tells it, whatever header.py says; what is typed on the command line still counts. Raises ValueError.
    """
    name, state, trained = read(path)
    classes = _made(state, "finalConv.weight")
    if classes != 4:
        raise ValueError(f"{path} knows {classes} classes, not four: background, heart, left and right lung.")
    model = fcdensenet.build(name)
    fill(model, name, state, path)
    trained = entries.settings(trained, _OF_TRAINING, settings, path)
    used = config.unless_typed(settings, trained)
    check(used)
    notes = []
    for name, value in trained.items():
        if getattr(used, name) != value:
            notes.append(f"{name}={getattr(used, name)!r} as typed, though these weights were trained with {value!r}")
        elif getattr(settings, name) != value:
            notes.append(f"{name}={value!r} as in the training of these weights, not {getattr(settings, name)!r}")
    return model.eval(), used, notes


@torch.inference_mode()
def probabilities(model: nn.Module, images: torch.Tensor, mirror: bool = False, factors=(1, 1, 1, 1)) -> torch.Tensor:
    """(N, 1, H, W) grey 0..255 -> (N, classes, H, W) float32. With `mirror`, the mean with the prediction of the
    mirror image, in which the lungs change places. The factors are those of class_factors.py."""
    result = model(images).float().exp()
    if mirror:
        swapped = model(images.flip(-1)).float().exp().flip(-1)
        result = (result + swapped[:, [0, HEART, RIGHT, LEFT]]) / 2
    return class_factors.apply(result, factors)
