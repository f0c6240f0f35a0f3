"""From a weights file to a network that classifies, and the settings to use it with."""

from pathlib import Path

from torch import nn

from classification.cases.classes import class_entries, class_map
from classification.model.backbone import build, count_classes, fill
from classification.model.weightfile import read
from cxr.run import entries
from cxr.settings import config

# What a network was trained with, which its use is to follow
_OF_TRAINING = ("approach", "img_size", "patch_size", "resolution", "vote", "sampling")


def open_classifier(path: Path, settings) -> tuple[nn.Module, config.Settings, list[str], list[str]]:
    """The network of a weights file, in evaluation mode, the settings to use it with, the names of its classes, and
    notes for the user.

    Approach, sizes, classes, input_scaling, vote and sampling are those of its training, if the file tells them,
    whatever header.py says; what is typed on the command line still counts. A file that does not tell its classes takes
    the settings'. Raises ValueError.
    """
    name, state, saved = read(path)
    trained = entries.settings(saved["settings"], _OF_TRAINING, settings, path)
    trained |= {"net_label": name, "input_scaling": saved["input_scaling"]}
    trained.setdefault("resolution", 0)  # files from before there was such a setting
    if saved["classes"]:
        trained["classes"] = class_entries(saved["classes"], saved["folders"] or {})
    used = config.unless_typed(settings, trained)
    if not used.classes and "classes" in trained:  # classes=[], each folder a class, are those of the training here
        used = config.replace(used, classes=trained["classes"])
    if settings.input_scaling == "auto":  # typed or not, it means that of the weights
        used = config.replace(used, input_scaling=saved["input_scaling"])
    names = class_map(used.classes, [])[0]
    known = count_classes(name, state)
    if not known:
        raise ValueError(f"{path} holds {name} without its last layer, which train.py can start from by start_weights.")
    if len(names) != known:
        raise ValueError(
            f"{path} knows {known} classes, and classes names {len(names)} ({', '.join(names)}); give "
            "classes=[...] in the order of its training."
        )
    if used.net_label != name:
        raise ValueError(f"{path} holds {name}, not net_label={used.net_label}; leave net_label out.")
    model = build(name, known)
    fill(model, name, state, path)
    notes = []
    for key, value in trained.items():
        if getattr(used, key) != value:
            notes.append(f"{key}={getattr(used, key)!r} as typed, though these weights were trained with {value!r}")
        elif getattr(settings, key) not in (value, "auto"):
            notes.append(f"{key}={value!r} as in the training of these weights, not {getattr(settings, key)!r}")
    return model.eval(), used, names, notes
