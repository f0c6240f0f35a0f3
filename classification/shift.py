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

from cxr.run import opening  # isort: split

import numpy as np
import pandas as pd

from classification import header
from classification.cases import finder
from classification.splitting import known
from classification.trust import shifted
from classification.voting import batch, effect, predict, predictions
from cxr import digest
from cxr.settings import config
from cxr.shifts import measured, suite

KIND = batch.Kind("shift.csv", (), "shift", (*effect.DECISIVE, "shifts"), ("shifts",))


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    parser.add_argument(
        "-m", "--masks", metavar="FILE", help="masks.csv (default: that of the pairs, or of a split's pairs)"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: shift in dir_save/test_name")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--shift", nargs="+", default=[], metavar="NAME", help="shifts by name, its beginning, or kind")
    parser.set_defaults(overwrite=True)
    settings, options = config.load(header, parser=parser)
    with opening.asked():
        shifts = suite.choose(options.shift)
        run = batch.prepare(KIND, settings, options)
        patient_of, _ = predictions.patients(run.cases, run.inputs, run.settings)
        table = Path(options.masks) if options.masks else known.one_masks_table(run.inputs, settings)
        files, grey = shifted.radiographs(run.cases, table, settings)
        run.decide(shifts=[shift.name for shift in shifts])
    fabric, settings, model, names, cases = run.fabric, run.settings, run.model, run.names, run.cases
    output = run.output
    print(f"{len(cases)} cases, {len(shifts)} shifts; weights: {run.told}")
    for note in run.notes:
        print(f"Note: {note}.")
    predict.ready(model, fabric.device, settings.compile)

    def answer(image, lung, case):
        with fabric.autocast():
            return predict.predict_image(model, image, lung, settings, case, fabric.device)[0]

    def rows_of(case: finder.Case) -> tuple[list[dict], list[str]]:
        try:
            return shifted.measure(case, files, grey, shifts, settings, names, answer, run.calibrated), []
        except (ValueError, FileNotFoundError) as error:
            return [], [f"{case.folder}/{case.case}: {error}"]

    told = [(case.folder, case.case, content(case, files, grey), case) for case in cases]
    rows, faults = measured.collect(output, told, run.made, rows_of)
    if not rows:
        sys.exit("classification/shift.py: no case could be measured:\n" + "\n".join(faults))
    frame = pd.DataFrame(rows)
    keys = list(zip(frame.folder, frame.case, strict=True))
    frame.insert(2, "patient", [patient_of[key] for key in keys])
    summary = measured.write(output, frame, np.array([key not in run.seen for key in keys]), shifted.summarise)
    run.report({"cases": len(set(keys)), "failed": len(faults)})
    measured.end(output, summary, faults)


def content(case: finder.Case, files, grey: dict) -> str:
    """A digest of what the rows of a case are made from, beside the weights and settings: radiograph, pair, grey."""
    file = files.get((case.folder, case.case))
    return digest.of_text(f"{file and digest.of_file(file)} {digest.of_pair(case.place, case.case)} {grey}")


if __name__ == "__main__":
    main()
