"""FC-DenseNet, the network of stage 1 (Jegou et al. 2017, "The One Hundred Layers Tiramisu", arXiv 1611.09326).

A plain module that knows nothing of settings. Submodules bear the names that the official code of Oh, Park & Ye
uses, so that checkpoints trained with it load as they are (`load_official`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# name -> layers of each dense block going down, layers of the bottleneck, growth rate (table 2 of the paper)
VARIANTS = {
    "fcdensenet103": ((4, 5, 7, 10, 12), 15, 16),
    "fcdensenet67": ((5, 5, 5, 5, 5), 5, 16),
    "fcdensenet56": ((4, 4, 4, 4, 4), 4, 12),
}


class DenseLayer(nn.Module):
    """BN, ReLU, 3x3 convolution, channel-wise dropout: (N, C, H, W) -> (N, growth, H, W)."""

    def __init__(self, channels: int, growth: int, dropout: float):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1)
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.conv(F.relu(self.norm(x))))


class DenseBlock(nn.Module):
    """Layers that each see the input and everything before them. Returns the new features, with the input in front
    if `keep_input`."""

    def __init__(self, channels: int, growth: int, layers: int, dropout: float, keep_input: bool):
        super().__init__()
        self.keep_input = keep_input
        self.layers = nn.ModuleList(DenseLayer(channels + i * growth, growth, dropout) for i in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features if self.keep_input else features[1:], 1)


class TransitionDown(nn.Module):
    """BN, ReLU, 1x1 convolution, dropout, 2x2 max-pool: halves height and width."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 1)
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.drop(self.conv(F.relu(self.norm(x)))), 2)


class TransitionUp(nn.Module):
    """3x3 transposed convolution of stride 2, cropped to the skip connection and concatenated with it."""

    def __init__(self, channels: int):
        super().__init__()
        self.convTrans = nn.ConvTranspose2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        up = self.convTrans(x)
        height, width = skip.shape[-2:]
        top, left = (up.shape[-2] - height) // 2, (up.shape[-1] - width) // 2
        return torch.cat([up[..., top : top + height, left : left + width], skip], 1)


class Bottleneck(nn.Module):
    """The block of lowest resolution; passes on its new features only. A level of its own only for the names."""

    def __init__(self, channels: int, growth: int, layers: int, dropout: float):
        super().__init__()
        self.bottleneck = DenseBlock(channels, growth, layers, dropout, keep_input=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.bottleneck(x)


class FCDenseNet(nn.Module):
    """(N, channels_in, H, W) -> (N, classes, H, W) log-probabilities; H and W at least 32."""

    def __init__(
        self,
        blocks: tuple[int, ...],
        bottleneck: int,
        growth: int,
        channels_in: int = 1,
        classes: int = 4,
        first: int = 48,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.firstconv = nn.Conv2d(channels_in, first, 3, padding=1)
        self.denseBlocksDown, self.transDownBlocks = nn.ModuleList(), nn.ModuleList()
        channels, skips = first, []
        for layers in blocks:
            self.denseBlocksDown.append(DenseBlock(channels, growth, layers, dropout, keep_input=True))
            channels += layers * growth
            skips.append(channels)
            self.transDownBlocks.append(TransitionDown(channels, dropout))

        self.bottleneck = Bottleneck(channels, growth, bottleneck, dropout)
        new = bottleneck * growth
        self.transUpBlocks, self.denseBlocksUp = nn.ModuleList(), nn.ModuleList()
        for i, layers in reversed(list(enumerate(blocks))):
            self.transUpBlocks.append(TransitionUp(new))
            # Only the last block keeps its input: the others pass on what is new, or the width would explode.
            self.denseBlocksUp.append(DenseBlock(new + skips[i], growth, layers, dropout, keep_input=i == 0))
            channels = new + skips[i] + layers * growth
            new = layers * growth
        self.finalConv = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.firstconv(x)
        skips = []
        for block, down in zip(self.denseBlocksDown, self.transDownBlocks, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        for up, block in zip(self.transUpBlocks, self.denseBlocksUp, strict=True):
            x = block(up(x, skips.pop()))
        return F.log_softmax(self.finalConv(x), 1)


def build(name: str, channels_in: int = 1, classes: int = 4, dropout: float = 0.2) -> FCDenseNet:
    """The network called `name` (a key of VARIANTS). Raises ValueError for another name."""
    if name not in VARIANTS:
        raise ValueError(f"there is no network {name!r}; choose one of {', '.join(VARIANTS)}")
    return FCDenseNet(*VARIANTS[name], channels_in=channels_in, classes=classes, dropout=dropout)
