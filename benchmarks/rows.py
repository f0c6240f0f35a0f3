"""The rows of the benchmark's table: how much work each stage is, what is wanted of it, what was found."""

import statistics
from pathlib import Path

from benchmarks import agree, work
from cxr.reading import radiograph

# Of each stage its name, and the ratios that are wanted of float32 and of the fastest setting
STAGES = {
    "equalise": ("equalise and gamma", 8, 0),
    "network": ("segmentation network", 2.5, 5),
    "inference": ("segmentation/inference.py", 2.5, 4),
    "step": ("segmentation training step", 2.5, 4),
    "vote": ("classification, patches vote", 6, 11),
    "dense": ("classification, dense", 20, 0),
    "saliency": ("visualize_cnn.py", 8, 14),
}
SHARES = {"network": (0.5, 0.55), "vote": (0.85, 0.85)}  # of the convolution rate, likewise


def amount(radiographs: list[Path], size, net_label: str) -> dict:
    """Of each stage at the sizes of bench.Size: {stage: (words, operations of its convolutions, bytes moved)}."""
    shapes = [radiograph.read(file).pixels.shape for file in radiographs]
    one, pixels = shapes[0][0] * shapes[0][1], sum(height * width for height, width in shapes)
    image = work.segmentation(size.network)
    patch = work.classification(net_label, size.patch)
    radiograph_bytes = sum(file.stat().st_size for file in radiographs)
    written = pixels * (4 + 1 + 1)  # image, mask, labels
    pair_bytes = size.side**2 * 5
    return {
        "equalise": (f"{shapes[0][0]} x {shapes[0][1]}", 0, one * (2 + 2 + 4)),
        "network": (f"one {size.network} x {size.network} image", image, 0),
        "inference": (f"{len(radiographs)} files, pairs written", len(radiographs) * image, radiograph_bytes + written),
        "step": (f"batch {len(radiographs[:2])}, {size.network} x {size.network}", 3 * len(radiographs[:2]) * image, 0),
        "vote": (f"{size.side} x {size.side}, K = {size.repeat}", size.repeat * patch, pair_bytes),
        "dense": ("all windows", work.classification(net_label, size.side), pair_bytes),
        "saliency": (f"K = {size.repeat}, pictures written", size.repeat * patch, pair_bytes),
    }


def row(stage: str, side: str, settings: list[str], found: dict, amounts: tuple) -> dict:
    """A row of the table, the project's `side` with its settings against the plain one, without its floor yet."""
    plain, project = found["plain"], found[side]
    ratios = [slow / fast for slow, fast in zip(plain["seconds"], project["seconds"], strict=True)]
    exact = side == "float32"
    results = project["results"]
    words, same = results if stage == "inference" else getattr(agree, stage)(plain["results"], results, exact)
    return {
        "stage": STAGES[stage][0],
        "setting": "float32" if exact else " ".join(settings),
        "work": amounts[0],
        "plain_s": statistics.median(plain["seconds"]),
        "project_s": statistics.median(project["seconds"]),
        "ratio": [min(ratios), statistics.median(ratios), max(ratios)],
        "wanted": STAGES[stage][1 if exact else 2],
        "wanted_share": SHARES.get(stage, (0, 0))[0 if exact else 1],
        "amount": amounts[1:],
        "peak_bytes": [plain["peak_bytes"], project["peak_bytes"]],
        "results": words,
        "agree": None if same is None else bool(same),
        "seconds": {"plain": plain["seconds"], "project": project["seconds"]},
    }
