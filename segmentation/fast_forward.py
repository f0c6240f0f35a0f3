"""FC-DenseNet's forward pass for inference, without the copies of fcdensenet.py.

A dense block there concatenates all its features anew for every layer. Here its features have one place in memory,
to which each layer adds its own, and channels lie last, as the CPU's and the GPU's convolutions want them. In inference
BN is a scale and a shift; the ReLU between it and the convolution keeps them from being folded into the weights. Same
results but for rounding; for weights that no longer change.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cxr.run import backends, engine
from segmentation.fcdensenet import DenseBlock, FCDenseNet


def prepare(model: FCDenseNet, settings, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The forward pass of a network in evaluation mode, on the device and by the backend of the settings:
    (N, channels, H, W) -> (N, classes, H, W) log-probabilities. Raises ValueError, as backends.NoBackend, with the
    remedy."""
    engine.check_compile(settings.compile)
    model.to(device)
    if settings.backend == "openvino":
        if settings.compile:
            raise backends.NoBackend(
                f"compile={settings.compile} is for backend=torch; openvino compiles by itself: give one of the two."
            )
        example = torch.zeros(1, model.firstconv.in_channels, settings.resize_height, settings.resize_width)
        return backends.openvino(model, example, settings.precision, device)
    if settings.backend != "torch":
        raise backends.NoBackend(f"backend={settings.backend!r} is unknown; it is {' or '.join(backends.BACKENDS)}.")
    forward = forward_of(model)
    return torch.compile(forward, backend=settings.compile) if settings.compile else forward


def forward_of(model: FCDenseNet) -> Callable[[Tensor], Tensor]:
    """prepare() by torch, for a network where it is. Its weights come to lie channels last."""
    model.to(memory_format=torch.channels_last)
    affine = {norm: _affine(norm) for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)}
    return lambda x: _forward(model, affine, x)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift (1, C, 1, 1) that are the same as a normalisation by its running statistics."""
    # On the CPU, since not every device knows 64 bits.
    kept = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    weight, bias, mean, var = (values.detach().cpu().double() for values in kept)
    scale = weight / (var + norm.eps).sqrt()
    shift = bias - mean * scale
    return tuple(values.float().to(norm.weight.device)[None, :, None, None] for values in (scale, shift))


def _forward(model: FCDenseNet, affine: dict, x: Tensor) -> Tensor:
    x = model.firstconv(x.contiguous(memory_format=torch.channels_last))
    skips = []
    for block, down in zip(model.denseBlocksDown, model.transDownBlocks, strict=True):
        features = _room(x, x.shape[1], block)
        features[:, : x.shape[1]] = x
        _fill(block, affine, features)
        skips.append(features)
        x = F.max_pool2d(down.conv(_norm_relu(down.norm, affine, features)), 2)
    block = model.bottleneck.bottleneck
    features = _room(x, x.shape[1], block)
    features[:, : x.shape[1]] = x
    _fill(block, affine, features)
    x = features[:, x.shape[1] :]
    for up, block in zip(model.transUpBlocks, model.denseBlocksUp, strict=True):
        skip = skips.pop()
        height, width = skip.shape[-2:]
        large = up.convTrans(x.contiguous(memory_format=torch.channels_last))
        top, left = (large.shape[-2] - height) // 2, (large.shape[-1] - width) // 2
        new = large.shape[1]
        features = _room(skip, new + skip.shape[1], block)
        features[:, :new] = large[..., top : top + height, left : left + width]
        features[:, new : new + skip.shape[1]] = skip
        _fill(block, affine, features)
        x = features if block.keep_input else features[:, new + skip.shape[1] :]
    return F.log_softmax(model.finalConv(x), 1)


def _room(like: Tensor, channels: int, block: DenseBlock) -> Tensor:
    """Memory for the input of a block, so many channels, and for what its layers add."""
    channels += sum(layer.conv.out_channels for layer in block.layers)
    size = (like.shape[0], channels, *like.shape[-2:])
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _fill(block: DenseBlock, affine: dict, features: Tensor) -> None:
    """Let each layer write its features behind those it sees."""
    end = block.layers[0].conv.in_channels
    for layer in block.layers:
        new = layer.conv(_norm_relu(layer.norm, affine, features[:, :end]))
        features[:, end : end + new.shape[1]] = new
        end += new.shape[1]


def _norm_relu(norm: nn.BatchNorm2d, affine: dict, x: Tensor) -> Tensor:
    scale, shift = (values.to(x.dtype) for values in affine[norm])
    return torch.addcmul(shift, x, scale).relu_()
