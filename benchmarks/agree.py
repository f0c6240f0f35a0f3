"""Whether the results of two sides of a stage agree: a few words, and whether they do."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from cxr import pairs
from segmentation import masks as masks_of
from segmentation import segment


def equalise(plain, project, exact):
    worst = float(np.abs(plain["image"] - project["image"]).max())
    return f"greatest difference {worst:.1e} grey", worst <= 1e-3


def network(plain, project, exact):
    same = float((plain["p"].argmax(1) == project["p"].argmax(1)).mean())
    return f"arg-max equal in {100 * same:.3f} % of pixels", same == 1 if exact else same >= 0.999


def step(plain, project, exact):
    """Loss and gradients of the first step. A gradient's difference is over the norm of the whole gradient."""
    loss = abs(float(plain["loss"]) - float(project["loss"])) / float(plain["loss"])
    names = [name for name in plain if name != "loss"]
    apart = np.sqrt(sum(np.square(plain[name] - project[name], dtype=np.float64).sum() for name in names))
    whole = np.sqrt(sum(np.square(plain[name], dtype=np.float64).sum() for name in names))
    words = f"loss to {loss:.1e}, gradient to {apart / whole:.1e}"
    most = (1e-4, 1e-3) if exact else (1e-2, 0.2)  # half precision rounds to a few thousandths, layer by layer
    return words, loss <= most[0] and apart / whole <= most[1]


def vote(plain, project, exact):
    votes = [np.bincount(p.argmax(1), minlength=p.shape[1]) for p in (plain["p"], project["p"])]
    worst = float(np.abs(plain["p"] - project["p"]).max())
    same = float((plain["p"].argmax(1) == project["p"].argmax(1)).mean())
    words = f"votes {votes[0].tolist()} and {votes[1].tolist()}, probabilities to {worst:.1e}"
    return words, same == 1 if exact else bool(same >= 0.98 and votes[0].argmax() == votes[1].argmax())


def dense(plain, project, exact):
    """Another estimator: nothing has to be equal (None), and the numbers are for the user."""
    means = [", ".join(f"{value:.3f}" for value in side["p"].mean(0)) for side in (plain, project)]
    return f"mean probabilities {means[0]} of patches, {means[1]} of {len(project['p'])} windows", None


def saliency(plain, project, exact):
    worst = float(np.abs(plain["map"] - project["map"]).max() / plain["map"].max())
    return f"raw maps to {worst:.1e} of their greatest value", worst <= (1e-4 if exact else 1e-2)


def masks(radiographs: list[Path], plain: Path, project: Path, exact: bool):
    """The label maps and masks that the project wrote, against the plain network's answers made large by enlarged().

    A pixel agrees if its label is that of enlarged(), which shares no line with the project, and the mask is 1 just
    where the label is a lung's. Where cleaning may change a label by loose(), which does not ask the project either,
    it is compared with what the project's own cleaning makes of the same answer: cleaning may go no further than that,
    and what it makes of fragments and holes is the matter of its own tests. The words tell how much it changed, and the
    Jaccard index of both sides' lung masks, which differ by cleaning and by the plain side's nearest neighbour.
    """
    equal, pixels, moved, organs, both, either = np.zeros(6, np.int64)
    for file in radiographs:
        image, mask = pairs.load(project, file.stem, allow_empty=True)
        answer = torch.from_numpy(np.load(plain / f"{file.stem}.answer.npy")).exp()
        large = enlarged(answer, image.shape)
        box = (0, image.shape[0], 0, image.shape[1])
        cleaned = segment.label_map(answer, segment.Prepared(image, box, None, None))[1]
        wanted = np.where(loose(large), cleaned, large)
        labels = pairs.load_labels(project, file.stem)
        equal += ((labels == wanted) & (mask == (wanted >= masks_of.LEFT))).sum()
        pixels += mask.size
        moved, organs = moved + (wanted != large).sum(), organs + ((wanted > 0) | (large > 0)).sum()
        theirs = pairs.load(plain, file.stem, allow_empty=True)[1]
        both, either = both + (theirs & mask).sum(), either + (theirs | mask).sum()
    share = float(equal / pixels)
    words = (
        f"labels and masks equal in {100 * share:.4f} % of pixels; cleaning changed "
        f"{100 * moved / max(organs, 1):.1f} % of the organs; Jaccard {both / max(either, 1):.4f} with the plain "
        "lung masks, which are enlarged by nearest neighbour and not cleaned"
    )
    return words, share >= (0.99999 if exact else 0.999)


def enlarged(p: torch.Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Argmax (H, W) of probabilities (C, h, w) made larger: bilinear, the edges of both grids on each other."""
    return F.interpolate(p[None], shape, mode="bilinear", align_corners=False)[0].argmax(0).numpy()


def loose(labels: np.ndarray) -> np.ndarray:
    """Where cleaning may change a label map, (H, W) bool: all pieces of an organ but its largest, and background that
    organs enclose."""
    found = ndimage.binary_fill_holes(labels > 0) & (labels == 0)
    for organ in masks_of.NAMES:
        pieces, count = ndimage.label(labels == organ, np.ones((3, 3)))
        if count > 1:
            found |= (pieces > 0) & (pieces != 1 + np.bincount(pieces.ravel())[1:].argmax())
    return found


def lungs(radiographs: list[Path], first: Path, second: Path) -> float:
    """Jaccard index of the lung masks that the project wrote with two settings, all radiographs together."""
    both, either = 0, 0
    for file in radiographs:
        one, other = (pairs.load(place, file.stem, allow_empty=True)[1] for place in (first, second))
        both, either = both + int((one & other).sum()), either + int((one | other).sum())
    return both / max(either, 1)
