"""Predict the class of pairs by the vote of many patches of the lung.

    python classification/inference.py                              the test split
    python classification/inference.py -i output -o FOLDER          any folders of pairs, with or without class folders
    python classification/inference.py file_weights=FILE repeat=25  other weights, fewer patches
    torchrun --nproc-per-node 2 classification/inference.py         several processes share the work

Writes predictions.csv, one row per case, to dir_save/<test_name>/ or -o, and, if the folders give the classes,
metrics.json with intervals over patients, confusion.png, roc.png and reliability.png. Finished cases are skipped.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from classification import header
from classification.cases import dataset
from classification.model.weightfile import find_weights
from classification.patches import patch
from classification.voting import batch, predict, predictions
from cxr import pairs
from cxr.run import engine, journal, runreport
from cxr.settings import config

# What decides a prediction, and what computes it
DECISIVE = (
    "approach",
    "precision",
    "img_size",
    "resolution",
    "patch_size",
    "input_scaling",
    "classes",
    "repeat",
    "vote",
    "sampling",
    "seed",
)
PACKAGES = ("torch", "torchvision", "numpy", "lightning-fabric")
MEASURED = ("metrics.json", "confusion.png", "roc.png", "reliability.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="where the table goes (default: dir_save/test_name)")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--overwrite", action="store_true", help="predict finished cases again")
    settings, options = config.load(header, parser=parser)
    start = time.perf_counter()
    fabric = engine.launch(options.device or settings.device, settings.precision)
    output = Path(options.output or Path(settings.dir_save) / settings.test_name).absolute()
    try:
        inputs = options.input or [predictions.default_input(settings)]
        weights, which = find_weights(settings)
        model, settings, names, cases, notes = batch.begin(weights, inputs, settings, DECISIVE)
        patient_of, unknown = predictions.patients(cases, inputs, settings)
        changed = batch.differs(output, settings, weights, options.overwrite, batch.decisive(settings, DECISIVE))
    except ValueError as error:
        sys.exit(f"classification/inference.py: {error}")
    fabric.print(f"{len(cases)} cases; classes: {', '.join(names)}; weights: {weights} ({which})")
    labelled = any(case.label is not None for case in cases)
    for note in notes + (unknown if labelled else []):  # the patient of a case matters for intervals only
        fabric.print(f"Note: {note}.")
    # not fabric.setup: processes with unequal work must not wait for each other
    predict.ready(model, fabric.device, settings.compile)

    fabric.barrier()
    keys = {(case.folder, case.case) for case in cases}
    if fabric.is_global_zero:
        output.mkdir(parents=True, exist_ok=True)
        if changed:  # rows made otherwise must not stand beside new ones
            journal.clear(output / predictions.TABLE)
        # Forget them first: if an overwriting run is killed, old cases must not count as new.
        predictions.merge(output, keys if options.overwrite else frozenset())
        runreport.write(output / "report.json", settings, fabric, weights, PACKAGES)
        for name in MEASURED:  # they belong to the cases of one run
            (output / name).unlink(missing_ok=True)
    fabric.barrier()
    done = predictions.finished(output)
    mine = [c for c in cases[fabric.global_rank :: fabric.world_size] if (c.folder, c.case) not in done]
    with predictions.journal(output, fabric.global_rank) as write:
        for case, result in results(fabric, model, mine, settings):
            write(predictions.row(case, patient_of[case.folder, case.case], names, result))
    fabric.barrier()
    if not fabric.is_global_zero:
        return
    rows = predictions.merge(output, patient_of=patient_of)
    rows = rows[[key in keys for key in zip(rows.folder, rows.case, strict=True)]]
    counts = {status: int((rows.status == status).sum()) for status in ("ok", "failed")}
    for reason in rows.reason[rows.status == "failed"]:
        print(f"failed: {reason}")
    print(f"{counts['ok']} ok, {counts['failed']} failed ({len(done & keys)} were finished before).")
    measured = rows[rows.label != ""]
    if (measured.status == "ok").any():
        measure(output, measured, names, [str(given) for given in inputs])
    written = [name for name in MEASURED if (output / name).exists()]
    seconds = time.perf_counter() - start
    runreport.write(output / "report.json", settings, fabric, weights, PACKAGES, counts, seconds)
    print(
        f"Wrote {output}: {', '.join([predictions.TABLE, *written, 'report.json'])}. "
        f"Next: look at the cases with {'small p' if settings.approach == 'global' else 'the highest vote_entropy'}."
    )
    sys.exit(1 if counts["failed"] else 0)


def results(fabric, model, cases: list[dataset.Case], settings):
    """Each case with its tally, coverage and number of patches, or with the reason, as text, why it has none."""
    for case, item in batch.read(cases, settings, fabric.is_global_zero):
        if isinstance(item, pairs.BadPair):
            yield case, f"{case.folder}: {item}"
            continue
        with fabric.autocast():
            p, centres = predict.predict_image(model, *item, settings, case.case, fabric.device)
        if not np.isfinite(p).all():
            yield case, f"{case.folder}: {case.case}: the network returns NaN or Inf; try precision=32-true."
            continue
        covered = patch.coverage(item[1], centres, settings.patch_size)
        yield case, predict.tally(p, settings.vote, predict.drawn(settings)) | {"coverage": covered, "patches": len(p)}


def measure(output: Path, rows, names: list[str], inputs: list[str]) -> None:
    """Write metrics.json and the figures of labelled rows, and print the metrics."""
    # Here, since these bring sklearn, scipy.stats and matplotlib, 1 to 2 s that only this function needs
    from cxr.figures import diagrams
    from cxr.stats import scores

    good = rows[rows.status == "ok"]
    truth, predicted, p, patients = predictions.columns(good, names)
    found = scores.classification(truth, predicted, p, names, patients)
    found |= {"classes": names, "input": inputs, "failed": len(rows) - len(good)}
    fresh = output / "metrics.json.tmp"
    fresh.write_text(json.dumps(found, indent=1) + "\n")
    os.replace(fresh, output / "metrics.json")
    diagrams.confusion(np.array(found["confusion"]), names, output / "confusion.png")
    diagrams.roc(truth, p, names, output / "roc.png", found["per_class"])
    diagrams.reliability(truth, p, output / "reliability.png", found["overall"]["ece"])
    print("\n".join(scores.lines(found)))


if __name__ == "__main__":
    main()
