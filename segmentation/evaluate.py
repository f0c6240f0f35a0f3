"""Compare lungs and heart with hand-drawn masks.

    python segmentation/evaluate.py                                      the JSRT test cases under dir_data_root
    python segmentation/evaluate.py --set montgomery                     the Montgomery set under dir_data_root
    python segmentation/evaluate.py -i IMAGES -m MASKS -o FOLDER         any images with any masks
    python segmentation/evaluate.py --set montgomery --cases names.txt   only the cases a file lists

Writes one row per case (metrics.csv), mean, SD and 95 % bootstrap interval (summary.csv), the worst cases (worst.csv)
and box plots.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import numpy as np
import pandas as pd
from tqdm import tqdm

from cxr import tables, writing
from cxr.errors import BadData
from cxr.figures import boxes
from cxr.reading import radiograph, turn
from cxr.run import caselist, engine, lock, runreport
from cxr.settings import config
from cxr.stats import metrics
from segmentation import dataset, drawn_masks, fast_forward, header, inference, segment, transforms
from segmentation import weights as weight_files

PACKAGES = ("torch", "numpy", "opencv-python-headless", "scipy", "lightning-fabric")  # what computes the tables


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: evaluation/<set> in the run's folder")
    settings, options = config.load(header, parser=parser)
    fabric = engine.launch(options.device or settings.device, settings.precision)
    name = Path(options.images).absolute().name if options.images else options.set
    output = Path(options.output or Path(settings.dir_checkpoint) / settings.test_name / "evaluation" / name)
    with opening.asked():
        weights, which = weight_files.find_weights(settings)
        model, settings, notes = weight_files.open_network(weights, settings)
        cases, groups = choose(options, settings)
        known, told = seen(weights, cases)
        unknown = caselist.unseen(weights)
        model = fast_forward.prepare(model, settings, fabric.device)
        lock.take(output / lock.NAME)
    print(f"{len(cases)} cases; weights: {weights} ({which})")
    for note in notes + told:
        print(f"Note: {note}.")
    if known:
        groups[caselist.REST] = [case.name for case in cases if case.name not in known]
    rows, faults = measure(cases, model, settings, fabric)
    if not rows:
        sys.exit("segmentation/evaluate.py: no case could be evaluated:\n" + "\n".join(faults))
    frame = pd.DataFrame(rows)
    frame.insert(1, caselist.NAME, [known.get(case, unknown) for case in frame.case])
    writing.csv(output / "metrics.csv", frame)
    tables = []
    for group, names in groups.items():
        chosen = frame[frame.case.isin(names)]
        if len(chosen):
            tables.append(metrics.summarise(chosen.drop(columns=["case", caselist.NAME])).assign(group=group))
            draw(chosen, output, group, name)
    summary = pd.concat(tables, ignore_index=True)
    summary = summary[["group", *[column for column in summary.columns if column != "group"]]]
    writing.csv(output / "summary.csv", summary)
    counts = {"ok": len(rows), "failed": len(faults)}
    runreport.write(output / "report.json", settings, fabric, weights, PACKAGES, counts)
    print(summary[summary.metric.str.startswith(("jaccard", "dice"))].round(4).to_string(index=False))
    lowest = worst(frame)
    writing.csv(output / "worst.csv", lowest)
    for organ, rows_of in lowest.groupby("organ", sort=False):
        told = ", ".join(f"{row.case} {row.jaccard:.3f}" for row in rows_of.itertuples())
        print(f"Lowest Jaccard index, {organ.replace('_', ' ')}: {told}.")
    for fault in faults:
        print(f"failed: {fault}")
    following = next_step(settings, weights, options.device)
    print(f"Wrote {output}: metrics.csv, summary.csv, worst.csv, report.json, box plots. Next: {following}")
    sys.exit(1 if faults else 0)


def next_step(settings, weights: Path, device: str | None) -> str:
    """The command that makes such masks as were evaluated, by the same weights and settings, on the device of -d."""
    on, names = ["-d", device] if device else [], (*inference.DECISIVE, "device")
    return config.command("segmentation/inference.py", settings, names, *on, f"file_weights={weights}") + " -i FOLDER"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags that say which cases to evaluate on, as choose() reads them."""
    parser.add_argument("--set", choices=("jsrt", "montgomery"), default="jsrt", help="a known set in dir_data_root")
    parser.add_argument("-i", "--images", metavar="FOLDER", help="radiographs to evaluate on instead")
    parser.add_argument("-m", "--masks", metavar="FOLDER", help="their masks: label images, lungs, or organ folders")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--cases", metavar="FILE", help="text file with the names of the cases to use, one per line")


