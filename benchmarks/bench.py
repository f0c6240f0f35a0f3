"""The published procedure, written as plainly as can be, and the project, in turn on the same files and weights.

    python -m benchmarks.bench                        on a phantom, drawn first
    python -m benchmarks.bench -i FOLDER              on radiographs of one's own (.IMG, PNG, JPEG, TIFF)
    python -m benchmarks.bench --fastest backend=openvino    with another setting of the project beside float32
    python -m benchmarks.bench --short                small sizes: for agreement, not for times

Each side runs in a process of its own: the project sets its memory allocator for the whole process, a user of the plain
method would not. Ratios are those of pairs of runs that follow each other. Writes bench.json and bench.md.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import statistics
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks import agree, inputs, project_side, rates, sides, table, work
from cxr import radiograph
from segmentation import header

STAGES = ("equalise", "network", "inference", "step", "vote", "dense", "saliency", "waits")
WANTED = {"equalise": (8, 0), "network": (2.5, 5), "inference": (2.5, 4), "step": (2.5, 4), "vote": (6, 11),
          "dense": (20, 0), "saliency": (8, 14)}  # ratios: float32, fastest setting
NAMES = {"equalise": "equalise and gamma", "network": "segmentation network", "inference": "segmentation/inference.py",
         "step": "segmentation training step", "vote": "classification, patches vote",
         "dense": "classification, dense", "saliency": "visualize_cnn.py"}


@dataclasses.dataclass
class Size:
    """How large everything is."""

    film: int = 2048
    films: int = 40
    network: int = 256
    side: int = 1024
    patch: int = 224
    repeat: int = 100
    pairs: int = 5
    steps: int = 20


SHORT = Size(film=256, films=2, network=64, side=128, patch=64, repeat=4, pairs=1, steps=1)


def main() -> None:
    parser = arguments_of_both(__doc__)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="only some stages")
    parser.add_argument("--pairs", type=int, help="runs of each side (5)")
    parser.add_argument("--films", type=int, help="radiographs of the whole of segmentation/inference.py (40)")
    parser.add_argument("--steps", type=int, help="training steps of each side (20)")
    parser.add_argument("--fastest", nargs="+", default=[], metavar="NAME=VALUE", help="these settings too")
    options = parser.parse_args()
    size = SHORT if options.short else Size()
    typed = {name: value for name in ("pairs", "films", "steps") if (value := getattr(options, name))}
    size = dataclasses.replace(size, **typed)
    output = options.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    try:
        found = bench(options, size, output)
    except (sides.Failed, ValueError, OSError) as error:
        sys.exit(f"benchmarks/bench.py: {error}")
    (output / "bench.json").write_text(json.dumps(found, indent=1) + "\n")
    text = table.markdown(found)
    (output / "bench.md").write_text(text + "\n")
    print(text)
    differ = [row["stage"] for row in found["rows"] if not row["agree"]]
    print(f"Wrote {output}: bench.json, bench.md." + (f" Results DIFFER: {', '.join(differ)}." if differ else ""))
    sys.exit(1 if differ else 0)


def arguments_of_both(text: str) -> argparse.ArgumentParser:
    """The arguments that profiles.py takes as well: which files, which weights, how large."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--input", type=Path, help="folder of radiographs (default: a phantom)")
    parser.add_argument("-o", "--output", type=Path, default=inputs.ROOT / "output" / "benchmark", help="folder")
    parser.add_argument("--segmentation", type=Path, metavar="FILE", help="weights of fcdensenet103 (those that ship)")
    parser.add_argument("--classifier", type=Path, metavar="FILE", help="weights of a classifier (random ResNet-18)")
    parser.add_argument("--short", action="store_true", help="small sizes, for agreement and not for times")
    return parser


def bench(options, size: Size, output: Path) -> dict:
    """Everything that the table says, as plain types."""
    load = [os.getloadavg()[0]]
    films = inputs.films(options.input and options.input.absolute(), output, size.films, size.film)
    arguments = prepare(films, options, size, output)
    weights, classifier, net_label = (arguments[name] for name in ("weights", "classifier", "net_label"))
    repeats = 2 if options.short else 7
    measured = rates.measure(repeats)
    amounts = amount(films, size, net_label)
    rows, losses, waits = [], {}, {}
    for stage in options.stages:
        print(f"{stage} ...", flush=True)
        if stage == "waits":
            waits = wait(options, size, output, arguments["folder"], classifier)
            continue
        both = {"plain": [], "float32": []} | ({"fastest": options.fastest} if fits(stage, options.fastest) else {})
        if stage == "inference":
            found = inference(films, weights, both, size, output)
        else:
            found = sides.in_turn(stage, arguments, both, size.steps if stage == "step" else size.pairs, output)
        rows += [row(stage, side, found, amounts[stage], options) for side in list(both)[1:]]
        if stage == "step":
            losses = {side: each["losses"] for side, each in found.items()}
    measured = rates.best(measured, rates.measure(repeats))  # before and after: what disturbs it only slows it
    for each in rows:
        each["floor_s"] = work.floor(*each.pop("amount"), measured)
    packages = ("torch", "torchvision", "numpy", "opencv-python-headless")
    return {
        "machine": machine(), "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load": [*load, os.getloadavg()[0]], "rates": measured, "size": dataclasses.asdict(size),
        "data": f"{len(films)} radiographs of {options.input.name if options.input else 'a phantom'}, {net_label}",
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "rows": rows, "losses": losses, "waits": waits,
    }


