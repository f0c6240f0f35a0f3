"""The published procedure, written as plainly as can be, and the project, in turn on the same files and weights.

    python -m benchmarks.bench                        on a phantom, drawn first
    python -m benchmarks.bench -i FOLDER              on radiographs of one's own (.IMG, PNG, JPEG, TIFF)
    python -m benchmarks.bench --fastest precision=bf16-mixed    with this setting beside float32; by default what
                                              is installed and computes here: openvino, bfloat16; none with no value
    python -m benchmarks.bench --device cuda
    python -m benchmarks.bench --resume           after a run that was cut short, the stages it lacks
    python -m benchmarks.bench --short                small sizes: for agreement, not for times

Each side runs in a process of its own: the project sets its memory allocator for the whole process, a user of the plain
method would not. Ratios are those of pairs of runs that follow each other. Writes bench.json and bench.md, after every
stage: --resume goes on from there.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks import agree, inputs, project_side, rates, record, rows, sides
from cxr import version as project
from cxr.run import opening
from segmentation import header

STAGES = ("equalise", "network", "inference", "step", "vote", "dense", "saliency", "waits")


@dataclasses.dataclass
class Size:
    """How large everything is."""

    radiograph: int = 2048
    radiographs: int = 40
    network: int = 256
    side: int = 1024
    patch: int = 224
    repeat: int = 100
    pairs: int = 5
    steps: int = 20


SHORT = Size(radiograph=256, radiographs=2, network=64, side=128, patch=64, repeat=4, pairs=1, steps=1)


@opening.script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", type=Path, help="folder of radiographs (default: a phantom)")
    parser.add_argument("-o", "--output", type=Path, default=inputs.ROOT / "output" / "benchmark", help="folder")
    parser.add_argument("--segmentation", type=Path, metavar="FILE", help="weights of fcdensenet103 (those that ship)")
    parser.add_argument("--classifier", type=Path, metavar="FILE", help="weights of a classifier (random ResNet-18)")
    parser.add_argument("-d", "--device", default="cpu", choices=("cpu", "cuda"), help="of both sides (cpu)")
    parser.add_argument("--short", action="store_true", help="small sizes, for agreement and not for times")
    project.add_flag(parser)
    parser.add_argument("--resume", action="store_true", help="keep the stages that a run before has measured")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="only some stages")
    parser.add_argument("--pairs", type=int, help="runs of each side (5)")
    parser.add_argument("--radiographs", type=int, help="radiographs of the whole of segmentation/inference.py (40)")
    parser.add_argument("--steps", type=int, help="training steps of each side (20)")
    parser.add_argument("--fastest", nargs="*", metavar="NAME=VALUE", help="these settings beside float32")
    options = parser.parse_args()
    size = SHORT if options.short else Size()
    typed = {name: value for name in ("pairs", "radiographs", "steps") if (value := getattr(options, name))}
    size = dataclasses.replace(size, **typed)
    output = options.output.absolute()
    with opening.asked():
        output.mkdir(parents=True, exist_ok=True)
        found = bench(options, size, output)
    print(record.keep(found, output))
    differ = [row["stage"] for row in found["rows"] if row["agree"] is False]
    print(f"Wrote {output}: bench.json, bench.md." + (f" Results DIFFER: {', '.join(differ)}." if differ else ""))
    sys.exit(1 if differ else 0)


def bench(options, size: Size, output: Path) -> dict:
    """Everything that the table says, as plain types, kept after every stage."""
    radiographs = inputs.radiographs(
        options.input and options.input.absolute(), output, size.radiographs, size.radiograph
    )
    arguments = prepare(radiographs, options, size, output)
    weights, classifier, net_label = (arguments[name] for name in ("weights", "classifier", "net_label"))
    repeats = 2 if options.short else 7
    source = options.input.name if options.input else "a phantom"
    about = {
        "machine": machine(options.device),
        "data": f"{len(radiographs)} radiographs of {source}, {net_label}",
        "rates": rates.measure(repeats, options.device),
    }
    kept = record.begin(options, size, about, output)
    amounts = rows.amount(radiographs, size, net_label)
    for stage in [stage for stage in options.stages if stage not in kept["stages"]]:
        print(f"{stage} ...", flush=True)
        if stage == "waits":
            kept["waits"] = wait(options, size, output, classifier)
            kept["stages"].append(stage)
            record.keep(kept, output)
            continue
        both = {"plain": [], "float32": []}
        if faster := fastest(stage, options):
            both["fastest"] = faster
        if stage == "inference":
            found = inference(radiographs, weights, both, size, output, options.device)
        else:
            found = sides.in_turn(stage, arguments, both, size.steps if stage == "step" else size.pairs, output)
        sides_of = list(both.items())[1:]
        kept["rows"] += [rows.row(stage, side, settings, found, amounts[stage]) for side, settings in sides_of]
        kept["stages"].append(stage)
        if stage == "step":
            kept["losses"] = {side: each["losses"] for side, each in found.items()}
        record.keep(kept, output)
    again = rates.measure(repeats, options.device)
    return kept | {"rates": rates.best(kept["rates"], again)}  # what disturbs a rate only slows it


def prepare(radiographs: list[Path], options, size: Size, output: Path) -> dict:
    """What both sides of every stage are given: files, weights, sizes."""
    classifier, net_label, scaling = inputs.classifier_weights(options.classifier, output)
    folder = inputs.pair(radiographs[0], output, size.side)
    return {
        "file": str(radiographs[0]),
        "radiographs": [str(file) for file in radiographs[:2]],
        "weights": str(inputs.segmentation_weights(options.segmentation, output)),
        "size": size.network,
        "class_weights": header.class_weights,
        "learning_rate": header.learning_rate,
        "classifier": str(classifier),
        "net_label": net_label,
        "scaling": scaling,
        "folder": str(folder),
        "case": inputs.CASE,
        "device": options.device,
        "side": size.side,
        "patch": size.patch,
        "output": str(output / "maps"),
        "target": 0,
        "centres": project_side.centres(folder, inputs.CASE, size.side, size.repeat).tolist(),
    }


def fastest(stage: str, options) -> list[str]:
    """The settings beside float32 that a stage is run with: those typed that it knows (backends are for segmentation's
    inference), else what is installed and computed by the device."""
    if stage in ("equalise", "dense"):
        return []
    segments = stage in ("network", "inference")
    if options.fastest is not None:
        return [word for word in options.fastest if segments or not word.startswith("backend=")]
    if segments and options.device == "cpu" and find_spec("openvino"):
        return ["backend=openvino"] + ["precision=bf16-mixed"] * rates.has_bf16("cpu")
    return ["precision=bf16-mixed"] if rates.has_bf16(options.device) else []


def inference(radiographs: list[Path], weights: str, both: dict, size: Size, output: Path, device: str) -> dict:
    """Stage 1 from files to pairs, whole processes: as sides.in_turn() gives it, with the agreement for results."""
    places = {side: output / f"pairs-{side}" for side in both}
    found = {side: {"seconds": [], "peak_bytes": 0} for side in both}
    for _ in range(min(3, size.pairs)):  # whole processes have nothing to warm up: the files have been read before
        for side, settings in both.items():
            shutil.rmtree(places[side], ignore_errors=True)
            words = ["-m", "benchmarks.plain_segment", *radiographs, "--weights", weights, "--size", size.network]
            if side != "plain":
                own = [f"resize_height={size.network}", f"resize_width={size.network}", f"device={device}"]
                own += ["crop_border=False", f"file_weights={weights}", *settings]
                words = ["segmentation/inference.py", "-i", *radiographs, *own]
            seconds, peak = sides.process([*words, "-o", places[side]], output / f"{side}.log")
            found[side]["seconds"].append(seconds)
            found[side]["peak_bytes"] = max(peak, found[side]["peak_bytes"])
    for side in list(both)[1:]:
        words, same = agree.masks(radiographs, places["plain"], places[side], side == "float32")
        if side == "fastest":
            jaccard = agree.lungs(radiographs, places["float32"], places[side])
            words, same = f"{words}; lungs' Jaccard with float32 {jaccard:.5f}", same and jaccard >= 0.999
        found[side]["results"] = words, same
    for place in places.values():
        shutil.rmtree(place)
    return found


def wait(options, size: Size, output: Path, classifier: str) -> dict:
    """{stage: share of a training's time that it waits for data}; {} where it is not measured."""
    if options.input:
        print("waits: not measured on radiographs of one's own, which have no masks to train on.")
        return {}
    phantom = output / f"phantom-{size.radiograph}-{size.radiographs}"
    log = output / "waits.log"
    large = inputs.pair(next((phantom / "JSRT").iterdir()), output / "large", size.radiograph)
    sides.process(
        ["-m", "benchmarks.waits", phantom, large, classifier, 2 if options.short else 8, size.network, options.device],
        log,
    )
    return json.loads(log.read_text().splitlines()[-1])


def machine(device: str) -> str:
    """The processor and how many of it, or the GPU."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
