"""Calibrate the probabilities of weights on validation cases, without training them again.

    python classification/calibrate.py                                        the run test_name, on dir_split/val
    python classification/calibrate.py file_weights=FILE -i FOLDER -o NEW     other weights and pairs, to another file
    python classification/calibrate.py --predictions FILE       a predictions.csv made with calibrate=False

Fits a temperature and the thresholds of the conformal sets by the vote of `repeat` patches, and writes them into the
weights file, or into a copy of it (-o). train.py does the same at its end. Give cases that chose the weights at most,
never those that they were trained on: there the network is too sure.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from classification import header
from classification.cases import finder
from classification.cases.classes import class_map
from classification.model import classifier, weightfile
from classification.voting import calibration, effect, fitting, predictions
from cxr.run import caselist, engine, lock
from cxr.settings import config

NEXT = ("dir_split", "test_name", "dir_save", "file_metadata", "device", *effect.DECISIVE)  # for inference.py


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="labelled pairs (default: dir_split/val)")
    source.add_argument("-p", "--predictions", metavar="FILE", help="predictions.csv of raw probabilities instead")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: the weights file itself")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    settings, options = config.load(header, parser=parser)
    fabric = engine.launch(options.device or settings.device, settings.precision)
    with opening.asked():
        weights, which = weightfile.find_weights(settings)
        if not isinstance(weights, Path):
            raise ValueError(f"{len(weights)} networks keep no calibration together: name one with file_weights=FILE.")
        if weights == weightfile.SHIPPED and not options.output and not settings.file_weights:
            raise ValueError(f"there is no run {settings.test_name}; the weights that ship stay: give -o FILE.")
        output = Path(options.output or weights)
        if output.suffix != weights.suffix:
            raise ValueError(f"{output} must end in {weights.suffix}, as {weights} does.")
        if fabric.is_global_zero:
            lock.take(output.parent / lock.NAME)
        fabric.print(f"Weights: {weights} ({which})")
        if options.predictions:
            found = fitting.of_table(Path(options.predictions), weights, settings)
        else:
            inputs = options.input or [Path(settings.dir_split) / "val"]
            cases = labelled(weights, settings, inputs)
            patient_of, notes = predictions.patients(cases, inputs, settings)
            for note in notes:
                fabric.print(f"Note: {note}.")
            patients = [patient_of[case.folder, case.case] for case in cases]
            found = fitting.of_cases(fabric, weights, settings, cases, patients)
        if fabric.is_global_zero:
            calibration.keep(weights, found, output)
    fabric.print(fitting.told(found))
    words = [*(["-d", options.device] if options.device else []), f"file_weights={output}"]
    following = config.command("classification/inference.py", settings, NEXT, *words)
    fabric.print(f"Wrote {output}. Next: {following}")


def labelled(weights: Path, settings, inputs: list) -> list[finder.Case]:
    """The cases of some folders whose class the weights know. Raises ValueError if they were trained on any."""
    _, used, _, _ = classifier.open_classifier(weights, settings)
    _, folders = class_map(used.classes, [])
    cases = [case for case in finder.find(inputs, folders).cases if case.label is not None]
    seen, _ = caselist.seen(weights, map(finder.about, cases))
    count = sum(part == "train" for part in seen.values())
    if count:
        raise ValueError(
            f"the weights were trained on {count} of the {len(cases)} cases: give others with -i, as data/split/val."
        )
    return cases


if __name__ == "__main__":
    main()
