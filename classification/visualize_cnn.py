"""Show which parts of the lungs are evidence for a class: probabilistic Grad-CAM over the patches that voted.

    python classification/visualize_cnn.py                          the predicted class, for the test split
    python classification/visualize_cnn.py -i output -o FOLDER --target all     every class, any folders of pairs
    python classification/visualize_cnn.py --target viral file_weights=FILE     one class, other weights
    torchrun --nproc-per-node 2 classification/visualize_cnn.py     several processes share the work

Writes under OUTPUT, in the folders of the cases: <case>.cam.npy (H, W) float16, the map on the radiograph's own grid
and raw scale, comparable between cases and classes (parts of the class's logit times its probability; values below
6e-8 become 0); <case>.cam.png, the map over the radiograph with the lungs' outline, the class, its mean probability
over the patches and its votes, scaled to the greatest value of the case. With --target all one map per class,
<case>.<class>.cam.npy, side by side in the picture. One row per case in cams.csv. Finished cases are skipped.

A map covers whole patches, also where they reach beyond the lung, so that values outside the lung stay visible.
"""

import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

from classification import header
from classification.cases import stream
from classification.cases.finder import Case
from classification.saliency import grad_cam, maps
from classification.voting import batch, effect, predict, refusal
from cxr.run import journal
from cxr.settings import config

DECISIVE, PACKAGES = (*effect.DECISIVE, "target", "method"), (*batch.PACKAGES, "opencv-python-headless")
KIND = batch.Kind(maps.TABLE, maps.TEXT, "cams", DECISIVE, packages=PACKAGES)
BEHIND = 2  # cases at most that the network is ahead of their files


@opening.script
def main() -> None:
    parser = batch.parser(__doc__, "default: cams in dir_save/test_name", "map finished cases again")
    told = "predicted (default), all, or the name of a class"
    parser.add_argument("--target", default="predicted", metavar="CLASS", help=told)
    told = (
        "hirescam weights each position by its own gradient (Draelos and Carin 2020); the same as gradcam if the "
        "network ends in global pooling and one linear layer (ResNet, DenseNet, EfficientNet-Lite), a different map "
        "for vgg11_bn and the SqueezeNets"
    )
    parser.add_argument("--method", default="gradcam", choices=grad_cam.METHODS, help=told)
    told = f"also write <case>{maps.COVERAGE}: how many patches cover each pixel"
    parser.add_argument("--coverage", action="store_true", help=told)
    settings, options = config.load(header, parser=parser)
    with opening.asked():
        run = batch.prepare(KIND, settings, options)
        if options.target not in ("predicted", "all", *run.names):
            raise ValueError(
                f"--target {options.target} is no class of these weights; give one of "
                f"{', '.join(run.names)}, or predicted, or all."
            )
        run.decide(target=options.target, method=options.method)
    predict.ready(run.model, run.fabric.device, run.settings.compile)
    run.begin()
    done = maps.finished(run.finished(), run.output, run.cases, run.names, options.target, options.coverage)
    with run.journal() as write:
        draw(run, run.mine(done), options.coverage, write)
    run.fabric.barrier()
    if not run.fabric.is_global_zero:
        return
    _, counts = run.close(journal.merge(run.table, maps.TEXT), ("ok", refusal.REFUSED, "failed"))
    run.report(counts)
    before = f"({len(done & run.keys)} were finished before)"
    print(f"{counts['ok']} ok, {refusal.told(counts)}{counts['failed']} failed {before}.")
    print(
        f"Wrote {run.output}: a map and a picture a case, {maps.TABLE}, report.json. Next: look at the pictures, then "
        f"at what they are worth: {run.command('classification/scorecard.py', 'scorecard')}"
    )
    sys.exit(1 if counts["failed"] else 0)


def draw(run: batch.Batch, cases: list[Case], with_coverage: bool, write) -> None:
    """Map cases in their order: while the network looks at one, a thread writes those before it, its row the last of a
    case, so that a kill leaves no row without files. What fails there is raised here."""
    fabric, settings, names = run.fabric, run.settings, run.names

    def finish(case, found) -> None:
        write(maps.finish(case, found, settings, names, run.output, with_coverage, run.calibrated))

    waiting = deque()
    with ThreadPoolExecutor(1) as pool:
        for case, item in stream.read(cases, settings, fabric.is_global_zero):
            found = run.refusal.look(case)
            if refusal.REFUSED not in found:
                with fabric.autocast():
                    found = maps.explain(run.model, case, item, settings, names, fabric.device)
                judged = run.refusal.compare(case)
                found = judged if refusal.REFUSED in judged else found
            if len(waiting) == BEHIND:
                waiting.popleft().result()
            waiting.append(pool.submit(finish, case, found))
        for future in waiting:
            future.result()


if __name__ == "__main__":
    main()
