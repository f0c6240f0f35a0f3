"""How masks hold when the radiographs come from another hospital: the shift suite against masks drawn by hand.

    python segmentation/shift.py                                   JSRT test cases under dir_data_root, every shift
    python segmentation/shift.py --set montgomery --shift copy     another set, one kind of shift
    python segmentation/shift.py -i IMAGES -m MASKS --shift "JPEG 30" white-out

The shifts (cxr/shifts/suite.py) are applied to the radiograph before preprocessing; its mask moves along. Writes a row
a case and shift (shift.csv), and for each shift mean, 95 % interval and worst twentieth (shift_summary.csv).
An interrupted run goes on.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import cv2
import numpy as np
import pandas as pd

from cxr import digest
from cxr.errors import BadData
from cxr.reading import radiograph
from cxr.run import engine, lock, runreport
from cxr.settings import config
from cxr.shifts import measured, suite
from cxr.stats import bootstrap, metrics
from segmentation import dataset, drawn_masks, evaluate, fast_forward, header, inference, masks, segment
from segmentation import weights as weight_files

SHOWN = ("jaccard_lungs_union", "jaccard_heart", "hausdorff95_lungs_union", "flagged")


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    evaluate.add_options(parser)
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: shift/<set> in the run's folder")
    parser.add_argument("--shift", nargs="+", default=[], metavar="NAME", help="shifts by name, its beginning, or kind")
    settings, options = config.load(header, parser=parser)
    fabric = engine.launch(options.device or settings.device, settings.precision)
    name = Path(options.images).absolute().name if options.images else options.set
    output = Path(options.output or Path(settings.dir_checkpoint) / settings.test_name / "shift" / name)
    with opening.asked():
        shifts = suite.choose(options.shift)
        weights, which = weight_files.find_weights(settings)
        model, settings, notes = weight_files.open_network(weights, settings)
        cases, _ = evaluate.choose(options, settings)
        known, told = evaluate.seen(weights, cases)
        model = fast_forward.prepare(model, settings, fabric.device)
        settings = config.replace(settings, shifts=[shift.name for shift in shifts])
        made = runreport.made_with(settings, weights, (*inference.DECISIVE, "pixel_limit", "seed", "shifts"))
        lock.take(output / lock.NAME)
    print(f"{len(cases)} cases, {len(shifts)} shifts; weights: {weights} ({which})")
    for note in notes + told:
        print(f"Note: {note}.")
    work = partial(measure, shifts=shifts, model=model, settings=settings, fabric=fabric)
    told = [(str(case.image.parent), case.name, content(case), case) for case in cases]
    rows, faults = measured.collect(output, told, made, work)
    if not rows:
        sys.exit("segmentation/shift.py: no case could be evaluated:\n" + "\n".join(faults))
    frame = pd.DataFrame(rows)
    summary = measured.write(output, frame, ~frame.case.isin(known).to_numpy(), summarise)
    counts = {"cases": frame.case.nunique(), "failed": len(faults)}
    runreport.write(output / "report.json", settings, fabric, weights, evaluate.PACKAGES, counts)
    measured.end(output, summary, faults)


def content(case: dataset.Case) -> str:
    """A digest of the radiograph and the masks of a case."""
    return digest.of_text("".join(digest.of_files([case.image, *case.masks.values()])))


def measure(case: dataset.Case, shifts, model, settings, fabric) -> tuple[list[dict], list[str]]:
    """A row for a case as it is (shift "none") and for each shift of it, and a sentence for what cannot be evaluated.
    Distances are in pixels of an image whose longer side is 1024."""
    rows, faults = [], []
    try:
        read = radiograph.read_frontal(case.image, settings.pixel_limit)
        truth = drawn_masks.truth(case.masks, read.pixels.shape, read.orientation)
        pixels, drawn = read.pixels, label_map(truth, read.pixels.shape)
    except (BadData, radiograph.Unreadable) as error:
        return [], [f"{case.image}: {error}"]
    for name, kind, changed, labels in measured.versions(shifts, pixels, drawn, settings.seed, case.name):
        try:
            item = segment.prepare_pixels(changed, settings)
        except ValueError as error:
            faults.append(f"{case.image}, {name}: {error}")
            if name == measured.CLEAN:
                break  # there is nothing to compare its shifts with
            continue
        with fabric.autocast():
            small = segment.probabilities(model, [item], settings, fabric.device)[0]
        found, reasons = segment.label_map(small, item)[1:3]
        row = {"case": case.name, "shift": name, "kind": kind} | compare(found, labels, "heart" in truth)
        rows.append(row | {"flagged": float(bool(reasons))})
    return rows, faults


def label_map(truth: dict[str, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The drawn organs as one label map on the radiograph's grid. Where the sides are not told apart, a pixel of lung
    belongs to the side of the middle column of the lungs that it lies on. Raises BadData without both lungs."""
    organs = dict(truth)
    if "lungs" not in organs:
        raise BadData("its masks do not hold both lungs, which the shifts are measured on.")
    if "left" not in organs or "right" not in organs:
        columns = np.arange(organs["lungs"].shape[1])
        middle = np.average(columns, weights=organs["lungs"].sum(0) + 1e-9)
        organs["left"], organs["right"] = (organs["lungs"] & side for side in (columns > middle, columns <= middle))
    labels = np.zeros(organs["left"].shape, np.uint8)
    for name, value in (("right", masks.RIGHT), ("left", masks.LEFT), ("heart", masks.HEART)):
        labels[organs.get(name, np.zeros_like(organs["left"]))] = value
    return cv2.resize(labels, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def compare(found: np.ndarray, drawn: np.ndarray, heart: bool) -> dict[str, float]:
    """Jaccard index and 95 % Hausdorff distance of both lungs, and Jaccard of the heart where it was drawn."""
    found_lungs, lungs = found >= masks.LEFT, drawn >= masks.LEFT
    unit = 1024 / max(found.shape)
    row = {"jaccard_lungs_union": metrics.jaccard(found_lungs, lungs)}
    row["hausdorff95_lungs_union"] = metrics.boundary(found_lungs, lungs, (unit, unit))["hausdorff95"]
    if heart:
        row["jaccard_heart"] = metrics.jaccard(found == masks.HEART, drawn == masks.HEART)
    return row


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a shift: number of cases, mean and 95 % bootstrap interval of the lungs' Jaccard index, mean of its worst
    twentieth, change of the mean against the same cases unshifted, and the means of the other figures."""
    rows = []
    clean = frame[frame["shift"] == measured.CLEAN].set_index("case").jaccard_lungs_union
    for name, group in frame.groupby("shift", sort=False):
        values = group.jaccard_lungs_union.to_numpy()
        low, high = bootstrap.mean_interval(values)
        worst = np.sort(values)[: max(1, len(values) // 20)].mean()
        row = {"shift": name, "kind": group.kind.iloc[0], "n": len(group), "jaccard_lungs_union": values.mean()}
        row |= {"low": low, "high": high, "worst_5_percent": worst}
        row["change"] = (values - clean[group.case].to_numpy()).mean()
        rows.append(row | {column: group[column].mean() for column in SHOWN[1:] if column in group})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
