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

import sys
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from classification import header
from classification.cases import stream
from classification.map_scores import casescore, criteria, summary
from classification.saliency import grad_cam
from classification.voting import batch, effect, predict, predictions, refusal
from cxr.run import journal
from cxr.settings import config

TEXT = ("case", "folder", "patient", "label", "predicted", "status", "reason")
DECISIVE = (*effect.DECISIVE, "repeat_val", "method", "scores", "steps", "draws", "lesions")
ALWAYS = ("seed",)  # draws the maps that know nothing, whatever the approach
KIND = batch.Kind("scorecard.csv", TEXT, "scorecard", DECISIVE, ALWAYS, (*batch.PACKAGES, "scipy"))


@opening.script
def main() -> None:
    parser = batch.parser(__doc__, "default: scorecard in dir_save/test_name", "score finished cases again")
    parser.add_argument("-l", "--lesions", metavar="LESIONS", help="folder of the lesions' masks")
    parser.add_argument("--method", default="gradcam", choices=grad_cam.METHODS, help="as in visualize_cnn.py")
    some = {"nargs": "+", "default": list(casescore.SCORES), "choices": casescore.SCORES, "metavar": "SCORE"}
    parser.add_argument("--scores", **some, help="some of those above (default: all)")
    told = "steps in which the lung is blanked (6); each evaluates repeat_val patches"
    parser.add_argument("--steps", type=int, default=6, help=told)
    parser.add_argument("--draws", type=int, default=8, help="random maps whose lesion scores are averaged (8)")
    settings, options = config.load(header, parser=parser)
    with opening.asked():
        if options.steps < 2 or options.draws < 1:
            raise ValueError("--steps must be 2 or more, and --draws 1 or more.")
        lesions = None if options.lesions is None else Path(options.lesions).absolute()
        if lesions and not lesions.is_dir():
            raise ValueError(f"there is no folder {lesions}; give one of lesion masks with --lesions, or none.")
        run = batch.prepare(KIND, settings, options)
        patients, unknown = predictions.patients(run.cases, run.inputs, run.settings)
        own = {name: getattr(options, name) for name in ("method", "steps", "draws")}
        run.decide(**own, scores=sorted(options.scores), lesions=str(lesions or ""))
    fabric, settings, names = run.fabric, run.settings, run.names
    run.beside = partial(casescore.lesion_file, lesions)  # a lesion drawn anew is scored anew
    run.begin(unknown)
    done = run.finished()
    mine = run.mine(done)
    # Drawn on the CPU, before they are moved, so that every device gets the same ones.
    networks = criteria.randomised(run.model, settings.seed) if mine and "layers" in options.scores else {}
    for network in (run.model, *networks.values()):
        predict.ready(network, fabric.device, settings.compile)
    with run.journal() as write:
        for case, item in stream.read(mine, settings, fabric.is_global_zero):
            about = {"case": case.case, "folder": case.folder, "patient": patients[case.folder, case.case]}
            judged = run.refusal.look(case)
            if refusal.REFUSED in judged:
                label = "" if case.label is None else names[case.label]
                about |= {"label": label, "predicted": "", "status": refusal.REFUSED}
                write(about | {"reason": judged[refusal.REFUSED]})
                continue
            with fabric.autocast():
                asked = settings, names, fabric.device, lesions, run.refusal
                write(about | casescore.score(run.model, networks, case, item, *asked))
    fabric.barrier()
    if not fabric.is_global_zero:
        return
    rows, counts = run.close(journal.merge(run.table, TEXT), ("ok", "wrong", refusal.REFUSED, "failed"))
    print(
        f"{counts['ok']} scored, {counts['wrong']} misclassified, {refusal.told(counts)}{counts['failed']} failed "
        f"({len(done & run.keys)} were finished before)."
    )
    written = summary.write(rows, names, counts, run.output, settings.seed, run.seen)
    run.report(counts)
    print(
        f"Wrote {run.output}: {', '.join([KIND.table, *written, 'report.json'])}. Next: look at scorecard.png, then at "
        f"the maps: {run.command('classification/visualize_cnn.py', 'cams')}"
    )
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
