"""What a map is worth: where it points, what the classifier says without what it shows, and what it depends on.

Maps and regions are (side, side), on the grid of the masked image that the classifier sees.
"""

import copy

import numpy as np
from scipy.stats import rankdata
from torch import nn

from classification.model import backbone, ensemble
from classification.saliency import grad_cam
from classification.voting import predict
from cxr.run import engine
from cxr.settings import config

LINE = 192  # about so many pixels a side are ranked


def pointing(values: np.ndarray, region: np.ndarray) -> float:
    """The pointing game (Zhang et al., IJCV 126, 2018): 1 if the greatest value lies in the region, else 0; where
    several pixels share it, the share of them inside. A map that is zero everywhere points at nothing: 0."""
    peak = values.max()
    return float(region[values == peak].mean()) if peak > 0 else 0.0


def mass(values: np.ndarray, region: np.ndarray) -> float:
    """The share of a map's sum that lies in the region; 0 for a map that is zero everywhere."""
    total = values.sum(dtype=np.float64)
    return float(values[region > 0].sum(dtype=np.float64) / total) if total > 0 else 0.0


def similarity(first: np.ndarray, second: np.ndarray, region: np.ndarray) -> float:
    """Spearman's rank correlation of two maps in a region (Adebayo et al. 2018), on every nth pixel of it; NaN where
    one of them is the same everywhere."""
    step = max(1, round(len(first) / LINE))
    inside = region[::step, ::step] > 0
    ranks = [rankdata(values[::step, ::step][inside]) for values in (first, second)]
    if inside.sum() < 2 or any(np.ptp(line) == 0 for line in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def order(values: np.ndarray, lung: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """When a lung pixel's turn comes: (side, side) from above 0 to 1, the share of the lung up to and with it; 2
    outside.

    Turns go by squares of `size` pixels, that of the greatest mean first, so that what is changed are patches of
    tissue and no pepper of pixels, which is noise to any network. Squares of one value come in random order.
    """
    rows, columns = (np.arange(side) // size for side in lung.shape)
    square = rows[:, None] * (columns[-1] + 1) + columns
    inside = lung > 0
    area = np.bincount(square[inside], minlength=square.max() + 1)
    mean = np.bincount(square[inside], values[inside].astype(np.float64), square.max() + 1) / np.maximum(area, 1)
    turns = np.lexsort((rng.random(len(mean)), -mean))
    share = np.empty(len(mean))
    share[turns] = area[turns].cumsum() / area.sum()
    return np.where(inside, share[square], 2.0)


def perturbation(ask, image: np.ndarray, lung: np.ndarray, turns: dict, steps: int) -> dict[str, tuple[float, float]]:
    """Areas under the deletion and the insertion curve (Petsiuk et al., BMVC 2018) over the share of the lung, for
    each order of turns.

    ask(image) gives the class's probability. Deletion fills the squares whose turn comes with the lung's mean grey,
    down to a blank lung; insertion begins with that and puts the squares back. A good map has a low first area, and
    a high second.
    """
    blank = np.where(lung > 0, np.uint8(round(float(image[lung > 0].mean()))), image)
    shares = np.arange(steps + 1) / steps
    whole, none = ask(image), ask(blank)
    areas = {}
    for name, turn in turns.items():
        done = [turn <= share + 1e-9 for share in shares[1:-1]]
        deleted = [whole, *(ask(np.where(these, blank, image)) for these in done), none]
        inserted = [none, *(ask(np.where(these, image, blank)) for these in done), whole]
        areas[name] = tuple(float(np.trapezoid(curve, shares)) for curve in (deleted, inserted))
    return areas


def agreement(model, item, settings, case: str, device, target: int, counts: list[int]) -> list[tuple]:
    """Two maps of a case by patches of two seeds, for each number K of patches: (map, map, coverage, coverage)."""
    found = []
    for seed in (settings.seed, settings.seed + 1):
        other = config.replace(settings, seed=seed, repeat=max(counts))
        found.append(_by_count(model, item, other, case, device, target, counts))
    return [(a[0], b[0], a[1], b[1]) for a, b in zip(*found, strict=True)]


def _by_count(model, item, settings, case: str, device, target: int, counts: list[int]) -> list[tuple]:
    """The map and the coverage of the first K patches, for each K; of an ensemble the mean of its members' maps."""
    size, each = (settings.patch_size, len(item[0])), []
    for network, own in ensemble.members(model, settings):
        p, maps, places = grad_cam.patch_maps(network, *item, own, case, device, [target], settings.method)
        how = *size, backbone.lattice(network)
        each.append([grad_cam.combine(maps[:k], p[:k, [target]], places[:k], *how) for k in counts])
    several = zip(*each, strict=True)
    return [(np.mean([found[0].cpu().numpy() for found, _ in one], 0), one[0][1].cpu().numpy()) for one in several]


def randomised(model: nn.Module, seed: int) -> dict[str, nn.Module]:
    """Copies of a network with ever more of its layers drawn anew, from the last to the first (Adebayo et al. 2018,
    cascading randomisation): the last layer, and the last quarter, half, three quarters and all of the layers. Those of
    an ensemble are drawn anew in each of its members."""
    if isinstance(model, ensemble.Ensemble):
        each = [randomised(network, seed) for network in model.networks]
        return {name: ensemble.Ensemble([one[name] for one in each], model.scalings) for name in each[0]}
    copies = {}
    for name, share in (("last", 0.0), ("quarter", 0.25), ("half", 0.5), ("three_quarters", 0.75), ("all", 1.0)):
        other = copy.deepcopy(model)
        layers = [module for module in other.modules() if hasattr(module, "reset_parameters")]
        for i, layer in enumerate(layers[-max(1, round(share * len(layers))) :]):
            engine.seed_torch(seed, "randomised", i)
            layer.reset_parameters()
        copies[name] = other.eval()
    return copies


def asker(model, lung, settings, case: str, device, target: int, repeat: int):
    """A function that gives a class's mean probability for a masked image of one case, by its first patches."""

    def ask(image: np.ndarray) -> float:
        p, _ = predict.predict_image(model, image, lung, settings, case, device, repeat)
        return float(p[:, target].mean())

    return ask
