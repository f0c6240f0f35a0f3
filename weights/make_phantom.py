"""Draw what phantom.safetensors was taught, a network that knows the phantom's diseases and nobody's thorax.

It exists so that the saliency maps of a network that has learnt can be held against lesions that are known
(tests/classification/test_scorecard_phantom.py). Made by
    python weights/make_phantom.py phantom-pairs
    python classification/train.py test_name=phantom dir_split=phantom-pairs/split 'classes=[]' \\
        net_label=efficientnet_lite2 start_weights=weights/classification.safetensors img_size=384 \\
        patch_size=96 learning_rate=1e-3 schedule=onecycle weight_decay=1e-4 lambda_l1=0 num_patches=2 \\
        num_batch_train=32 epoch_max=5 vote=mean repeat=40 repeat_val=9
    python weights/make_classification.py export checkpoint/classification/phantom/best.pt \\
        -o weights/phantom.safetensors --overwrite
The file that ships was made so on 2026-11-23 from an earlier classifier, an EfficientNet-Lite0.

Written under the folder: split/train/ and split/val/ with a folder of pairs a class, by the phantom's true lung masks;
lesions/<class>/<case>.png; patients.csv, for file_metadata; phantom.json, the settings. No patient is in two parts.
After a kill the same command writes it anew.
"""

import argparse
import os
import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from cxr.run import opening  # isort: split

import cv2

from cxr import pairs, preprocess, tables, version, writing
from cxr.errors import BadData
from cxr.reading import radiograph
from data.thorax import cases

GAMMA = 0.5  # as segmentation/header.py has it


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write: new, empty, or begun by the same command")
    parser.add_argument("--per-class", type=int, default=180, metavar="N", help="images of each class (%(default)s)")
    parser.add_argument("--val", type=int, default=20, metavar="N", help="of them to validate on, about (%(default)s)")
    parser.add_argument("--size", type=int, default=384, metavar="PIXELS", help="as data/make_phantom.py (%(default)s)")
    parser.add_argument("--seed", type=int, default=2026, help="of every draw; the test's is another (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    version.add_flag(parser)
    options = parser.parse_args()
    counts, first = dict.fromkeys(cases.CLASSES, options.per_class), {"val": options.val}
    radiographs = draw(options.folder, counts, options.size, options.seed, first, "train", options.workers)
    split = options.folder.absolute() / "split"
    following = shlex.join(["python", "classification/train.py", f"dir_split={split}"])
    print(f"Wrote {len(radiographs)} pairs to {split}. Next: {following} and the other settings that --help tells.")


def draw(root: Path, counts: dict[str, int], size: int, seed: int, first: dict[str, int], rest: str, workers=1) -> list:
    """Draw counts[folder] images of each class; write their pairs by the true masks, their lesions and patients.csv.

    first: {part: how many images of a class go there}, in this order and as whole patients; all others go to the part
    `rest`. Where a lesion is and how strong follows from (seed, case). Returns the images, as data.thorax.cases plans
    them. Raises BadData for a folder that holds anything but what these settings write.
    """
    radiographs = [xray for folder, count in counts.items() for xray in cases.plan_class(folder, count, size, seed)]
    parts = [
        part
        for folder in counts
        for part in divide([xray.patient for xray in radiographs if xray.folder == folder], first, rest)
    ]
    rows = [f"{xray.name},{xray.folder},{xray.patient},{xray.hospital.name}" for xray in radiographs]
    settings = {"counts": counts, "size": size, "seed": seed, "first": first, "rest": rest}
    plan = root / "phantom.json"
    if root.exists() and any(root.iterdir()) and not (plan.exists() and tables.json(plan) == settings):
        raise BadData(f"{root} holds something else; name a new folder.")
    writing.json(plan, settings)
    writing.text(root / "patients.csv", "\n".join(["case,class,patient,source", *rows]) + "\n")
    work = partial(write_pair, root=root, seed=seed)
    if workers == 1:
        list(map(work, radiographs, parts))
    else:
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(work, radiographs, parts))
    return radiographs


def divide(patients: list[str], first: dict[str, int], rest: str) -> list[str]:
    """The part of each radiograph of a class: a patient goes where the first radiograph of it falls."""
    order = [part for part, count in first.items() for _ in range(count)]
    order += [rest] * (len(patients) - len(order))
    return [order[patients.index(patient)] for patient in patients]


def write_pair(xray, part: str, root: Path, seed: int) -> None:
    """One image's lesion, and its pair in split/<part>/<folder>, preprocessed as segmentation/inference.py does; the
    radiograph itself does not stay."""
    cv2.setNumThreads(1)
    cases.write_case(xray, root, seed)
    labels = cv2.imread(str(root / xray.masks["labels"]), cv2.IMREAD_UNCHANGED)
    pixels = radiograph.read(root / xray.file).pixels
    image = preprocess.preprocess(pixels, GAMMA, preprocess.content_box(pixels))
    pairs.save(root / "split" / part / xray.folder, xray.name, image, labels > 1, labels)
    for name in (xray.file, xray.masks["labels"]):
        (root / name).unlink()


if __name__ == "__main__":
    main()
