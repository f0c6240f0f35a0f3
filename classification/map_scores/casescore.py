"""All scores of one case's saliency map and of its null maps: a row of scorecard.csv."""

from pathlib import Path

import cv2
import numpy as np

from classification.cases.finder import Case
from classification.map_scores import criteria, nullmaps
from classification.saliency import grad_cam
from classification.voting import predict
from classification.voting.refusal import REFUSED
from cxr import pairs
from cxr.errors import BadData
from cxr.reading import turn
from cxr.run import engine
from segmentation import drawn_masks

SCORES = ("lesion", "lung", "deletion", "agreement", "layers")
SHARES = (0.1, 0.25, 0.5, 1.0)  # of the patches, at which the maps of two seeds are compared


def score(model, networks: dict, case: Case, item, settings, names, device, lesions: Path | None, refusal) -> dict:
    """The row of a case but for its name: status is ok, wrong (classified wrongly, not scored), refused or failed.

    item: masked image and lung, as dataset.Images gives them, or the fault of the pair; networks: those of
    criteria.randomised(); settings: with method, scores, steps and draws among them; lesions: folder of masks;
    refusal: a Refusal that has looked at the case.
    """
    row = {"label": "" if case.label is None else names[case.label], "predicted": "", "status": "failed", "reason": ""}
    if isinstance(item, pairs.BadPair):
        return row | {"reason": f"{case.folder}: {item}"}
    image, lung = item
    try:
        lesion = None if lesions is None else read_lesion(lesions, case, len(image))
    except ValueError as fault:
        return row | {"reason": str(fault)}
    everything = list(range(len(names)))
    if lesion is not None:
        row["lesion_fraction"] = float((lesion & (lung > 0)).sum() / (lung > 0).sum())
    maps, coverage, p = grad_cam.explain(model, image, lung, settings, case.case, device, everything, settings.method)
    if not (np.isfinite(p).all() and np.isfinite(maps).all()):
        return row | {"reason": f"{case.folder}: {case.case}: {predict.INVALID}"}
    if why := refusal.compare(case).get(REFUSED):
        return row | {"status": REFUSED, "reason": why}
    target = predict.tally(p, settings.vote)["predicted"]
    row |= {"predicted": names[target], "status": "wrong" if case.label not in (None, target) else "ok"}
    if row["status"] == "wrong":
        return row
    found = maps[target]
    rng = engine.generator(settings.seed, "nulls", case.folder, case.case)
    several = {"saliency": found} | nullmaps.null_maps(found, lung, coverage, rng)
    if "lesion" in settings.scores and lesion is not None and lesion.any():
        row |= lesion_scores(several, lesion, lung, coverage, settings.draws, rng)
    if "lung" in settings.scores:  # the noise has the map's own sum in the lung
        row |= {f"mass_lung_{name}": criteria.mass(values, lung) for name, values in several.items() if name != "noise"}
    if "deletion" in settings.scores:
        size = max(1, settings.patch_size // 16) if settings.approach != "global" else max(1, len(image) // 64)
        turns = {name: criteria.order(values, lung, size, rng) for name, values in several.items()}
        ask = criteria.asker(model, lung, settings, case.case, device, target, settings.repeat_val)
        for name, (deletion, insertion) in criteria.perturbation(ask, image, lung, turns, settings.steps).items():
            row |= {f"deletion_{name}": deletion, f"insertion_{name}": insertion}
    if "agreement" in settings.scores and settings.approach == "local" and settings.sampling == "random":
        row |= agreement_scores(model, item, settings, case.case, device, target, rng)
    if "layers" in settings.scores:
        for name, network in networks.items():
            network.to(device)
            other = grad_cam.explain(network, image, lung, settings, case.case, device, [target], settings.method)[0]
            row[f"similarity_{name}"] = criteria.similarity(found, other[0], lung)
        for name in ("centre", "coverage", "noise"):  # the mask is the same everywhere in the lung
            row[f"similarity_to_{name}"] = criteria.similarity(found, several[name], lung)
    return row


def lesion_file(lesions: Path | None, case: Case) -> Path | None:
    """The mask of a case's lesion in a folder of them, if there is one."""
    files = [lesions / case.folder / f"{case.case}{end}" for end in (".png", ".npy")] if lesions else []
    return next((file for file in files if file.is_file()), None)


def read_lesion(lesions: Path, case: Case, side: int) -> np.ndarray | None:
    """The lesion (side, side) uint8 0/1 of a case on the classifier's grid, turned as its EXIF says; None where the
    folder has none for it.

    Raises ValueError for a file that is no mask, or of another shape than the pair's.
    """
    if not (file := lesion_file(lesions, case)):
        return None
    try:
        mask = pairs.array(file) if file.suffix == ".npy" else turn.upright(*drawn_masks.read(file))
    except (BadData, *pairs.BROKEN):
        mask = None
    shape = pairs.load(case.place, case.case)[1].shape
    if mask is None or mask.shape != shape:
        raise ValueError(
            f"{case.folder}: {case.case}: {file} is no mask of {shape[0]} x {shape[1]} pixels like the "
            "pair; write it on the radiograph's grid."
        )
    soft = cv2.resize((mask > 0).astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return (soft >= min(0.5, float(soft.max()))).astype(np.uint8) if soft.any() else np.zeros((side, side), np.uint8)


def lesion_scores(several: dict, lesion, lung, coverage, draws: int, rng) -> dict:
    """Pointing and mass of each map; for the noise the means over several draws."""
    row = {}
    for name, values in several.items():
        drawn = [values]
        if name == "noise":
            drawn += [nullmaps.noise(several["saliency"], lung, coverage, rng) for _ in range(draws - 1)]
        row[f"pointing_{name}"] = float(np.mean([criteria.pointing(one, lesion) for one in drawn]))
        row[f"mass_lesion_{name}"] = float(np.mean([criteria.mass(one, lesion) for one in drawn]))
    return row


def agreement_scores(model, item, settings, case: str, device, target: int, rng) -> dict:
    """How alike the maps of two seeds are; beside it, how alike two coverages are, and noise of either map's kind."""
    counts = sorted({max(1, round(share * settings.repeat)) for share in SHARES})
    lung, row = item[1], {}
    found = criteria.agreement(model, item, settings, case, device, target, counts)
    for count, (first, second, here, there) in zip(counts, found, strict=True):
        region = (lung > 0) & (here > 0) & (there > 0)
        noise = [nullmaps.noise(values, lung, cover, rng) for values, cover in ((first, here), (second, there))]
        row[f"agreement_saliency_{count}"] = criteria.similarity(first, second, region)
        row[f"agreement_coverage_{count}"] = criteria.similarity(here, there, region)
        row[f"agreement_noise_{count}"] = criteria.similarity(*noise, region)
    return row
