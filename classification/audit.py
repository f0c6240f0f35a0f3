"""Lungs or hospital? Audit a run and its data: how far could the answer come from something other than disease?

    python classification/audit.py                                  the test split and its predictions
    python classification/audit.py -i output -p FILE                other pairs, other predictions
    python classification/audit.py --parts outside within           only these parts

-p may hold the pooled predictions of a cross-validation (columns fold and seed). What is known of a radiograph comes
from file_metadata (source, view, sex, age) and from the file that masks.csv names; what is not known is named as not
tested. Writes audit.json, audit_<part>.csv, audit.png and report.json, in place of an earlier audit;
classification/report.py shows it where it lies in the folder audit of the predictions.

  outside   can numbers that see no lung tell the class?
  within    are classes told apart within one source?
  controls  where is the signal: in the lungs, or in what is left without them?
  sources   can the hospital be read from the network's features?
  travel    is a class recognised at a source that training has not seen?
  copies    who changes class when a radiograph is copied? 40 cases
  patients  predictive values, subgroups, net benefit
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from classification import header
from classification.trust import controls, copies, leakage, patients, probes, sources, subject, travel, within
from classification.trust.part import Part
from classification.voting import predictions
from cxr import digest, version, writing
from cxr.figures import forest, plots
from cxr.run import engine, lock, runreport
from cxr.settings import config

PARTS = {
    "outside": probes.measure,
    "within": within.measure,
    "controls": controls.measure,
    "sources": sources.measure,
    "travel": travel.measure,
    "leakage": leakage.measure,
    "copies": copies.measure,
    "patients": patients.measure,
}
FILE, PICTURE = "audit.json", "audit.png"
# Which figures audit.png shows of a part: names that begin so; and what is added to its title
ACCURACIES = {"outside": ("accuracy: ", ""), "controls": ("retrained, ", " Balanced accuracy")}
PACKAGES = ("scikit-learn", "numpy", "pandas", "torch")


@opening.script
def main() -> None:
    start = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    parser.add_argument("-p", "--predictions", metavar="FILE", help="default: predictions.csv in dir_save/test_name")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: audit beside the predictions")
    parser.add_argument(
        "-m", "--masks", metavar="FILE", help="masks.csv (default: that of the pairs, or of a split's pairs)"
    )
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, metavar="PART", help="default: all")
    told = "of patients with a class, for predictive values (0.02 0.1 0.3)"
    parser.add_argument("--prevalence", nargs="+", type=float, default=[*patients.PREVALENCES], help=told)
    settings, options = config.load(header, parser=parser)
    folder = Path(settings.dir_save) / settings.test_name
    table = Path(options.predictions or folder / predictions.TABLE).absolute()
    output = Path(options.output or table.parent / "audit").absolute()
    table = table if options.predictions or table.is_file() else None
    fabric = engine.launch(options.device or settings.device, settings.precision)
    with opening.asked():
        if not all(0 < share < 1 for share in options.prevalence):
            raise ValueError("--prevalence takes shares between 0 and 1.")
        examined, weights, notes = subject.gather(settings, fabric.device, options.input, table, options.masks)
    own = {"prevalence": options.prevalence, "dir_audit": str(output), "file_masks": options.masks or ""}
    examined.settings = config.replace(examined.settings, **own)
    counts = {"cases": len(examined.cases), "patients": len(set(examined.patient))}
    print(f"{counts['cases']} cases of {counts['patients']} patients; classes: {', '.join(examined.names)}")
    if table is None:
        notes.append("there are no predictions, so only the data are examined; name some with -p")
    for note in notes:
        print(f"Note: {note}.")
    lock.take(output / lock.NAME)
    found = []
    for name, measure in PARTS.items():
        if name in options.parts:
            found.append(measure(examined))
            print(f"\n{text(found[-1])}", flush=True)
    about = {"project": version.about(), "predictions": table and str(table), "classes": examined.names} | counts
    about |= {"digest": digest.of_file(table)} if table else {}
    written = write(output, about, found)
    places = options.input or sorted({str(one.place) for one in examined.cases})
    made = examined.settings, fabric, weights, PACKAGES, counts, time.perf_counter() - start, places
    runreport.write(output / "report.json", *made)
    following = [f"look at {PICTURE if PICTURE in written else FILE}"]
    if table and output == table.parent / "audit":
        following += [config.command("classification/report.py", settings, ["dir_pairs"], "-i", str(table.parent))]
    print(f"\nWrote {output}: {', '.join([*written, 'report.json'])}. Next: {', then '.join(following)}")


def text(part: Part) -> str:
    """A part as a person reads it on the console."""
    verdict = {True: "accused", False: "not accused", None: "not tested"}[part.accused]
    lines = [f"{part.title} [{verdict}]", f"  {part.verdict}", f"  {part.means}"]
    return "\n".join(lines + ([f"  Not tested: {part.missing}"] if part.missing else []))


def write(output: Path, about: dict, found: list[Part]) -> list[str]:
    """Write audit.json, the tables and the figure; returns their names. Those of an earlier audit go."""
    for old in (*output.glob("audit_*.csv"), output / PICTURE, output / FILE):
        old.unlink(missing_ok=True)
    written, lines = [FILE], {}
    for part in found:
        if part.table is not None:
            written.append(f"audit_{part.key}.csv")
            writing.csv(output / written[-1], part.table.round(6))
        begins, added = ACCURACIES.get(part.key, ("", ""))
        shown = [one for one in part.figures if begins and one.name.startswith(begins) and one.low is not None]
        if shown:
            lines[part.title + added] = [(one.name.removeprefix(begins), *one[1:4]) for one in shown]
    if lines:
        plots.save(forest.values(lines, "Accuracy with its 95 % interval over patients"), output / PICTURE)
        written.append(PICTURE)
    writing.json(output / FILE, about | {"parts": {part.key: as_json(part) for part in found}})
    return written


def as_json(part: Part) -> dict:
    """A part as plain types, None for NaN; its table is a file of its own."""
    held = {name: getattr(part, name) for name in ("title", "means", "verdict", "accused", "missing")}
    rows = [one._asdict().items() for one in part.figures]
    return held | {"figures": [{k: None if v != v else v for k, v in row} for row in rows]}


if __name__ == "__main__":
    main()