def prepare(films: list[Path], options, size: Size, output: Path) -> dict:
    """What both sides of every stage are given: files, weights, sizes."""
    classifier, net_label, scaling = inputs.classifier_weights(options.classifier, output)
    folder = inputs.pair(films[0], output, size.side)
    return {
        "film": str(films[0]), "films": [str(film) for film in films[:2]],
        "weights": str(inputs.segmentation_weights(options.segmentation, output)),
        "size": size.network, "class_weights": header.class_weights, "learning_rate": header.learning_rate,
        "classifier": str(classifier), "net_label": net_label, "scaling": scaling, "folder": str(folder),
        "case": inputs.CASE, "side": size.side, "patch": size.patch, "output": str(output / "maps"), "target": 0,
        "centres": project_side.centres(folder, inputs.CASE, size.side, size.repeat).tolist(),
    }


def fits(stage: str, settings: list[str]) -> bool:
    """Whether a setting is one that a stage knows: backends are for segmentation's inference."""
    if not settings or stage in ("equalise", "dense"):
        return False
    return stage in ("network", "inference") or not any(word.startswith("backend=") for word in settings)


def amount(films: list[Path], size: Size, net_label: str) -> dict:
    """{stage: (words, operations of its convolutions, bytes read and written)}."""
    shapes = [radiograph.read(film).pixels.shape for film in films]
    one, pixels = shapes[0][0] * shapes[0][1], sum(height * width for height, width in shapes)
    image = work.segmentation(size.network)
    patch = work.classification(net_label, size.patch)
    film_bytes = sum(film.stat().st_size for film in films)
    written = pixels * (4 + 1 + 1)  # image, mask, labels
    pair_bytes = size.side**2 * 5
    return {
        "equalise": (f"{shapes[0][0]} x {shapes[0][1]}", 0, one * (2 + 2 + 4)),
        "network": (f"one {size.network} x {size.network} image", image, 0),
        "inference": (f"{len(films)} files, pairs written", len(films) * image, film_bytes + written),
        "step": (f"batch {len(films[:2])}, {size.network} x {size.network}", 3 * len(films[:2]) * image, 0),
        "vote": (f"{size.side} x {size.side}, K = {size.repeat}", size.repeat * patch, pair_bytes),
        "dense": ("all windows", work.classification(net_label, size.side), pair_bytes),
        "saliency": (f"K = {size.repeat}, pictures written", size.repeat * patch, pair_bytes),
    }


def inference(films: list[Path], weights: str, both: dict, size: Size, output: Path) -> dict:
    """Stage 1 from files to pairs, whole processes: as sides.in_turn() gives it, with the agreement for results."""
    places = {side: output / f"pairs-{side}" for side in both}
    found = {side: {"seconds": [], "peak_bytes": 0} for side in both}
    for _ in range(max(1, size.pairs // 2)):  # whole processes have nothing to warm up but the disk's cache
        for side, settings in both.items():
            shutil.rmtree(places[side], ignore_errors=True)
            words = ["-m", "benchmarks.plain_segment", *films, "--weights", weights, "--size", size.network]
            if side != "plain":
                words = ["segmentation/inference.py", "-i", *films, f"file_weights={weights}", "crop_border=False",
                         "device=cpu", f"resize_height={size.network}", f"resize_width={size.network}", *settings]
            seconds, peak = sides.process([*words, "-o", places[side]], output / f"{side}.log")
            found[side]["seconds"].append(seconds)
            found[side]["peak_bytes"] = max(peak, found[side]["peak_bytes"])
    for side in list(both)[1:]:
        found[side]["results"] = agree.masks(films, places["plain"], places[side], side == "float32")
    for place in places.values():
        shutil.rmtree(place)
    return found


def wait(options, size: Size, output: Path, folder: str, classifier: str) -> dict:
    """{stage: share of a training's time that it waits for data}; of segmentation on the phantom only."""
    if options.input:
        return {}
    phantom = output / f"phantom-{size.film}-{size.films}"
    log = output / "waits.log"
    sides.process(["-m", "benchmarks.waits", phantom, folder, classifier, 1 if options.short else 8], log)
    return json.loads(log.read_text().splitlines()[-1])


def row(stage: str, side: str, found: dict, amounts: tuple, options) -> dict:
    """A row of the table, the project's `side` against the plain one, without its floor yet."""
    plain, project = found["plain"], found[side]
    ratios = [slow / fast for slow, fast in zip(plain["seconds"], project["seconds"], strict=True)]
    exact = side == "float32"
    results = project["results"]
    words, same = results if stage == "inference" else getattr(agree, stage)(plain["results"], results, exact)
    return {
        "stage": NAMES[stage], "setting": "float32" if exact else " ".join(options.fastest), "work": amounts[0],
        "plain_s": statistics.median(plain["seconds"]), "project_s": statistics.median(project["seconds"]),
        "ratio": [min(ratios), statistics.median(ratios), max(ratios)], "wanted": WANTED[stage][0 if exact else 1],
        "amount": amounts[1:], "peak_bytes": [plain["peak_bytes"], project["peak_bytes"]], "results": words,
        "agree": bool(same), "seconds": {"plain": plain["seconds"], "project": project["seconds"]},
    }


def machine() -> str:
    """The processor and how many of it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
