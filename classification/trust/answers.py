"""What the network makes of every case: its features, its vote, and a thumbnail of what it was shown.

The parts of the audit share them, so they are computed once and kept beside the audit's results.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from classification.cases import dataset
from classification.model import backbone, ensemble
from classification.trust import views
from classification.trust.subject import Subject
from classification.voting import effect, predict
from cxr import digest, pairs, writing

PATCHES = 5  # a view of a case


class Answers(NamedTuple):
    """Of one view of n cases; without a network the first two have no columns."""

    features: np.ndarray  # (n, C) float32: the last features, mean over each patch and over the patches
    p: np.ndarray  # (n, classes) float32: mean probabilities of the patches
    predicted: np.ndarray  # (n,) int: by the vote
    thumbnail: np.ndarray  # (n, pixels) float32 0..1


def of_cases(subject: Subject, names=(views.LUNGS,)) -> dict[str, Answers]:
    """The network's answers to views of all cases, by the name of the view.

    Patches are centred where a view shows something, drawn by (seed, case). Raises pairs.BadPair.
    """
    folder = Path(subject.settings.dir_audit)  # that of the audit's results
    files = {name: folder / f"answers_{_key(subject, name)}.npy" for name in names}
    missing = [name for name in names if not files[name].is_file()]
    if missing:
        if subject.model is not None:
            predict.ready(subject.model, subject.device)
        rows = [_ask(subject, case, missing) for case in tqdm(subject.cases, f"cases, {len(missing)} views")]
        for name, of_view in zip(missing, zip(*rows, strict=True), strict=True):
            writing.array(files[name], np.stack(of_view))
    return {name: _split(subject, pairs.array(file)) for name, file in files.items()}


def _ask(subject: Subject, case, names) -> list[np.ndarray]:
    """A row for each view of a case: features, p, predicted, thumbnail."""
    settings = subject.settings
    size = settings.patch_size if settings.approach == "global" else settings.img_size
    image, lung = dataset.shrink(*pairs.load(case.place, case.case), size, settings.resolution)
    rows = []
    for name in names:
        shown, where = views.show(name, image, lung)
        answer = ask(subject, case, shown, where) if subject.model is not None else ()
        rows.append(np.concatenate([*answer, views.thumbnail(shown)]).astype(np.float32))
    return rows


def ask(subject: Subject, case, shown: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (C,), mean probabilities (classes,) and predicted class (1,) of one image, by PATCHES patches; the
    features of an ensemble are those of all members."""
    settings, found = subject.settings, {}
    layers = [backbone.last_layer(network) for network, _ in ensemble.members(subject.model, settings)]
    hooks = [layer.register_forward_hook(partial(_pool, found.setdefault(i, []))) for i, layer in enumerate(layers)]
    try:
        p, _ = predict.predict_image(subject.model, shown, where, settings, case.case, subject.device, PATCHES)
    finally:
        for hook in hooks:
            hook.remove()
    vote = predict.tally(p, settings.vote, predict.drawn(settings))
    features = torch.cat([torch.cat(pooled).mean(0) for pooled in found.values()])
    return features.cpu().numpy(), vote["p"], np.array([vote["predicted"]])


def _pool(pooled: list, layer, inputs, output: torch.Tensor) -> None:
    """A hook that keeps the mean of a layer's output over all positions."""
    pooled.append(output.float().mean((2, 3)))


def _split(subject: Subject, rows: np.ndarray) -> Answers:
    pixels, classes = views.THUMBNAIL**2, len(subject.names)
    if subject.model is None:
        return Answers(rows[:, :0], rows[:, :0], np.full(len(rows), -1), rows)
    features, p, predicted, thumbnail = np.split(rows, np.cumsum([rows.shape[1] - pixels - classes - 1, classes, 1]), 1)
    return Answers(features, p, predicted[:, 0].astype(int), thumbnail)


def _key(subject: Subject, name: str) -> str:
    """A digest of all that decides the answers: weights, settings, the cases' content, the view."""
    weights = hashlib.blake2b(digest_size=8)
    for value in subject.model.state_dict().values() if subject.model is not None else ():
        weights.update(value.cpu().numpy().tobytes())
    decisive = [f"{key}={getattr(subject.settings, key)}" for key in effect.DECISIVE]
    return digest.of_text(
        " ".join([name, str(PATCHES), weights.hexdigest(), *decisive, *digest.of_pairs(subject.cases)])
    )
