"""What the network says of one image, and how its patches or windows vote."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from classification.model import backbone, ensemble
from classification.patches import patch
from classification.voting import calibration
from cxr.run import engine

APPROACHES = ("local", "global", "dense")
VOTES = ("majority", "mean")
INVALID = "the network returns NaN or Inf; try precision=32-true."  # the reason of such a case
LEAST = 32  # pixels a side, of which every network makes one feature at least


def check(settings, model: nn.Module) -> None:
    """Raise ValueError with the remedy for settings that no prediction of this network could follow."""
    known_of = {
        "approach": APPROACHES,
        "vote": VOTES,
        "sampling": patch.SAMPLING,
        "input_scaling": ("auto", *backbone.SCALINGS),
    }
    for name, known in known_of.items():
        if getattr(settings, name) not in known:
            raise ValueError(f"{name}={getattr(settings, name)!r} is unknown; it is {' or '.join(known)}.")
    engine.check_compile(settings.compile)
    sizes = ("repeat", "repeat_val", "num_batch_test", "num_batch_train", "num_patches", "patch_size", "img_size")
    for name in (*sizes, "epoch_max"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)} is too small; give 1 or more.")
    seen = {"local": ("img_size", "patch_size"), "global": ("patch_size",), "dense": ("img_size",)}
    for name in seen[settings.approach]:
        if getattr(settings, name) < LEAST:
            raise ValueError(
                f"{name}={getattr(settings, name)} is too small for networks that halve an image five "
                f"times; give {LEAST} or more."
            )
    networks = [network for network, _ in ensemble.members(model, settings)]
    if settings.approach == "dense" and any(backbone.head(network) is None for network in networks):
        raise ValueError(
            f"approach=dense needs a network that ends in global pooling and one linear layer, which "
            f"{settings.net_label} does not; give net_label=resnet18, or approach=local."
        )


def ready(model: nn.Module, device, compile: str | None = None) -> nn.Module:
    """A network on its device, its weights as convolutions are fastest: channels last. The same numbers but for
    rounding. To be called before any torch.inference_mode(), which would leave weights that cannot be trained.

    compile: a backend of torch.compile, which then computes the network, in place: the names of the weights stay. So it
    does the network's larger parts, where these are asked one by one, for features().
    """
    model.to(device, memory_format=torch.channels_last)
    if compile:
        whole = model.networks if isinstance(model, ensemble.Ensemble) else [model]
        for part in (part for network in whole for part in (network, *network.children())):
            if any(True for _ in part.children()):
                part.compile(backend=compile)
    return model


def windows(network: nn.Module, images: torch.Tensor, lungs: torch.Tensor, patch_size: int):
    """The network's answer to every window of whole images, in one pass: the *dense* approach.

    images (N, 3, H, W) as scaled for the network, lungs (N, H, W) not zero inside. The last features are averaged over
    a square of them, its side the odd number nearest to patch_size (7 x 7 for 224), zeros beyond the image counting,
    and the linear head judges each window whose centre lies in the lung; if none does, that about which most lung is.

    A window's centre is that of the patch whose features it holds: 7 x 7 features about (i, j) are those of a patch of
    224 pixels from row 32 (i - 3), column 32 (j - 3) on, so that a window and a patch of one centre are one place.
    Where in it the features look differs with the network, by half a cell (backbone.lattice): maps need that, the
    choice of windows must not follow it.

    Returns logits (M, classes), the image (M,) of each window and its centre (M, 2), row and column in pixels. A
    feature has seen more than its window holds: this is another estimator than patches, to be trained as it is used.
    """
    maps = backbone.features(network, images)
    height, width = maps.shape[-2:]
    side = 2 * round((patch_size * height / images.shape[-2] - 1) / 2) + 1
    maps = F.avg_pool2d(maps, side, 1, side // 2, count_include_pad=True)
    rows, columns = _middles(height, lungs.shape[1], lungs.device), _middles(width, lungs.shape[2], lungs.device)
    inside = lungs[:, rows[:, None], columns] > 0
    share = F.adaptive_avg_pool2d((lungs[:, None] > 0).float(), (height, width)).flatten(1)
    most = F.one_hot(share.argmax(1), height * width).view_as(inside) > 0
    inside = torch.where(inside.any(2).any(1)[:, None, None], inside, most)
    image, row, column = inside.nonzero().unbind(1)
    logits = backbone.judge(network, maps[image, :, row, column])  # with dropout, as patches have it in training
    return logits, image, torch.stack([rows[row], columns[column]], 1)


class Windows(nn.Module):
    """windows() as a module, since only what passes through forward() is shared among processes that train."""

    def __init__(self, network: nn.Module, patch_size: int):
        super().__init__()
        self.network, self.patch_size = network, patch_size

    def forward(self, images: torch.Tensor, lungs: torch.Tensor):
        return windows(self.network, images, lungs, self.patch_size)[:2]


def _middles(cells: int, side: int, device) -> torch.Tensor:
    """The pixels in the middle of `cells` equal parts of a side."""
    return (2 * torch.arange(cells, device=device) + 1) * side // (2 * cells)


def places(lung: np.ndarray, settings, case: str, repeat: int | None = None) -> np.ndarray:
    """Where the patches that vote on a case are centred: (K, 2) int64, rows and columns.

    lung (H, W) uint8. K is `repeat`, else settings.repeat; for approach=global it is 1, the image's middle. Random
    places depend on the seed and the case only, and fewer are the first of more.
    """
    if settings.approach == "global":
        return np.array([[side // 2 for side in lung.shape]])
    rng = engine.generator(settings.seed, "vote", case)
    return patch.centres(lung, repeat or settings.repeat, rng, settings.sampling)


@torch.inference_mode()
def predict_image(model: nn.Module, image: np.ndarray, lung: np.ndarray, settings, case: str, device, repeat=None):
    """The class probabilities of the K patches or windows of one image, and where these are centred.

    model: in evaluation mode, on `device`; image and lung (H, W) uint8 as dataset.Images gives them; settings: as
    classifier.open_classifier() returns them, input_scaling among them; case: its name; repeat: see places(). For the
    dense approach K is the number of windows in the lung.

    Returns probabilities (K, classes) float32 and centres (K, 2) int64, rows and columns; of an ensemble those of its
    members one after the other, (members * K, ...).
    """
    asked = ensemble.members(model, settings)
    p, centres = zip(*(_answer(one, image, lung, own, case, device, repeat) for one, own in asked), strict=True)
    return np.concatenate(p), np.concatenate(centres)


def _answer(model: nn.Module, image: np.ndarray, lung: np.ndarray, settings, case: str, device, repeat):
    """predict_image() of one network."""
    images = torch.as_tensor(image, device=device)[None]
    if settings.approach == "dense":
        x = backbone.scale(images[:, None].float(), settings.input_scaling)
        logits, _, centres = windows(model, x, torch.as_tensor(lung, device=device)[None], settings.patch_size)
        return logits.float().softmax(1).cpu().numpy(), centres.cpu().numpy()
    centres = places(lung, settings, case, repeat)
    answers = []
    for some in torch.from_numpy(centres).split(settings.num_batch_test):
        cut = patch.cut(images, torch.zeros(len(some), dtype=torch.long), some, settings.patch_size)
        answers.append(model(backbone.scale(cut, settings.input_scaling)).float().softmax(1))
    return torch.cat(answers).cpu().numpy(), centres  # copied once: a GPU is not waited for after each pass


def drawn(settings) -> bool:
    """Whether the places of the patches are drawn at random: not those of a grid, nor dense windows or whole images."""
    return settings.approach == "local" and settings.sampling == "random"


def tally(
    probabilities: np.ndarray,
    vote: str = "majority",
    by_chance: bool = True,
    members: int = 1,
    calibrated: dict | None = None,
) -> dict:
    """Count the votes of K patches, each for its most probable class (the first of equals).

    probabilities (K, classes); of an ensemble (members * K, classes), one network's after the other's. vote: majority
    of the patches' classes (Oh et al. 2020), or mean of their probabilities; a tie goes to the larger mean probability,
    then to the class order. by_chance: whether the patches were drawn(), without which there is no error by the draw.
    calibrated: what calibration.kept() gives.

    Returns

    p               (classes,) float64, the mean probabilities, calibrated where told so
    set             (classes,) bool, the conformal set; none without a calibration
    votes           (classes,) int64, how many patches chose each class
    predicted       index of the class that won
    entropy         of the shares of votes, in nats: 0 where all agree, log(classes) at most
    standard_error  of p[predicted] by the chance of the draw: the patches' standard deviation over the root of K; NaN
                    for one patch, and for patches that no chance has placed
    """
    count, classes = probabilities.shape
    probabilities = probabilities.astype(np.float64)
    p = probabilities.mean(0)
    votes = np.bincount(probabilities.argmax(1), minlength=classes)
    first = votes if vote == "majority" else p
    predicted = max(range(classes), key=lambda c: (first[c], p[c], -c))
    shares = votes[votes > 0] / count
    told, inside = probabilities[:, predicted], np.zeros(classes, bool)
    if calibrated:
        told = calibration.slope(probabilities, p, calibrated, predicted)
        p = calibration.apply(p, calibrated)
        inside = calibration.sets(p, calibrated)
    places, error = count // members, np.nan  # the members look at the same ones
    if by_chance and places > 1:
        error = told.reshape(members, places).mean(0).std(ddof=1) / np.sqrt(places)
    return {
        "p": p,
        "set": inside,
        "votes": votes,
        "predicted": predicted,
        "entropy": float(-(shares * np.log(shares)).sum()) + 0.0,  # not -0.0
        "standard_error": float(error),
    }
