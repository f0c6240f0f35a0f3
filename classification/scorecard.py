"""Are the saliency maps worth looking at? Scores of the maps, compared with null maps that ignore the class.

    python classification/scorecard.py                                   the test split
    python classification/scorecard.py -i FOLDER --lesions LESIONS       any folder of pairs, with lesion masks
    python classification/scorecard.py --scores lesion lung              only these scores, the quick ones
    torchrun --nproc-per-node 2 classification/scorecard.py              several processes share the work

LESIONS/<folder>/<case>.png (or .npy) is 0 outside the lesion, on the radiograph's grid. data/make_phantom.py writes
such masks; its seed fixes their contrasts before any map is made. Misclassified cases are counted but not scored; a
case without a label is scored for its predicted class.

  lesion     pointing_<map>, mass_lesion_<map>: does the greatest value lie in the lesion; which share of the sum
  lung       mass_lung_<map>: the share of the sum that lies in the lungs
  deletion   deletion_<map>, insertion_<map>: areas under the class's probability while the lung is blanked, or
             restored, in the order of the map
  agreement  agreement_<map>_<K>: rank correlation of the maps of two seeds by K patches each
  layers     similarity_<layers>: rank correlation with the map of a network with randomised last layers

<map> is saliency, centre (a blob in the middle of the lungs), lung (the mask), coverage (how many patches cover a
pixel), or noise (random, as blurred as the map, same values). Writes scorecard.csv, one row per case; scorecard.json,
the mean differences to the null maps with 95 % bootstrap intervals over patients, for each class, for the focal classes
(lesion under a quarter of the lung, in the median) and the diffuse ones; scorecard.png. Finished cases are skipped.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from classification import header
from classification.map_scores import casescore, criteria, summary
from classification.model.weightfile import find_weights
from classification.saliency import grad_cam
from classification.voting import batch, predict, predictions
from classification.voting.predictions import default_input
from cxr.run import engine, journal, runreport
from cxr.settings import config

TABLE = "scorecard.csv"
DECISIVE = (
    "approach",
    "precision",
    "img_size",
    "resolution",
    "patch_size",
    "input_scaling",
    "classes",
    "repeat",
    "repeat_val",
    "vote",
    "sampling",
    "seed",
    "method",
    "scores",
    "steps",
    "draws",
    "lesions",
)
ALWAYS = ("seed",)  # draws the null maps, whatever the approach
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "lightning-fabric")
_TEXT = ("case", "folder", "patient", "label", "predicted", "status", "reason")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: scorecard in dir_save/test_name")
    parser.add_argument("-l", "--lesions", metavar="LESIONS", help="folder of lesion masks")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument("--method", default="gradcam", choices=grad_cam.METHODS, help="as in visualize_cnn.py")
    parser.add_argument(
        "--scores",
        nargs="+",
        default=list(casescore.SCORES),
        choices=casescore.SCORES,
        metavar="SCORE",
        help="some of those above (default: all)",
    )
    parser.add_argument(
        "--steps", type=int, default=6, help="steps in which the lung is blanked (6); each evaluates repeat_val patches"
    )
    parser.add_argument("--draws", type=int, default=8, help="random maps whose lesion scores are averaged (8)")
    parser.add_argument("--overwrite", action="store_true", help="score finished cases again")
    settings, options = config.load(header, parser=parser)
    start = time.perf_counter()
    fabric = engine.launch(options.device or settings.device, settings.precision)
    output = Path(options.output or Path(settings.dir_save) / settings.test_name / "scorecard").absolute()
    try:
        if options.steps < 2 or options.draws < 1:
            raise ValueError("--steps must be 2 or more, and --draws 1 or more.")
        lesions = None if options.lesions is None else Path(options.lesions).absolute()
        if lesions and not lesions.is_dir():
            raise ValueError(f"there is no folder {lesions}; give one of lesion masks with --lesions, or leave it out.")
        inputs = options.input or [default_input(settings)]
        weights, which = find_weights(settings)
        model, settings, names, cases, notes = batch.begin(weights, inputs, settings, DECISIVE, ALWAYS)
        patients, unknown = predictions.patients(cases, inputs, settings)
        settings = batch.with_options(
            settings,
            method=options.method,
            scores=sorted(options.scores),
            steps=options.steps,
            draws=options.draws,
            lesions=str(lesions or ""),
        )
        changed = batch.differs(
            output, settings, weights, options.overwrite, batch.decisive(settings, DECISIVE, ALWAYS)
        )
    except ValueError as error:
        sys.exit(f"classification/scorecard.py: {error}")
    fabric.print(f"{len(cases)} cases; classes: {', '.join(names)}; weights: {weights} ({which})")
    for note in notes + unknown:
        fabric.print(f"Note: {note}.")

    fabric.barrier()
    keys = {(case.folder, case.case) for case in cases}
    table = output / TABLE
    if fabric.is_global_zero:
        if changed:
            journal.clear(table)
        journal.merge(table, _TEXT, keys if options.overwrite else frozenset())
        runreport.write(output / "report.json", settings, fabric, weights, PACKAGES)
    fabric.barrier()
    done = set()
    if table.exists():
        rows = journal.read(table, _TEXT)
        done = {
            key
            for key, status in zip(zip(rows.folder, rows.case, strict=True), rows.status, strict=True)
            if status != "failed"
        }
    mine = [c for c in cases[fabric.global_rank :: fabric.world_size] if (c.folder, c.case) not in done]
    # Drawn on the CPU, before they are moved, so that every device gets the same ones.
    networks = criteria.randomised(model, settings.seed) if mine and "layers" in options.scores else {}
    for network in (model, *networks.values()):
        predict.ready(network, fabric.device, settings.compile)
    with journal.writer(table, fabric.global_rank) as write:
        for case, item in batch.read(mine, settings, fabric.is_global_zero):
            about = {"case": case.case, "folder": case.folder, "patient": patients[case.folder, case.case]}
            with fabric.autocast():
                write(about | casescore.score(model, networks, case, item, settings, names, fabric.device, lesions))
    fabric.barrier()
    if not fabric.is_global_zero:
        return
    rows = journal.merge(table, _TEXT)
    rows = rows[[key in keys for key in zip(rows.folder, rows.case, strict=True)]]
    counts = {status: int((rows.status == status).sum()) for status in ("ok", "wrong", "failed")}
    for reason in rows.reason[rows.status == "failed"]:
        print(f"failed: {reason}")
    print(
        f"{counts['ok']} scored, {counts['wrong']} misclassified, {counts['failed']} failed "
        f"({len(done & keys)} were finished before)."
    )
    written = summary.write(rows, names, counts, output, settings.seed)
    runreport.write(output / "report.json", settings, fabric, weights, PACKAGES, counts, time.perf_counter() - start)
    print(
        f"Wrote {output}: {', '.join([TABLE, *written, 'report.json'])}. Next: look at scorecard.png, then at the "
        "maps that python classification/visualize_cnn.py draws."
    )
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
