"""Where the time of a stage goes, on either side: the reasons behind a ratio.

    python -m benchmarks.profiles vote step                  stages of bench.py; network if none is named
    python -m benchmarks.profiles vote -i FOLDER

Prints a table a stage: seconds of the plain method and of the project in each kind of operation, by torch's profiler,
which itself takes a little time. What is left of the wall time is "outside torch": files, numpy, OpenCV, Python. With
--device cuda the seconds are the GPU's, and what is left is the time in which it waits. Writes profiles.json.
"""

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import torch
from torch.autograd import DeviceType

from benchmarks import inputs, table
from benchmarks.bench import SHORT, Size, arguments_of_both, prepare

STAGES = ("equalise", "network", "step", "vote", "dense", "saliency")
COPIES, OTHER = "concatenation and copies", "other arithmetic"
# Parts of operations' names, of which the first that occurs decides
KINDS = {
    "convolution, backward": ("convolution_backward",),
    "convolution": ("conv",),
    "normalisation": ("batch_norm",),
    COPIES: ("cat", "copy_", "clone", "contiguous", "slice_backward", "index"),
    "ReLU": ("relu", "threshold", "clamp"),
    "pooling": ("pool",),
    "optimiser": ("adam", "foreach", "zero_"),
    OTHER: ("",),
}
OUTSIDE = "outside torch"


def main() -> None:
    parser = arguments_of_both(__doc__)
    parser.add_argument(
        "stages", nargs="*", choices=[*STAGES, []], default=["network"], metavar="STAGE", help=", ".join(STAGES)
    )
    options = parser.parse_args()
    size = SHORT if options.short else Size()
    output = options.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    try:
        radiographs = inputs.radiographs(options.input and options.input.absolute(), output, 2, size.radiograph)
        arguments = prepare(radiographs, options, size, output)
    except (ValueError, OSError) as error:
        sys.exit(f"benchmarks/profiles.py: {error}")
    found = {}
    for stage in options.stages:
        found[stage] = {}
        for side in ("plain", "project"):  # each a process of its own: the project's allocator is a process's
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                found[stage][side] = pool.submit(seconds, side, stage, arguments).result()
        print(f"\n{stage}\n\n{markdown(found[stage])}", flush=True)
    (output / "profiles.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nWrote {output / 'profiles.json'}.")


def seconds(side: str, stage: str, arguments: dict) -> dict[str, float]:
    """{kind of operation: seconds} of one run of a stage, after one to warm up; their sum is the run's wall time."""
    from torch.profiler import ProfilerActivity, profile

    from benchmarks import plain_side, project_side

    cuda = arguments["device"] == "cuda"
    finish = torch.cuda.synchronize if cuda else lambda: None  # what a GPU was given may still be at work
    run = getattr(plain_side if side == "plain" else project_side, stage)(**arguments, settings=[])
    run()
    finish()
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda]) as recorded:
        start = time.perf_counter()
        run()
        finish()
        wall = time.perf_counter() - start
    return summed(recorded.key_averages(), wall, cuda)


def summed(events, wall: float, cuda: bool) -> dict[str, float]:
    """seconds() of what the profiler recorded in `wall` seconds. Its events are torch's operations, each with its own
    time and, if `cuda`, that of the kernels it started; these come again as events of the device, left out here."""
    found = dict.fromkeys([*KINDS, OUTSIDE], 0.0)
    for event in events:
        if event.device_type == DeviceType.CPU and event.key.startswith(("aten::", "autograd::", "Optimizer")):
            found[kind(event.key)] += (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1e6
    found[OUTSIDE] = max(wall - sum(found.values()), 0.0)
    return found


def kind(operation: str) -> str:
    """Which of KINDS an operation of torch is."""
    return next(name for name, parts in KINDS.items() if any(part in operation.lower() for part in parts))


def markdown(found: dict[str, dict[str, float]]) -> str:
    """A row a kind of operation that takes any time on either side, the slowest first, and their sum."""
    lines = ["| | plain | project |", "|---|---|---|"]
    total = {side: sum(values.values()) for side, values in found.items()}
    names = sorted(found["plain"], key=lambda name: -max(values[name] for values in found.values()))
    for name in names:
        if any(values[name] > 0.005 * total[side] for side, values in found.items()):
            cells = [
                f"{table.told(values[name])} ({100 * values[name] / total[side]:.0f} %)"
                for side, values in found.items()
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(f"| **together** | {' | '.join(table.told(value) for value in total.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
