"""The networks that classify patches: torchvision's with a new last layer, their input and parts."""

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from classification.model import lite

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
    return 0 if last is None or not last.ndim else len(last)
