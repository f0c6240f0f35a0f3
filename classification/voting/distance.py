"""How unlike the cases of its training a case is to the classifier: the distance of its features.

The last features of a case, averaged over positions and patches, are one vector. Probabilistic principal component
analysis of the training's vectors (Tipping and Bishop 1999) gives each its Mahalanobis distance. The limit leaves room:
it is MARGIN times the distance that one in a hundred exceeds, of training cases held out in turn or of validation.
"""

import numpy as np
import torch
from torch import nn

from classification.model import backbone

KEY = "distance"  # where a weights file keeps what fit() found
COMPONENTS = 32
MARGIN = 1.5
LEAST = 10  # training cases; fewer tell no distance


class Features:
    """Gathers what the network sees of a case while it judges the patches. A compiled network tells nothing."""

    def __init__(self, model: nn.Module):
        self._seen = []
        backbone.last_layer(model).register_forward_hook(self._keep)

    def _keep(self, layer, inputs, maps) -> None:
        self._seen.append(maps.detach().float().mean((2, 3)))

    def take(self) -> np.ndarray | None:
        """The mean (C,) over positions and patches since the last call; None where there was none."""
        found = torch.cat(self._seen).mean(0).cpu().numpy().astype(float) if self._seen else None
        self._seen.clear()
        return found


def fit(train: np.ndarray, val: np.ndarray) -> dict[str, torch.Tensor] | None:
    """What score() needs, of features (n, C) of training and (m, C) of validation cases; None for too few."""
    from sklearn.model_selection import KFold  # here, since those that only predict need no sklearn

    if len(train) < LEAST:
        return None
    folds = KFold(5, shuffle=True, random_state=0).split(train)
    apart = [_distances(_principal(train[kept]), train[held]) for kept, held in folds]
    found = _principal(train)
    away = [np.concatenate(apart), *([_distances(found, val)] if len(val) else [])]
    found["limit"] = np.array([MARGIN * max(np.quantile(one, 0.99) for one in away)])
    # components need no more than half precision; variances would not fit into it
    half = {"components": torch.float16}
    return {name: torch.tensor(array.tolist(), dtype=half.get(name, torch.float32)) for name, array in found.items()}


def score(found: dict[str, torch.Tensor], features: np.ndarray) -> float:
    """The distance of features (C,), 1 at the limit."""
    known = {name: tensor.double().numpy() for name, tensor in found.items()}
    return float(_distances(known, features[None])[0] / known["limit"][0])


def _principal(features: np.ndarray) -> dict[str, np.ndarray]:
    from sklearn.decomposition import PCA

    pca = PCA(min(COMPONENTS, len(features) // 2, features.shape[1] - 1), svd_solver="full").fit(features)
    return {
        "mean": pca.mean_,
        "components": pca.components_,
        "variance": np.maximum([*pca.explained_variance_, pca.noise_variance_], 1e-12),  # the last: of what is left
    }


def _distances(known: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    away = features - known["mean"]
    along = away @ known["components"].T
    left = np.maximum((away**2).sum(1) - (along**2).sum(1), 0)
    return np.sqrt((along**2 / known["variance"][:-1]).sum(1) + left / known["variance"][-1])
