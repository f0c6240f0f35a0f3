"""How a pixel's label is decided from the network's probabilities: factors fitted to the validation radiographs.

Arg-max of the probabilities is not what overlaps best with a drawn mask. The network overstates the organs' side of an
edge, the more so as the loss weighs background by half (class_weights), and it is less sure of the heart's edge than of
the lungs'. Each class's probability is therefore multiplied by a factor before the arg-max. Four numbers
chosen on validation, not on test: they belong to the weights and are kept with them.
"""

import itertools

import torch

from cxr.errors import BadRun
from cxr.labels import HEART, LEFT, RIGHT
from cxr.stats.overlap import jaccard

# Factors of background and of heart that are tried; the lungs' stay 1, since only ratios matter. 1 is among them.
BACKGROUND = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
HEARTS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)


def apply(probabilities: torch.Tensor, factors) -> torch.Tensor:
    """Probabilities (N, 4, H, W) times the factors of the four classes, made to sum to 1 again; the same for all 1."""
    if all(factor == 1 for factor in factors):
        return probabilities
    weighed = probabilities * torch.tensor(factors, device=probabilities.device)[:, None, None]
    return weighed / weighed.sum(1, keepdim=True).clamp(min=1e-12)


def check(factors) -> None:
    """Raise BadRun unless these are four factors above 0."""
    if len(factors) != 4 or min(factors) <= 0:
        raise BadRun(f"decision={factors} is not 4 factors above 0: of background, heart, left and right lung.")


def fit(predict, val_set) -> list[float]:
    """The factors [background, heart, left, right] with the best score on validation: mean Jaccard index of heart and
    lungs, at the network's size.

    predict: images (1, 1, H, W) -> probabilities (1, 4, H, W) on the CPU. Of equal scores the first of those tried
    counts, and these are tried from the least change on.
    """
    tried = sorted(itertools.product(BACKGROUND, HEARTS), key=lambda pair: sum(max(f, 1 / f) for f in pair))
    scores = torch.zeros(len(tried), dtype=torch.float64)
    for place in range(len(val_set)):
        image, target = val_set[place]
        found = predict(image[None])[0]
        for i, (background, heart) in enumerate(tried):
            labels = (found * torch.tensor([background, heart, 1.0, 1.0])[:, None, None]).argmax(0)
            score = {o: jaccard(labels == o, target == o, empty=0.0) for o in (HEART, LEFT, RIGHT)}
            scores[i] += score[HEART] + (score[LEFT] + score[RIGHT]) / 2
    background, heart = tried[int(scores.argmax())]
    return [background, heart, 1.0, 1.0]
