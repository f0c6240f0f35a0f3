"""What the machine can do, measured: the rate of its convolutions and the bandwidth of its memory.

    python -m benchmarks.rates
"""

import time

import numpy as np
import torch
import torch.nn.functional as F

from cxr import engine

# images, channels in and out, side: of both stages' middle layers, those a convolution is best at
SHAPES = ((8, 128, 128, 28), (2, 256, 256, 28), (2, 256, 16, 128))
BYTES = 256 << 20


def measure(repeats: int = 7) -> dict:
    """{"gflops": fastest 3 x 3 convolution in float32, 1e9 operations a second, "gbytes": of a copy in memory, read and
    written, 1e9 bytes a second, "threads"}. The best of some repeats: what disturbs a measurement only slows it."""
    engine.keep_memory()
    best = 0.0
    with torch.inference_mode():
        for images, channels, out, side in SHAPES:
            x = torch.randn(images, channels, side, side).contiguous(memory_format=torch.channels_last)
            weight = torch.randn(out, channels, 3, 3).contiguous(memory_format=torch.channels_last)
            work = 2 * 9 * images * channels * out * side**2
            often = max(1, int(4e9 / work))  # a few hundredths of a second each

            def convolve(x=x, weight=weight, often=often):
                for _ in range(often):
                    F.conv2d(x, weight, padding=1)

            best = max(best, often * work / _seconds(convolve, repeats))
    source = torch.ones(BYTES // 4)
    target = torch.empty_like(source)
    bandwidth = 2 * BYTES / _seconds(lambda: target.copy_(source), repeats)
    return {"gflops": best / 1e9, "gbytes": bandwidth / 1e9, "threads": torch.get_num_threads()}


def best(one: dict, other: dict) -> dict:
    """The faster of two measurements, rate by rate."""
    return {name: max(one[name], other[name]) for name in one}


def _seconds(function, repeats: int) -> float:
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.min(times))


if __name__ == "__main__":
    found = measure()
    print(f"convolution {found['gflops']:.0f} GFLOP/s, memory {found['gbytes']:.1f} GB/s, {found['threads']} threads")
