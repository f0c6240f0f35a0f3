"""How votes hold when the radiographs come from another hospital: the shift suite, and who changes class under it.

    python classification/shift.py                                 the test split, every shift
    python classification/shift.py -i PAIRS --shift copy           other pairs, one kind of shift
    python classification/shift.py repeat=25 file_weights=FILE     fewer patches, other weights

The shifts (cxr/shifts/suite.py) are applied to the radiographs that masks.csv names, before preprocessing; each lung
mask moves along. Writes a row a case and shift (shift.csv) and for each shift the consistency: the share of cases whose
class stays, and the mean change of the probability of that class (shift_summary.csv). An interrupted run goes on.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import pandas as pd

from classification import header
from classification.cases import dataset, finder
from classification.voting import batch, predict, predictions
from cxr import digest, pairs, preprocess, tables
from cxr.reading import radiograph
from cxr.run import engine, opening
from cxr.settings import config
from cxr.shifts import measured, suite
from cxr.stats import proportion

KIND = batch.Kind("shift.csv", (), "shift", (*batch.DECISIVE, "shifts"), ("shifts",))


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    parser.add_argument(
        "-m", "--masks", metavar="FILE", help="masks.csv of these pairs (default: beside them, or in dir_pairs)"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: shift in dir_save/test_name")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--shift", nargs="+", default=[], metavar="NAME", help="shifts by name, its beginning, or kind")
    parser.set_defaults(overwrite=True)
    settings, options = config.load(header, parser=parser)
    try:
        shifts = suite.choose(options.shift)
        run = batch.prepare(KIND, settings, options)
        patient_of, _ = predictions.patients(run.cases, run.inputs, run.settings)
        files, grey = radiographs(Path(options.masks) if options.masks else find_table(options.input, settings))
        run.decide(shifts=[shift.name for shift in shifts])
    except ValueError as error:
        sys.exit(f"classification/shift.py: {error}")
    fabric, settings, model, names, cases = run.fabric, run.settings, run.model, run.names, run.cases
    output = run.output
    print(f"{len(cases)} cases, {len(shifts)} shifts; weights: {run.told}")
    for note in run.notes:
        print(f"Note: {note}.")
    predict.ready(model, fabric.device, settings.compile)

    def rows_of(case: finder.Case) -> tuple[list[dict], list[str]]:
        try:
            return measure(case, files, grey, shifts, model, settings, names, fabric), []
        except (ValueError, FileNotFoundError) as error:
            return [], [f"{case.folder}/{case.case}: {error}"]

    told = [(case.folder, case.case, content(case, files, grey), case) for case in cases]
    rows, faults = measured.collect(output, told, run.made, rows_of)
    if not rows:
        sys.exit("classification/shift.py: no case could be measured:\n" + "\n".join(faults))
    frame = pd.DataFrame(rows)
    keys = list(zip(frame.folder, frame.case, strict=True))
    frame.insert(2, "patient", [patient_of[key] for key in keys])
    summary = measured.write(output, frame, np.array([key not in run.seen for key in keys]), summarise)
    run.report({"cases": len(set(keys)), "failed": len(faults)})
    measured.forget(output)
    print(summary.round(3).to_string(index=False))
    for fault in faults:
        print(f"failed: {fault}")
    print(f"Wrote {output}: shift.csv, shift_summary.csv, report.json.")
    sys.exit(1 if faults else 0)


def find_table(inputs: list[str] | None, settings) -> Path:
    """The masks.csv of the pairs: in or above each folder given; for none, or a split, in dir_pairs. Raises ValueError
    where folders given have none, or several."""
    found = set()
    for given in map(Path, inputs or []):
        near = [place / "masks.csv" for place in (given.absolute(), *given.absolute().parents[:2])]
        split = any((table.parent / "split.csv").is_file() for table in near)
        found.add(next((table for table in near if table.is_file()), None) if not split else None)
        if None in found and not split:
            raise ValueError(
                f"there is no masks.csv in or above {given}, to say where the radiographs are; name it with --masks."
            )
    found.discard(None)
    if len(found) > 1:
        raise ValueError("these folders have a masks.csv each; measure them one by one.")
    return found.pop() if found else Path(settings.dir_pairs) / "masks.csv"


def radiographs(table: Path) -> tuple[dict[tuple[str, str], Path], dict]:
    """The radiograph of each (folder, case) in a masks.csv, and the preprocessing settings in the report.json beside
    it. Raises ValueError with the remedy."""
    if not table.is_file():
        raise ValueError(f"{table} does not exist, which says where the radiographs are; name it with --masks.")
    rows = tables.read(table, ["case", "folder", "file"])
    try:
        settings = tables.json(table.parent / "report.json")["settings"]
        grey = {name: settings[name] for name in ("gamma", "crop_border", "pixel_limit", "equalise")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{table.parent / 'report.json'} does not say how the pairs were preprocessed ({error}); "
            "segment the radiographs again."
        ) from None
    if not grey["equalise"]:
        raise ValueError(f"the pairs of {table} were made with equalise=False, which is not measured here.")
    own = table.absolute().parent.name  # what the pairs of radiographs named singly are known by
    return {(own if row.folder == "." else row.folder, row.case): Path(row.file) for row in rows.itertuples()}, grey


def measure(case: finder.Case, files, grey: dict, shifts, model, settings, names, fabric) -> list[dict]:
    """A row for a case as it is (shift "none") and for each shift of it. Raises ValueError, FileNotFoundError."""
    if (case.folder, case.case) not in files:
        raise ValueError("masks.csv has no such case; name the masks.csv of these pairs with --masks.")
    pixels = radiograph.read(files[case.folder, case.case], grey["pixel_limit"]).pixels
    lungs = lung_labels(case, pixels.shape)
    rows = []
    for shift in (None, *shifts):
        changed, labels = pixels, lungs
        if shift:
            rng = engine.generator(settings.seed, "shift", shift.name, case.case)
            changed, labels = suite.shifted(shift, pixels, lungs, rng)
        box = preprocess.content_box(changed) if grey["crop_border"] else None
        image = preprocess.preprocess(changed, grey["gamma"], box)
        mask = (labels >= suite.LUNGS[0]).astype(np.uint8)
        if not mask.any():
            continue  # moved out of the image
        size = settings.patch_size if settings.approach == "global" else settings.img_size
        image, lung = dataset.prepare(image, mask, size, settings.resolution)
        with fabric.autocast():
            p, _ = predict.predict_image(model, image, lung, settings, case.case, fabric.device)
        vote = predict.tally(p, settings.vote, predict.drawn(settings))
        row = {"case": case.case, "folder": case.folder, "label": "" if case.label is None else names[case.label]}
        row |= {"shift": shift.name if shift else measured.CLEAN, "kind": shift.kind if shift else measured.CLEAN}
        row |= {"predicted": names[vote["predicted"]]}
        rows.append(row | {f"p_{name}": round(float(p), 6) for name, p in zip(names, vote["p"], strict=True)})
    return rows


def content(case: finder.Case, files, grey: dict) -> str:
    """A digest of what the rows of a case are made from, beside the weights and settings: radiograph, pair, grey."""
    file = files.get((case.folder, case.case))
    return digest.of_text(f"{file and digest.of_file(file)} {digest.of_pair(case.place, case.case)} {grey}")


def lung_labels(case: finder.Case, shape: tuple[int, int]) -> np.ndarray:
    """The label map of a case on its radiograph's grid. Where it does not agree with the lung mask, which may have been
    corrected by hand, or is missing, the mask counts, divided into sides at its middle column."""
    labels, mask = pairs.load_labels(case.place, case.case), pairs.load(case.place, case.case)[1]
    if labels is None or not np.array_equal(labels >= suite.LUNGS[0], mask):
        middle = np.average(np.arange(mask.shape[1]), weights=mask.sum(0))
        sides = np.where(np.arange(mask.shape[1]) > middle, *suite.LUNGS)
        labels = (mask * sides).astype(np.uint8)
    if labels.shape != shape:
        raise ValueError(f"its pair is {labels.shape} and its radiograph {shape} pixels; segment it again.")
    return labels


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a shift: cases, consistency with its exact 95 % interval over patients, mean change of the probability of
    the class predicted without the shift, and accuracy where the cases have labels."""
    clean = frame[frame["shift"] == measured.CLEAN].set_index(["folder", "case"])
    table = []
    for name, group in frame.groupby("shift", sort=False):
        before = clean.loc[list(zip(group.folder, group.case, strict=True))]
        same = group.predicted.to_numpy() == before.predicted.to_numpy()
        columns = [f"p_{predicted}" for predicted in before.predicted]
        was, now = (
            np.array([row[name] for (_, row), name in zip(part.iterrows(), columns, strict=True)])
            for part in (before, group)
        )
        known = name == measured.CLEAN  # stays by definition
        low, high = (np.nan, np.nan) if known else proportion.of_cases(same, group.patient.to_numpy())
        row = {"shift": name, "kind": group.kind.iloc[0], "n": len(group), "consistency": same.mean()}
        row |= {"low": low, "high": high, "mean_change_of_p": (now - was).mean()}
        labelled = group[group.label != ""]
        row["accuracy"] = (labelled.predicted == labelled.label).mean() if len(labelled) else np.nan
        table.append(row)
    return pd.DataFrame(table)


if __name__ == "__main__":
    main()
