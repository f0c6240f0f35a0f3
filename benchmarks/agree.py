"""Whether the results of two sides of a stage agree: a few words, and whether they do."""

from pathlib import Path

import numpy as np
import torch

from cxr import pairs
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
    """Another estimator: nothing has to be equal (None), and the numbers are for the person."""
    means = [np.round(p["p"].mean(0), 3).tolist() for p in (plain, project)]
    return f"mean probabilities {means[0]} of patches, {means[1]} of {len(project['p'])} windows", None


def saliency(plain, project, exact):
    worst = float(np.abs(plain["map"] - project["map"]).max() / plain["map"].max())
    return f"raw maps to {worst:.1e} of their greatest value", worst <= (1e-4 if exact else 1e-2)


def masks(films: list[Path], plain: Path, project: Path, exact: bool):
    """The label maps that the project wrote against the plain network's answers, brought to full size in the project's
    way; with it the Jaccard index of both sides' lung masks, which differ by that way alone."""
    equal, pixels, both, either = 0, 0, 0, 0
    for film in films:
        image, mask = pairs.load(project, film.stem, allow_empty=True)
        answer = torch.from_numpy(np.load(plain / f"{film.stem}.answer.npy")).exp()
        box = (0, image.shape[0], 0, image.shape[1])
        wanted = segment.label_map(answer, segment.Prepared(image, box, None, None))[1]
        equal += int((wanted == pairs.load_labels(project, film.stem)).sum())
        pixels += mask.size
        theirs = pairs.load(plain, film.stem, allow_empty=True)[1]
        both, either = both + int((theirs & mask).sum()), either + int((theirs | mask).sum())
    share = equal / pixels
    words = f"labels equal in {100 * share:.4f} % of pixels, pairs' Jaccard {both / max(either, 1):.4f}"
    return words, share >= (0.99999 if exact else 0.999)


def lungs(films: list[Path], first: Path, second: Path) -> float:
    """Jaccard index of the lung masks that the project wrote with two settings, all films together."""
    both, either = 0, 0
    for film in films:
        one, other = (pairs.load(place, film.stem, allow_empty=True)[1] for place in (first, second))
        both, either = both + int((one & other).sum()), either + int((one | other).sum())
    return both / max(either, 1)
