"""Probabilistic Grad-CAM: which pixels speak for a class, over all the patches that voted on an image.

Y. Oh, S. Park, J. C. Ye, IEEE TMI 39(8):2688-2700, 2020: for class c, pixel x and the K(x) patches that cover x,

    S_c(x) = 1 / K(x) * sum over patches k covering x of  p_c(k) * CAM_c(k)(x)

with p_c(k) the softmax probability of patch k and CAM_c(k) the ReLU of its last features weighted by the gradient of
the class's logit (Grad-CAM: Selvaraju et al., ICCV 2017, eq. 1 and 2). Patch maps are never scaled to 0..1 one by one,
which would let a patch without evidence weigh as much as a strong one. The values are parts of the logit: where the
network ends in global pooling and one linear layer, those of a patch sum to the logit less its bias, but for the ReLU.

A map covers whole patches, and so also what lies outside the lung: a feature there has seen lung nearby. It is left in,
so that a map which leaves the lung can be seen to do so. What no patch covers is zero.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from classification.model import backbone, ensemble
from classification.patches import patch
from classification.voting import predict

METHODS = ("gradcam", "hirescam")


def explain(model, image, lung, settings, case: str, device, targets, method: str = "gradcam"):
    """The maps of some classes of one case, over the very patches that predict.py lets vote on it.

    image (side, side) uint8 masked and lung (side, side) uint8, of dataset.prepare(); targets: indices of classes.
    Returns maps (T, side, side) float32, coverage (side, side) float32 (how many patches cover a pixel), and the
    probabilities (K, classes) float32 of the patches. Raises ValueError for an unknown method.

    Of an ensemble: the mean of its members' maps, which is the formula over the patches of all, and their
    probabilities, one network's after the other's.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown; it is {' or '.join(METHODS)}.")
    asked = ensemble.members(model, settings)
    each = [_explain(one, image, lung, own, case, device, targets, method) for one, own in asked]
    maps, counts, p = zip(*each, strict=True)
    return np.mean(maps, 0), counts[0], np.concatenate(p)


def _explain(model, image, lung, settings, case: str, device, targets, method: str):
    """explain() of one network."""
    if settings.approach == "dense":
        return _explain_windows(model, image, lung, settings, device, targets)
    p, maps, places = patch_maps(model, image, lung, settings, case, device, targets, method)
    found, counts = combine(maps, p[:, targets], places, settings.patch_size, len(image), backbone.lattice(model))
    return found.cpu().numpy(), counts.cpu().numpy(), p.cpu().numpy()


def patch_maps(model, image, lung, settings, case: str, device, targets, method: str = "gradcam"):
    """What explain() combines, on the device: the patches' probabilities (K, classes), their maps (K, T, h, w) on the
    features' grid, and where they are centred (K, 2)."""
    places = torch.as_tensor(predict.places(lung, settings, case), device=device)
    pixels = torch.as_tensor(image, device=device)[None]
    p, maps = [], []
    for some in places.split(settings.num_batch_test):
        cut = patch.cut(pixels, torch.zeros(len(some), dtype=torch.long), some, settings.patch_size)
        logits, small = class_maps(model, backbone.scale(cut, settings.input_scaling), targets, method)
        p.append(logits.float().softmax(1))
        maps.append(small.float())
    return torch.cat(p), torch.cat(maps), places


def combine(maps: torch.Tensor, p: torch.Tensor, places: torch.Tensor, size: int, side: int, lattice):
    """The formula: maps (K, T, h, w) of patches about places (K, 2), and their p (K, T) of the same classes, become
    S (T, side, side); with it the coverage (side, side). The arguments are those of spread()."""
    counts = cover(places, size, side)
    return average(spread(maps * p[..., None, None], places, size, side, lattice), counts), counts


