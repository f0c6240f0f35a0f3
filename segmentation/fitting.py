"""The factors of class_factors.py, fitted to the validation radiographs after a training, and kept with its weights."""

from pathlib import Path

from torch.utils.data import ConcatDataset

from cxr.errors import BadRun
from cxr.run import engine
from segmentation import class_factors, dataset, training_cases, weights


def after_training(fabric, settings, run: Path) -> None:
    """Fit the factors to the best weights and keep them in best.pt, if they are not there yet; factors that are typed,
    or set in header.py before they are fitted, are kept instead.

    A finished run from before this setting existed stays as it is. Raises BadRun for a best.pt that cannot be read.
    """
    try:
        best = engine.load(run / "best.pt")
        if "decision" not in best["settings"]:
            return
        if "decision" in settings._typed or ("decision" not in best and any(f != 1 for f in settings.decision)):
            if best.get("decision") != list(settings.decision):
                engine.save(best | {"decision": list(settings.decision)}, run / "best.pt")
            told = "Kept with the weights as set, instead of chosen on validation"
            return fabric.print(f"{told}: decision={settings.decision}.")
        if "decision" in best:
            return
        model = weights.open_network(run / "best.pt", settings)[0].to(fabric.device)
    except ValueError as error:
        raise BadRun(str(error)) from error
    cases = training_cases.find(settings)["val"]
    val_set = dataset.Radiographs(cases, settings)
    if settings.augment:  # factors that fit clean radiographs of one hospital alone cost where they fit no other's
        val_set = ConcatDataset([val_set, dataset.Radiographs(cases, settings, augmented=True)])
    factors = class_factors.fit(lambda images: weights.probabilities(model, images.to(fabric.device)).cpu(), val_set)
    engine.save(best | {"decision": factors}, run / "best.pt")
    how = ", clean and augmented" if settings.augment else ""
    fabric.print(
        f"Chosen on validation{how}: before the argmax the probabilities of background and heart are multiplied by "
        f"{factors[0]:g} and {factors[1]:g} (decision in header.py)."
    )