def choose(options, settings) -> tuple[list[dataset.Case], dict[str, list[str]]]:
    """The cases to evaluate, and the groups of their names to report. Raises ValueError."""
    if bool(options.images) != bool(options.masks):
        raise ValueError("-i and -m belong together: the radiographs, and their masks.")
    if options.images:
        cases = dataset.image_folder(Path(options.images), Path(options.masks))
        groups = {"all": cases}
    elif options.set == "montgomery":
        cases = dataset.montgomery(Path(settings.dir_data_root))
        groups = {"all": cases, "normal": [c for c in cases if c.name.endswith("_0")]}
        groups["tuberculosis"] = [c for c in cases if c.name.endswith("_1")]
    else:
        parts = dataset.official_split(dataset.jsrt(Path(settings.dir_data_root)), settings.split_seed)
        cases = parts["val"] + parts["test"]
        # The authors report on validation and test cases together, using only those without nodules.
        normal = [c for c in cases if c.name.startswith("JPCNN")]
        groups = {"clean test": parts["test"], "authors' test": cases, "authors' normals": normal}
    if options.cases:
        if not Path(options.cases).is_file():
            raise ValueError(f"{options.cases} is not a file; --cases takes a text file of case names, one per line.")
        listed = tables.decoded(Path(options.cases).read_bytes())
        wanted = [line.strip() for line in listed.splitlines() if line.strip()]
        missing = sorted(set(wanted) - {case.name for case in cases})
        if missing:
            raise ValueError(f"{options.cases} names cases that are not in the set: {', '.join(missing[:5])}.")
        cases = [case for case in cases if case.name in wanted]
        groups = {Path(options.cases).stem: cases}
    return cases, {group: [case.name for case in members] for group, members in groups.items()}


def seen(weights: Path, cases: list[dataset.Case]) -> tuple[dict[str, str], list[str]]:
    """Which of the cases the weights were trained on, {name: train or val}, and sentences for the user."""
    known, notes = caselist.seen(weights, [(case.name, case.image.parent.name, case.image) for case in cases])
    return {name: part for (_, name), part in known.items()}, notes


def measure(cases, model, settings, fabric) -> tuple[list[dict], list[str]]:
    """A row of metrics for each case, on the grid of its masks, and a sentence for each that cannot be evaluated.

    Distances are in pixels of an image 1024 high or wide, as the literature gives them for JSRT (the larger side of
    the mask counts as 1024), and again in mm where the radiograph tells its spacing.
    """
    rows, faults, turned = [], [], 0
    for case in tqdm(cases, "cases"):
        try:
            item = segment.prepare(case.image, settings)
            truth = drawn_masks.truth(case.masks, item.image.shape, item.orientation)
        except (BadData, radiograph.Unreadable) as error:
            faults.append(str(error))
            continue
        with fabric.autocast():
            small = segment.probabilities(model, [item], settings, fabric.device)[0]
        _, labels, reasons, _ = segment.label_map(small, item)
        turned += item.orientation != turn.UPRIGHT
        height, width = next(iter(truth.values())).shape
        if labels.shape != (height, width):
            labels = transforms.resized_labels(labels == np.array([1, 2, 3])[:, None, None], height, width)
        unit = 1024 / max(height, width)
        mediastinum = truth.pop("mediastinum", None)
        row = {"case": case.name, **metrics.organs(labels, truth, boundary=True, spacing=(unit, unit))}
        if item.spacing_mm:
            steps = np.array(item.spacing_mm) * item.image.shape / np.array([height, width])
            if np.isclose(*steps):
                distances = [key for key in row if key.startswith(("hausdorff", "surface"))]
                row |= {f"{key}_mm": row[key] / unit * float(steps[0]) for key in distances}
        if mediastinum is not None:
            row |= metrics.outside_mediastinum(labels, truth, mediastinum)
        rows.append(row | {"flagged": float(bool(reasons))})
    if turned:
        print(
            f"Note: {turned} of {len(rows)} radiographs are turned upright by EXIF or PatientOrientation; their masks "
            "were taken as drawn on the stored pixels and turned with them."
        )
    return rows, faults


def worst(frame: pd.DataFrame) -> pd.DataFrame:
    """Of the union of the lungs and of the heart the five cases with the lowest Jaccard index, lowest first: organ,
    case, jaccard, flagged."""
    tables = [pd.DataFrame(columns=["organ", "case", "jaccard", "flagged"])]
    for organ in ("lungs_union", "heart"):
        if f"jaccard_{organ}" in frame:
            named = frame.rename(columns={f"jaccard_{organ}": "jaccard"}).assign(organ=organ)
            tables.append(named.dropna(subset="jaccard").nsmallest(5, "jaccard")[tables[0].columns])
    return pd.concat(tables[1:] or tables, ignore_index=True)


def draw(frame: pd.DataFrame, output: Path, group: str, name: str) -> None:
    """A box plot of the Jaccard indices of one group."""
    values = {c.removeprefix("jaccard_").replace("_", " "): frame[c] for c in frame if c.startswith("jaccard_")}
    file = "jaccard_" + "".join(c if c.isalnum() else "_" for c in group) + ".png"
    boxes.draw([("Jaccard index", "", values)], list(values), output / file, f"{name}, {group}: {len(frame)} cases")


if __name__ == "__main__":
    main()
