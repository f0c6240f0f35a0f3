"""The features of a training's cases, from which a weights file learns what is unlike them."""

from pathlib import Path

import numpy as np
import torch

from classification.cases import stream
from classification.cases.finder import Case
from classification.model import classifier
from classification.voting import distance, predict
from cxr.run import engine

MOST = 2000  # cases: of more the 32 components learn no more, and a large cohort would take hours


def after_training(fabric, settings, run: Path, train: list[Case], val: list[Case]) -> None:
    """Keep the distance's statistics in a finished run's best.pt, if they are not there yet. Every process calls this.
    Raises ValueError, BadPair."""
    best = run / "best.pt"
    if not best.exists() or distance.KEY in engine.load(best):
        return
    found = of_cases(fabric, best, settings, train, val)
    if fabric.is_global_zero:
        engine.save(engine.load(best) | {distance.KEY: found}, best)
    fabric.barrier()


def of_cases(fabric, weights: Path, settings, train: list[Case], val: list[Case]) -> dict[str, torch.Tensor] | None:
    """distance.fit() of the weights' own features, by repeat_val patches of each case, which it notes as `patches`; of
    MOST training cases and as many of validation, drawn by the seed. The processes share them. Raises ValueError,
    BadPair."""
    model, settings, _, _ = classifier.open_classifier(weights, settings)
    predict.ready(model, fabric.device)
    features = distance.Features(model)
    train, val = (some(cases, settings.seed) for cases in (train, val))

    def look(case, image, lung):
        predict.predict_image(model, image, lung, settings, case.case, fabric.device, settings.repeat_val)
        return features.take()

    found = stream.shared(fabric, [*train, *val], settings, look).astype(float)
    known = distance.fit(found[: len(train)], found[len(train) :])
    return known and known | {"patches": torch.tensor([float(settings.repeat_val)])}


def some(cases: list[Case], seed: int) -> list[Case]:
    """MOST of the cases at most, in their order."""
    drawn = np.random.default_rng(seed).permutation(len(cases))[:MOST]
    return [cases[i] for i in sorted(drawn)]