@torch.no_grad()
def _explain_windows(model, image, lung, settings, device, targets):
    """explain() for the dense approach, exact on the features' grid: windows share their features, so that the mean
    over the windows which hold a feature is its activation times the mean of their probabilities."""
    side = len(image)
    pixels, inside = (torch.as_tensor(array, device=device)[None] for array in (image, lung))
    x = backbone.scale(pixels[:, None].float(), settings.input_scaling)
    logits, _, centres = predict.windows(model, x, inside, settings.patch_size)
    p = logits.float().softmax(1)
    features = backbone.features(model, x)
    grid = features.shape[-2:]
    width = 2 * round((settings.patch_size * grid[0] / side - 1) / 2) + 1  # as predict.windows() has it
    voted = torch.zeros(1 + len(targets), *grid, device=device)  # a window each: 1, and its probabilities
    row, column = (centres[:, i] * grid[i] // side for i in (0, 1))
    voted[:, row, column] = torch.cat([torch.ones_like(p[:, :1]), p[:, targets]], 1).T
    held = F.avg_pool2d(voted, width, 1, width // 2, divisor_override=1)  # sums over the windows that hold a feature
    activation = F.relu(_weighted(backbone.head(model), features, targets, width**2)).float()
    # The features' grid spans the image as one patch of its size would.
    maps = torch.cat([held[:1], activation[0] * average(held[1:], held[:1])])[None]
    middle = torch.full((1, 2), side // 2, device=device)
    counts, *maps = spread(maps, middle, side, side, backbone.lattice(model))
    return torch.stack(maps).cpu().numpy(), counts.cpu().numpy(), p.cpu().numpy()


def class_maps(model: nn.Module, x: torch.Tensor, targets, method: str = "gradcam"):
    """The class activation maps of network inputs: logits (N, classes) and maps (N, T, h, w), on the features' grid.

    x (N, 3, H, W). Where the network ends in global average pooling and one linear layer, the gradient of logit c by
    feature (j, position) is the layer's weight (c, j) over the number of positions, everywhere: no backward pass, and
    HiResCAM is the same as Grad-CAM. Other networks are asked by gradient_maps().
    """
    linear = backbone.head(model)
    if linear is None:
        return gradient_maps(model, x, targets, method)
    with torch.no_grad():
        features = backbone.features(model, x)
        return linear(features.mean((2, 3))), F.relu(_weighted(linear, features, targets))


def gradient_maps(model: nn.Module, x: torch.Tensor, targets, method: str = "gradcam"):
    """class_maps() for any backbone, by one backward pass a class through what follows its last features.

    gradcam   gradients averaged over the positions, times the features (Selvaraju et al. 2017, eq. 1 and 2)
    hirescam  gradients times the features at each position (Draelos and Carin, arXiv 2011.08891), and ReLU here too
    """
    kept = []

    def keep(module, args, output):
        # The trunk runs without a graph; it begins here. DenseNet's last ReLU changes this very tensor afterwards, so
        # that the gradient is that of the features behind the ReLU.
        torch.set_grad_enabled(True)
        kept.append(output.detach().requires_grad_().clone())
        return kept[-1]

    handle = backbone.last_layer(model).register_forward_hook(keep)
    try:
        # no_grad() restores the caller's mode, whatever the hook sets; a compiled network would pass the hook by.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            logits = model(x)
            maps = []
            for i, target in enumerate(targets):  # a patch's logit depends on its own features only: sums separate
                (slope,) = torch.autograd.grad(logits[:, target].sum(), kept[0], retain_graph=i + 1 < len(targets))
                slope = slope.mean((2, 3), keepdim=True) if method == "gradcam" else slope
                maps.append((slope * kept[0].detach()).sum(1))
    finally:
        handle.remove()
    return logits.detach(), F.relu(torch.stack(maps, 1))


def spread(maps: torch.Tensor, places: torch.Tensor, size: int, side: int, lattice) -> torch.Tensor:
    """Sum of patch maps (K, T, h, w), each enlarged to its patch and put to its place: (T, side, side).

    places (K, 2) centres as patch.cut() takes them; lattice: pixels between features, and the pixel of the patch
    that the first feature looks at. Bilinear between features, constant beyond the outermost; what lies outside the
    image is dropped. Both steps are linear and separable: the map of a patch is R^T M C, with R (h, side) and C
    (w, side) the shares of every feature in the rows and columns of the image, and the sum is one product of matrices.
    """
    rows = _shares(maps.shape[2], places[:, 0], size, side, lattice)
    columns = _shares(maps.shape[3], places[:, 1], size, side, lattice)
    with torch.autocast(maps.device.type, enabled=False):  # whatever the network computes with
        across = torch.einsum("kthw,kwx->tkhx", maps.float(), columns).flatten(1, 2)
        return rows.flatten(0, 1).T @ across


def cover(places: torch.Tensor, size: int, side: int) -> torch.Tensor:
    """How many patches cover each pixel: (side, side) float32, whole numbers."""
    rows, columns = (_inside(places[:, i], size, side).float() for i in (0, 1))
    with torch.autocast(places.device.type, enabled=False):
        return rows.T @ columns


def average(total: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Sums over the patches of a pixel -> means; zero where there is none."""
    return torch.where(counts > 0, total / counts.clamp(min=1), torch.zeros_like(total))


def to_grid(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Maps (T, side, side) float32 on the image's own grid: (T, H, W), bilinear, antialiased where it shrinks."""
    found = F.interpolate(torch.from_numpy(maps)[None], shape, mode="bilinear", antialias=True, align_corners=False)
    return found[0].clamp(min=0).numpy()


def _weighted(linear: nn.Linear, features: torch.Tensor, targets, positions: int | None = None) -> torch.Tensor:
    weight = linear.weight.detach()[list(targets)] / (positions or features[0, 0].numel())
    return torch.einsum("tj,njhw->nthw", weight.to(features.dtype), features)


def _inside(centres: torch.Tensor, size: int, side: int) -> torch.Tensor:
    """Which rows (or columns) of the image a patch covers: (K, side) boolean."""
    away = torch.arange(side, device=centres.device) - (centres[:, None] - size // 2)
    return (away >= 0) & (away < size)


def _shares(number: int, centres: torch.Tensor, size: int, side: int, lattice) -> torch.Tensor:
    """How much each of `number` features in a line counts in each row of the image: (K, number, side)."""
    stride, first = lattice
    away = torch.arange(side, device=centres.device) - (centres[:, None] - size // 2)
    place = ((away - first) / stride).clamp(0, number - 1)
    share = (1 - (place[:, None] - torch.arange(number, device=centres.device)[:, None]).abs()).clamp(min=0)
    return share * _inside(centres, size, side)[:, None]
