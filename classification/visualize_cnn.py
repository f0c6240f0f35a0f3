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

import argparse
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from classification import header
from classification.model.weightfile import find_weights
from classification.saliency import grad_cam, maps
from classification.voting import batch, predict
from classification.voting.predictions import default_input
from cxr.run import engine, journal, runreport
from cxr.settings import config

# What decides a map, and what computes it
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
    "target",
    "method",
)
PACKAGES = ("torch", "torchvision", "numpy", "lightning-fabric", "opencv-python-headless")
BEHIND = 2  # cases at most that the network is ahead of their files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", nargs="+", metavar="FOLDER", help="folders of pairs (default: dir_split/test)")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: cams in dir_save/test_name")
    parser.add_argument("-d", "--device", help="auto, cpu, cuda or mps (default: device)")
    parser.add_argument(
        "--target", default="predicted", metavar="CLASS", help="predicted (default), all, or the name of a class"
    )
    parser.add_argument(
        "--method",
        default="gradcam",
        choices=grad_cam.METHODS,
        help="hirescam weights each position by its own gradient (Draelos and Carin 2020); the same as "
        "gradcam if the network ends in global pooling and one linear layer (ResNet, DenseNet, "
        "EfficientNet-Lite), a different map for vgg11_bn and the SqueezeNets",
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help=f"also write <case>{maps.COVERAGE}: how many patches cover each pixel",
    )
    parser.add_argument("--overwrite", action="store_true", help="map finished cases again")
    settings, options = config.load(header, parser=parser)
    start = time.perf_counter()
    fabric = engine.launch(options.device or settings.device, settings.precision)
    output = Path(options.output or Path(settings.dir_save) / settings.test_name / "cams").absolute()
    try:
        inputs = options.input or [default_input(settings)]
        weights, which = find_weights(settings)
        model, settings, names, cases, notes = batch.begin(weights, inputs, settings, DECISIVE)
        if options.target not in ("predicted", "all", *names):
            raise ValueError(
                f"--target {options.target} is not a class of these weights; give one of "
                f"{', '.join(names)}, or predicted, or all."
            )
        settings = batch.with_options(settings, target=options.target, method=options.method)
        changed = batch.differs(output, settings, weights, options.overwrite, batch.decisive(settings, DECISIVE))
    except ValueError as error:
        sys.exit(f"classification/visualize_cnn.py: {error}")
    fabric.print(f"{len(cases)} cases; classes: {', '.join(names)}; weights: {weights} ({which})")
    for note in notes:
        fabric.print(f"Note: {note}.")
    predict.ready(model, fabric.device, settings.compile)

    fabric.barrier()
    keys = {(case.folder, case.case) for case in cases}
    if fabric.is_global_zero:
        if changed:  # rows made otherwise must not stand beside new ones
            journal.clear(output / maps.TABLE)
        # Forget them first: if an overwriting run is killed, old maps must not count as new.
        journal.merge(output / maps.TABLE, maps.TEXT, keys if options.overwrite else frozenset())
        runreport.write(output / "report.json", settings, fabric, weights, PACKAGES)
    fabric.barrier()
    done = maps.finished(output, cases, names, options.target, options.coverage)
    mine = [c for c in cases[fabric.global_rank :: fabric.world_size] if (c.folder, c.case) not in done]
    with journal.writer(output / maps.TABLE, fabric.global_rank) as write:
        run(fabric, model, mine, settings, names, output, options.coverage, write)
    fabric.barrier()
    if not fabric.is_global_zero:
        return
    rows = journal.merge(output / maps.TABLE, maps.TEXT)
    rows = rows[[key in keys for key in zip(rows.folder, rows.case, strict=True)]]
    counts = {status: int((rows.status == status).sum()) for status in ("ok", "failed")}
    runreport.write(output / "report.json", settings, fabric, weights, PACKAGES, counts, time.perf_counter() - start)
    for reason in rows.reason[rows.status == "failed"]:
        print(f"failed: {reason}")
    print(f"{counts['ok']} ok, {counts['failed']} failed ({len(done & keys)} were finished before).")
    print(
        f"Wrote {output}: a map and a picture for each case, {maps.TABLE}, report.json. Next: look at the pictures, "
        "then run python classification/scorecard.py to see what the maps are worth."
    )
    sys.exit(1 if counts["failed"] else 0)


def run(fabric, model, cases, settings, names, output: Path, with_coverage: bool, write) -> None:
    """Map cases in their order: while the network looks at one, a thread writes those before it, its row the last of a
    case, so that a kill leaves no row without files. What fails there is raised here."""

    def finish(case, found) -> None:
        write(maps.finish(case, found, settings, names, output, with_coverage))

    waiting = deque()
    with ThreadPoolExecutor(1) as pool:
        for case, item in batch.read(cases, settings, fabric.is_global_zero):
            with fabric.autocast():
                found = maps.explain(model, case, item, settings, names, fabric.device)
            if len(waiting) == BEHIND:
                waiting.popleft().result()
            waiting.append(pool.submit(finish, case, found))
        for future in waiting:
            future.result()


if __name__ == "__main__":
    main()
