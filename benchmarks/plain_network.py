"""FC-DenseNet103 as plainly as it can be written: what the benchmarks time the project's network against.

Functions of a state dict with the names of segmentation/fcdensenet.py. Every layer concatenates all that it sees anew,
channels come first, every number is float32 (Jegou et al. 2017, arXiv 1611.09326; Oh et al. 2020, section II).
"""

import torch
import torch.nn.functional as F

DOWN, BOTTOM = (4, 5, 7, 10, 12), 15
DROPOUT = 0.2


def read(path, trainable: bool = False) -> dict[str, torch.Tensor]:
    """The state of a checkpoint, with gradients to be had of its parameters if `trainable`."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if trainable:
        for name, value in state.items():
            value.requires_grad_("running" not in name and value.is_floating_point())
    return state


def forward(state: dict, x: torch.Tensor, training: bool = False) -> torch.Tensor:
    """(N, 1, H, W) grey 0..255 -> (N, 4, H, W) log-probabilities."""
    x = _convolve(state, "firstconv", x, 1)
    skips = []
    for i, layers in enumerate(DOWN):
        x, _ = _dense(state, f"denseBlocksDown.{i}", x, layers, training)
        skips.append(x)
        x = _norm_relu(state, f"transDownBlocks.{i}.norm", x, training)
        x = _convolve(state, f"transDownBlocks.{i}.conv", x, 0)
        x = F.max_pool2d(F.dropout2d(x, DROPOUT, training), 2)
    _, new = _dense(state, "bottleneck.bottleneck", x, BOTTOM, training)
    for i, layers in enumerate(reversed(DOWN)):
        skip, name = skips.pop(), f"transUpBlocks.{i}.convTrans"
        up = F.conv_transpose2d(new, state[f"{name}.weight"], state[f"{name}.bias"], stride=2)
        height, width = skip.shape[2:]
        top, left = (up.shape[2] - height) // 2, (up.shape[3] - width) // 2
        x = torch.cat([up[:, :, top : top + height, left : left + width], skip], 1)
        x, new = _dense(state, f"denseBlocksUp.{i}", x, layers, training)
    return F.log_softmax(_convolve(state, "finalConv", x, 0), 1)


def _dense(state, name, x, layers, training):
    """The input of a dense block with its new features, and these alone."""
    new = []
    for i in range(layers):
        y = _norm_relu(state, f"{name}.layers.{i}.norm", torch.cat([x, *new], 1), training)
        new.append(F.dropout2d(_convolve(state, f"{name}.layers.{i}.conv", y, 1), DROPOUT, training))
    return torch.cat([x, *new], 1), torch.cat(new, 1)


def _norm_relu(state, name, x, training):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.relu(F.batch_norm(x, *parts, training))


def _convolve(state, name, x, padding):
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)
