"""The files of a case's maps, <case>.cam.npy and .cam.png, and its row in cams.csv."""

import re
from pathlib import Path

import numpy as np

from classification.cases.finder import Case
from classification.saliency import grad_cam, overlay
from classification.voting import predict, predictions
from classification.voting.refusal import REFUSED
from cxr import pairs, writing

TABLE = "cams.csv"
TEXT = ("case", "folder", "status", "reason", "predicted", "target")  # its columns of text
CAM, PICTURE, COVERAGE = ".cam.npy", ".cam.png", ".coverage.npy"
LARGEST = float(np.finfo(np.float16).max)


def explain(model, case: Case, item, settings, names, device):
    """What the network says of a case: grad_cam.explain()'s maps of all classes, coverage and probabilities; or, as
    text, why there are none.

    item: masked image and lung, as dataset.Images gives them, or the fault of the pair; settings: with target and
    method among them.
    """
    if isinstance(item, pairs.BadPair):
        return f"{case.folder}: {item}"
    everything = list(range(len(names)))
    found = grad_cam.explain(model, *item, settings, case.case, device, everything, settings.method)
    if not all(np.isfinite(values).all() for values in found):
        return f"{case.folder}: {case.case}: {predict.INVALID}"
    return found


def finish(case: Case, found, settings, names, output: Path, with_coverage: bool, calibrated=None) -> dict:
    """Write the maps and the picture of one case and return its row of cams.csv.

    found: explain()'s, or what Refusal says of a case that is refused; calibrated: the weights' calibration, if any. A
    case that cannot be mapped writes nothing, and
    its row says why.
    """
    row = {"case": case.case, "folder": case.folder, "status": "failed"}
    place = output / case.folder
    if isinstance(found, (str, dict)):
        for name in (*files(case, names, settings.target), f"{case.case}{PICTURE}", f"{case.case}{COVERAGE}"):
            (place / name).unlink(missing_ok=True)  # of an earlier run: no map outlives its row
    if isinstance(found, str):
        return row | {"reason": found}
    if isinstance(found, dict):
        return row | {"status": REFUSED, "reason": found[REFUSED]}
    maps, counts, p = found
    tally = predict.tally(p, settings.vote, calibrated=calibrated)
    won = tally["predicted"]
    targets = {"predicted": [won], "all": list(range(len(names)))}.get(settings.target)
    targets = [names.index(settings.target)] if targets is None else targets
    try:
        image, mask = pairs.load(case.place, case.case)
    except pairs.BadPair as fault:  # taken away since it was read
        return row | {"reason": f"{case.folder}: {fault}"}
    maps = grad_cam.to_grid(maps[targets], image.shape)
    titles = [names[c] + (" (predicted)" if c == won else "") for c in targets]
    votes = [f"{tally['votes'][c]} of {len(p)} votes" if len(p) > 1 else "one vote" for c in targets]
    details = [f"p = {tally['p'][c]:.2f}, {n}" for c, n in zip(targets, votes, strict=True)]
    writing.picture(place / f"{case.case}{PICTURE}", overlay.draw(image, mask, maps, titles, details))
    if with_coverage:
        save(place / f"{case.case}{COVERAGE}", grad_cam.to_grid(counts[None], image.shape)[0])
    for values, name in zip(maps, files(case, [names[c] for c in targets], settings.target), strict=True):
        save(place / name, values)
    row |= {"status": "ok", "reason": "", "predicted": names[won], "target": settings.target}
    row |= predictions.probabilities(names, tally["p"])
    row |= {f"peak_{names[c]}": float(f"{values.max():.4g}") for c, values in zip(targets, maps, strict=True)}
    if maps.max() > LARGEST:
        row["reason"] = f"values above {LARGEST:g} are written as {LARGEST:g}"
    return row


def files(case: Case, classes: list[str], target: str) -> list[str]:
    """The names of the maps of some classes. A class's own name stands in them where there is one each class, with
    what is no letter, digit, - or _ written as % and hexadecimal digits, so that any class can name a file."""
    if target != "all":
        return [f"{case.case}{CAM}"]
    escaped = [
        re.sub(r"[^\w-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name) for name in classes
    ]
    return [f"{case.case}.{name}{CAM}" for name in escaped]


def finished(
    rows: set, output: Path, cases, names: list[str], target: str, with_coverage: bool
) -> set[tuple[str, str]]:
    """The cases that have a row without failure, `rows`, and all their files."""
    done = set()
    for case in cases:
        wanted = [*files(case, names, target), f"{case.case}{PICTURE}"]
        wanted += [f"{case.case}{COVERAGE}"] if with_coverage else []
        if (case.folder, case.case) in rows and all((output / case.folder / name).is_file() for name in wanted):
            done.add((case.folder, case.case))
    return done


def save(path: Path, values: np.ndarray) -> None:
    """Write an array as float16, whole or not at all; what is too large for it becomes its largest number."""
    writing.array(path, np.minimum(values, LARGEST).astype(np.float16))
