"""Several networks that answer together: each looks at the same patches, and their answers are pooled."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from classification.model import classifier
from cxr.settings import config

# What the members must have in common, since their answers are counted together
_ALIKE = ("classes", "approach", "img_size", "patch_size", "resolution", "vote", "sampling")


class Ensemble(nn.Module):
    """Networks with the input_scaling of each. It has no forward pass: who asks it loops over members()."""

    def __init__(self, networks: Sequence[nn.Module], scalings: Sequence[str]):
        super().__init__()
        self.networks, self.scalings = nn.ModuleList(networks), list(scalings)


def members(model: nn.Module, settings) -> list[tuple[nn.Module, config.Settings]]:
    """The networks of an ensemble, each with the settings to use it with; of another model itself."""
    if not isinstance(model, Ensemble):
        return [(model, settings)]
    each = zip(model.networks, model.scalings, strict=True)
    return [(network, config.replace(settings, input_scaling=scaling)) for network, scaling in each]


def open_weights(weights: Path | Sequence[Path], settings) -> tuple[nn.Module, config.Settings, list[str], list[str]]:
    """What classifier.open_classifier() gives of a weights file; of several files an Ensemble. Raises ValueError where
    these have not in common what their answers are counted by."""
    if isinstance(weights, Path):
        return classifier.open_classifier(weights, settings)
    models, used, names, notes = zip(*(classifier.open_classifier(path, settings) for path in weights), strict=True)
    for path, other in zip(weights, used, strict=True):
        differ = [
            f"{name} ({getattr(used[0], name)!r}, {getattr(other, name)!r})"
            for name in _ALIKE
            if getattr(used[0], name) != getattr(other, name)
        ]
        if differ:
            raise ValueError(
                f"{weights[0]} and {path} differ in {', '.join(differ)}, and cannot vote together; leave one out."
            )
    together = "+".join(dict.fromkeys(one.net_label for one in used))
    model = Ensemble(models, [one.input_scaling for one in used]).eval()
    told = list(dict.fromkeys(note for some in notes for note in some))
    return model, config.replace(used[0], net_label=together), names[0], told
